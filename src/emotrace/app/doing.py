"""What a worker does, by names that cost the parent nothing: it starts a worker before it has read its own options."""

import gc
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from emotrace.app.serving import Tell

if TYPE_CHECKING:
    from emotrace.app.job import Outcome, Task

_SWITCH_SECONDS = 0.0005
"""Decoding, features and networks are threads that pass Python's lock to each other all the time."""


def prepare() -> None:
    """Import what every recording needs, which takes a quarter of a second."""
    gc.disable()  # nothing that is imported is garbage
    import emotrace.app.job
    import emotrace.app.voice_process
    import emotrace.inference.film_strip
    import emotrace.inference.offline  # noqa: F401

    gc.freeze()
    gc.enable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    threading.Thread(target=_prepare_the_end, daemon=True).start()


def _prepare_the_end() -> None:
    """Import what is needed last, while the first pictures are decoded; who needs it says what goes wrong."""
    with suppress(Exception):
        import emotrace.report  # noqa: F401


def do(task: "Task", tell: Tell) -> "Outcome":
    """Do `job.do`."""
    from emotrace.app import job

    return job.do(task, tell)
