"""This machine -> speed, memory and start-up of emotrace, each measured in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from emotrace.app import process_tree
from emotrace.errors import EmotraceError

_DECODE = """
import sys; from pathlib import Path; from emotrace.media import open_clip
with open_clip(Path(sys.argv[1])) as clip:
    for item in clip.read(): pass
"""
_MAKE = """
import sys; from pathlib import Path; from emotrace.demo import make_demo
make_demo(Path(sys.argv[1]), seconds=float(sys.argv[2]))
"""
_LENGTH = """
import sys; from pathlib import Path; from emotrace.media import open_clip
print(open_clip(Path(sys.argv[1])).info.duration_seconds or 0)
"""
_START_REPEATS = 5
_NOT_PASSED_ON = frozenset({"PYTHONDONTWRITEBYTECODE"})
"""Variables of this process; with this one every run would compile what is installed again, as no user's does."""
Look = Callable[[float, float], None]
"""Told the seconds since the start and the megabytes of the process and its children, again and again."""


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        seconds: from start to end.
        peak_megabytes: largest resident memory of it and its children together, in 10^6 bytes, seen 20 times a second;
            where the system does not tell who is whose child, what it says of the largest one, which is never less
            than what the process that started it held at the time.
        printed: on stdout.
    """

    seconds: float
    peak_megabytes: float
    printed: str


def cost(
    arguments: Sequence[str],
    python: str = sys.executable,
    *,
    environment: Mapping[str, str] | None = None,
    look: Look | None = None,
) -> Cost:
    """Run Python with the arguments and return what it took.

    Args:
        arguments: of the interpreter.
        python: the interpreter.
        environment: variables besides those of this process.
        look: told the memory over time, where the system tells it.

    Raises:
        EmotraceError: the process failed; its last line says why.
    """
    peak = 0.0

    def note(seconds: float, megabytes: float) -> None:
        nonlocal peak
        peak = max(peak, megabytes)
        if look is not None:
            look(seconds, megabytes)

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        passed_on = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        process = subprocess.Popen(
            [python, *arguments], stdout=out, stderr=errors, env=passed_on | dict(environment or {})
        )
        is_told = process_tree.is_told()
        with process_tree.Watch(process.pid, note) if is_told else nullcontext():
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        printed = out.read().decode(errors="replace")
        if process.returncode:
            said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise EmotraceError(f"{' '.join(arguments)[:80]} ended with {process.returncode}: {said[-1]}")
    if not is_told:
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Cost(seconds, peak, printed)


def make_clip(path: Path, seconds: float, python: str = sys.executable) -> None:
    """Write the talking clip of the demo: 640x480 at 25 frames per second, with sound."""
    cost(["-c", _MAKE, str(path), str(seconds)], python)


def decode(clip: Path, python: str = sys.executable) -> Cost:
    """Read all pictures and all sound and do nothing with them: the floor of every analysis."""
    return cost(["-c", _DECODE, str(clip)], python)


def analysis(
    clip: Path,
    output: Path,
    python: str = sys.executable,
    *,
    environment: Mapping[str, str] | None = None,
    look: Look | None = None,
) -> Cost:
    """Run the whole of `emotrace analyze` with its default results; the output folder should be empty."""
    arguments = ["-m", "emotrace", "analyze", str(clip), "--output", str(output)]
    return cost(arguments, python, environment=environment, look=look)


def length_seconds(clip: Path, python: str = sys.executable) -> float:
    """Return how long a clip says it is."""
    return float(cost(["-c", _LENGTH, str(clip)], python).printed)


def start_seconds(arguments: Sequence[str], python: str = sys.executable) -> float:
    """Return the best of five runs: the others met a busy machine."""
    return min(cost(arguments, python).seconds for _ in range(_START_REPEATS))


def speed(clip: Path, output: Path, python: str = sys.executable) -> dict[str, float]:
    """Return speed and memory of the analysis of one clip, with decoding alone as the measure.

    Raises:
        EmotraceError: the clip cannot be read, or does not say how long it is.
    """
    seconds = length_seconds(clip, python)
    if seconds <= 0:
        raise EmotraceError(f"{clip} does not say how long it is, so no speed can be told. Take another recording.")
    floor, whole = decode(clip, python), analysis(clip, output, python)
    return {
        "clip_seconds": seconds,
        "decode_seconds": floor.seconds,
        "analyze_seconds": whole.seconds,
        "x_real_time": seconds / whole.seconds,
        "share_of_decode_rate": floor.seconds / whole.seconds,
        "peak_megabytes": whole.peak_megabytes,
    }


def start_up(python: str = sys.executable) -> dict[str, float]:
    """Return how long the package and the command line take to start."""
    return {
        "import_seconds": start_seconds(["-c", "import emotrace"], python),
        "help_seconds": start_seconds(["-m", "emotrace", "--help"], python),
    }


def figures(video: Path | None) -> dict[str, float]:
    """Return all figures of this installation, for a recording or a generated clip of one minute."""
    with tempfile.TemporaryDirectory() as folder:
        clip = video
        if clip is None:
            clip = Path(folder) / "talk.mp4"
            make_clip(clip, 60)
        return speed(clip, Path(folder) / "results") | start_up()
