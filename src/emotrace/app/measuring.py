"""This machine -> speed, memory and start-up of emotrace, each measured in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        seconds: from start to end.
        peak_megabytes: largest resident memory, in 10^6 bytes.
        printed: on stdout.
    """

    seconds: float
    peak_megabytes: float
    printed: str


def cost(arguments: Sequence[str], python: str = sys.executable) -> Cost:
    """Run Python with the arguments and return what it took.

    Raises:
        EmotraceError: the process failed; its last line says why.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen([python, *arguments], stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        printed = out.read().decode(errors="replace")
        if process.returncode:
            said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise EmotraceError(f"{' '.join(arguments)[:80]} ended with {process.returncode}: {said[-1]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit / 1e6, printed)


def make_clip(path: Path, seconds: float, python: str = sys.executable) -> None:
    """Write the talking clip of the demo: 640x480 at 25 frames per second, with sound."""
    cost(["-c", _MAKE, str(path), str(seconds)], python)


def decode(clip: Path, python: str = sys.executable) -> Cost:
    """Read all pictures and all sound and do nothing with them: the floor of every analysis."""
    return cost(["-c", _DECODE, str(clip)], python)


def analysis(clip: Path, output: Path, python: str = sys.executable) -> Cost:
    """Run the whole of `emotrace analyze` with its default results."""
    return cost(["-m", "emotrace", "analyze", str(clip), "--output", str(output)], python)


def length_seconds(clip: Path, python: str = sys.executable) -> float:
    """Return how long a clip says it is."""
    return float(cost(["-c", _LENGTH, str(clip)], python).printed)


def start_seconds(arguments: Sequence[str], python: str = sys.executable) -> float:
    """Return the best of five runs: the others met a busy machine."""
    return min(cost(arguments, python).seconds for _ in range(_START_REPEATS))


def speed(clip: Path, output: Path, python: str = sys.executable) -> dict[str, float]:
    """Return speed and memory of the analysis of one clip, with decoding alone as the measure."""
    seconds = length_seconds(clip, python)
    floor, whole = decode(clip, python), analysis(clip, output, python)
    return {
        "clip_seconds": seconds,
        "decode_seconds": floor.seconds,
        "analyze_seconds": whole.seconds,
        "x_real_time": seconds / whole.seconds,
        "x_decode": whole.seconds / floor.seconds,
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
        return speed(clip, Path(folder)) | start_up()
