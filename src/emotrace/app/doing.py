"""What a worker does, by names that cost the parent nothing: it starts a worker before it has read its own options."""

import sys
from typing import TYPE_CHECKING

from emotrace.app.workers import Tell

if TYPE_CHECKING:
    from emotrace.app.job import Outcome, Task

_SWITCH_SECONDS = 0.0005
"""Decoding, features and networks are threads that pass Python's lock to each other all the time."""


def prepare() -> None:
    """Import what every recording needs, which takes half a second."""
    import emotrace.app.job
    import emotrace.app.voice_process
    import emotrace.inference.film_strip
    import emotrace.inference.offline
    import emotrace.report  # noqa: F401

    sys.setswitchinterval(_SWITCH_SECONDS)


def do(task: "Task", tell: Tell) -> "Outcome":
    """Do `job.do`."""
    from emotrace.app import job

    return job.do(task, tell)
