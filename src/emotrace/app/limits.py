"""What one input may take -> bounds on the process that reads it, and words for its end."""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emotrace.errors import MediaError

MAX_INPUT_BYTES = 200 * 10**9
SILENCE_SECONDS = 300.0
"""How long a reader may say nothing: blocks of media take seconds, a longer silence is a hang."""
DEFAULT_MEMORY_MEGABYTES = 4096
_CROWDED = 0.5
"""Share of the memory that a worker may still hold after a file; with more it is replaced."""
_OUT_OF_MEMORY = (
    "bad_alloc",
    "memoryerror",
    "cannot allocate memory",
    "out of memory",
    "failed to allocate",
    "failed to map segment",  # of a library that is loaded
    "resource temporarily unavailable",  # a thread, whose stack is memory too
    "can't start new thread",
)
_DAMAGE = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL} | {getattr(signal, "SIGBUS", 0)})
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Limits:
    """Of one input.

    Attributes:
        memory_megabytes: 10^6 bytes that its worker may hold, where the system can bound it (Linux).
        minutes: from start to end; None without bound.
        silence_seconds: without a sign of progress.
    """

    memory_megabytes: int = DEFAULT_MEMORY_MEGABYTES
    minutes: float | None = None
    silence_seconds: float = SILENCE_SECONDS


DEFAULT = Limits()


def confine(limits: Limits) -> None:
    """Bound this process: its memory, no core dump of it, and the first to go where the machine has no memory left."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":  # elsewhere the bound covers only a part of what is allocated
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = limits.memory_megabytes * 10**6
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")


def is_crowded(limits: Limits) -> bool:
    """Return whether this process holds so much between two inputs that the next would lack it."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return False
    held = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
    return held > _CROWDED * limits.memory_megabytes * 10**6


def check_size(path: Path) -> None:
    """Refuse an input that is larger than any recording.

    Raises:
        MediaError: it has more than 200 GB.
    """
    with suppress(OSError, ValueError):  # what cannot be looked at is refused by who opens it
        size = path.stat().st_size
        if size > MAX_INPUT_BYTES:
            raise MediaError(
                f"{path} has {size / 1e9:,.0f} GB, expected at most {MAX_INPUT_BYTES // 10**9}: cut it into parts."
            )


def lacks_memory(text: str) -> bool:
    """Return whether what a library said means that it got no memory."""
    lowered = text.lower()
    return any(words in lowered for words in _OUT_OF_MEMORY)


def words_of_death(exit_code: int | None, said: str, limits: Limits) -> str:
    """Return why a worker that died gave no answer.

    Args:
        exit_code: of the process; minus the number of a signal.
        said: the last that it wrote on stderr.
        limits: that it ran under.
    """
    if lacks_memory(said):
        return (
            f"more than {limits.memory_megabytes} MB of memory were needed; "
            "allow more with --max-memory where the machine has it"
        )
    if exit_code is None or exit_code >= 0:
        return f"the worker ended with status {exit_code} while reading it{_last_line(said)}"
    if -exit_code == getattr(signal, "SIGKILL", None):
        return (
            "the worker was killed from outside, as happens where the machine has no memory left; "
            "try again with fewer --workers"
        )
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    if -exit_code in _DAMAGE:
        return (
            f"the worker died of {name} while reading it: "
            "the file is damaged in a way that the decoder does not survive, or needs more memory"
        )
    return f"the worker was ended by {name} while reading it"


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return f": {lines[-1].strip()[:200]}" if lines else ""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
