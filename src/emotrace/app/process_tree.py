"""A process -> the memory that it and all its children hold together, while it runs (Linux)."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PROC = Path("/proc")
_KILOBYTE = 1024


def is_told() -> bool:
    """Return whether this system says how much memory a process holds, and which children it has."""
    return next(_PROC.glob("self/task/*/children"), None) is not None


def tree(pid: int) -> Iterator[int]:
    """Yield the process and all that descend from it, as far as they live."""
    yield pid
    for listing in (_PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):  # a thread ends at any time
            for child in listing.read_text().split():
                yield from tree(int(child))


def resident_megabytes(pid: int) -> float:
    """Return the memory of the process and its children in 10^6 bytes; 0 when it has ended.

    What a process has written to is its own. Pages of files, which are libraries, are shared by all that load them and
    count once: as many as the process with the most of them holds, for a worker loads what its parent has and more.
    Shared libraries would otherwise count twice, or, with the kernel's proportional size, less the more other programs
    use them.
    """
    held = [_held(each) for each in tree(pid)]
    own = sum(anonymous for anonymous, _ in held)
    return (own + max(shared for _, shared in held)) / 1e6


def _held(pid: int) -> tuple[int, int]:
    """Return the bytes that are a process's own, and those that it may share."""
    found = {"RssAnon": 0, "RssFile": 0, "RssShmem": 0}
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0]) * _KILOBYTE
    return found["RssAnon"], found["RssFile"] + found["RssShmem"]


class Watch:
    """Looks at a process and its children again and again, in a thread of its own; a context manager."""

    def __init__(self, pid: int, look: Callable[[float, float], None], every_seconds: float = 0.05) -> None:
        """Begin when the block is entered.

        Args:
            pid: of the process.
            look: called with the seconds since the block was entered and the megabytes; not after its end.
            every_seconds: the time between two looks.
        """
        self._pid = pid
        self._look = look
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._begin = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            megabytes = resident_megabytes(self._pid)
            if megabytes > 0:
                self._look(time.monotonic() - self._begin, megabytes)
            self._over.wait(self._every)
