"""Things that happen to a worker, done for real: functions that a supervisor runs in one."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emotrace.app.serving import Sign, Tell


def act(task: str, tell: Tell) -> str:
    """Do what the task says, and answer with it and the process that did it."""
    tell(Sign(1.0, 2.0))
    what, _, rest = task.partition(" ")
    if what == "patient":
        tell(Sign(patience=60))
    if what in _DEEDS:
        _DEEDS[what](rest)
    return f"{task} {os.getpid()}"


def _throw(_: str) -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def _fail(words: str) -> None:
    raise RuntimeError(words)


def _note(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


_DEEDS: dict[str, Callable[[str], object]] = {
    "segfault": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "exit": lambda status: os._exit(int(status)),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "patient": lambda seconds: time.sleep(float(seconds)),
    "allocate": lambda count: np.ones(int(count), dtype=np.uint8),
    "throw": _throw,
    "raise": _fail,
    "note": _note,
}
