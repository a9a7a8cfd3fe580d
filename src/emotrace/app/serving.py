"""What runs in a worker process: one task after the other, within limits, and an answer to each."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any

from emotrace.app.limits import Limits, confine, is_crowded
from emotrace.app.reasons import reason

READY = "ready"
"""What a worker says once it can take a task."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Sign:
    """A task goes on.

    Attributes:
        done: seconds of media.
        whole: of the recording; None where unknown.
        patience: seconds that may pass until the next sign, beside those that always may.
    """

    done: float = 0.0
    whole: float | None = None
    patience: float = 0.0


Tell = Callable[[Sign], None]


@dataclass(frozen=True)
class Answer:
    """What a worker says at the end of a task; `is_crowded` asks to be replaced."""

    answer: object
    failure: str | None
    is_crowded: bool


def serve(
    line: Any, stderr: Any, function: Callable[[Any, Tell], Any], limits: Limits, prepare: Callable[[], None] | None
) -> None:
    """Take one task after the other until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if sys.platform != "win32":
        os.dup2(stderr.fileno(), 2)
        stderr.close()
    confine(limits)
    if prepare is not None:
        prepare()
    line.send(READY)
    while True:
        try:
            task = line.recv()
        except EOFError:
            return
        if isinstance(task, Limits):
            limits = task
            confine(limits)
            continue
        answer, failure = None, None
        try:
            answer = function(task, line.send)
        except Exception as error:
            failure = reason(error)
        line.send(Answer(answer, failure, is_crowded(limits)))


def end_with_parent() -> None:
    """Have this process end when the one that started it does, however that may be."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":  # the thread would wait for a library that hangs and holds Python's lock
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)
