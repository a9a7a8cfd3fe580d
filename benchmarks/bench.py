"""The installed package -> docs/performance.md: speed, memory, start-up, size, stages, following, and a peer's speed.

`make bench` runs it with the runtime environment of `make demo`, which is what a user installs. Lengths and steps take
hours and are measured by `benchmarks.lengths` and `benchmarks.steps`; the page shows what they found last.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, parts, peer, stages
from benchmarks.clips import KEPT, Clip, Clips

from emotrace.app import measuring
from emotrace.app.measuring import Cost

REPEATS = 3
RECORDED = ("clips/selfie_1920x1080.mp4", "clips/debate_640x360.mp4")
"""Recordings below --data that the clips are joined by."""


@dataclass(frozen=True)
class Goal:
    """What is to be reached.

    Attributes:
        clip: name of the clip.
        figure: key of what is measured.
        least: value that has to be reached.
        words: what it is.
    """

    clip: str
    figure: str
    least: float
    words: str


GOALS = (
    Goal("640x480", "x_real_time", 15.0, "x real time"),
    Goal("640x480", "share_of_decode_rate", 0.25, "of the decode-only rate"),
    Goal("1080p30", "x_real_time", 4.0, "x real time"),
    Goal("m4a", "x_real_time", 150.0, "x real time"),
    Goal("wav", "x_real_time", 150.0, "x real time"),
)
"""On two cores."""


def main() -> None:
    """Measure, keep the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="virtual environment with the runtime alone")
    parser.add_argument("--data", type=Path, help="folder with clips/, recordings that are measured too")
    parser.add_argument("--peer", help=f"interpreter that has the package {peer.NAME}")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clips with pictures")
    parser.add_argument("--sound-seconds", type=float, default=1800.0, help="length of the clips of sound alone")
    parser.add_argument("--parts", nargs="*", choices=("speed", "stages", "following", "peer"), default=None)
    parser.add_argument("--clips", type=Path, default=KEPT, help="folder in which clips are kept")
    parser.add_argument("--kept", type=Path, default=parts.FOLDER, help="folder of the figures")
    parser.add_argument("--output", type=Path, default=page.PAGE)
    options = parser.parse_args()
    wanted = options.parts if options.parts is not None else ("speed", "stages", "following", "peer")
    python = str(options.runtime / "bin" / "python")
    made = Clips(options.clips)
    filmed = [made.talk(options.seconds), made.phone(options.seconds), *_recorded(made, options.data, options.seconds)]
    heard = [made.sound(suffix, options.sound_seconds) for suffix in (".m4a", ".wav")]
    for name in wanted:
        if name == "speed":
            figures = speed([*filmed, *heard], python) | {"install_megabytes": installed_megabytes(options.runtime)}
        elif name == "stages":
            figures = each_stage([*filmed[:2], heard[0]], python)
        elif name == "following":
            figures = following(filmed, python)
        elif options.peer is not None:
            figures = beside(filmed[0], python, options.peer)
        else:
            continue
        parts.keep(name, {"conditions": parts.conditions(python), **figures}, options.kept)
        print(f"{name}: measured", file=sys.stderr)
    page.write(options.output, options.kept)


def _recorded(made: Clips, data: Path | None, seconds: float) -> list[Clip]:
    paths = [] if data is None else [data / name for name in RECORDED]
    return [made.recorded(path, seconds) for path in paths if path.is_file()]


def speed(clips: Sequence[Clip], python: str) -> dict[str, Any]:
    """Return the figures of every clip: each run a process of its own, the clips one after the other, repeated."""
    floors: dict[str, list[Cost]] = {clip.name: [] for clip in clips}
    wholes: dict[str, list[Cost]] = {clip.name: [] for clip in clips}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATS):
            for clip in clips:
                floors[clip.name].append(measuring.decode(clip.path, python))
                output = Path(folder) / f"{clip.name}-{number}"
                wholes[clip.name].append(measuring.analysis(clip.path, output, python))
    found = {clip.name: _figures(clip, floors[clip.name], wholes[clip.name]) for clip in clips}
    return {"repeats": REPEATS, "clips": found, "start": measuring.start_up(python), "goals": judged(found)}


def _figures(clip: Clip, floors: Sequence[Cost], wholes: Sequence[Cost]) -> dict[str, Any]:
    decode, analyze = (min(cost.seconds for cost in costs) for costs in (floors, wholes))
    return {
        "what": clip.what,
        "is_generated": clip.is_generated,
        "clip_seconds": clip.seconds,
        "megabit_per_second": clip.path.stat().st_size * 8 / 1e6 / clip.seconds,
        "decode_seconds": decode,
        "decode_spread": spread(floors),
        "analyze_seconds": analyze,
        "analyze_spread": spread(wholes),
        "x_real_time": clip.seconds / analyze,
        "decode_x_real_time": clip.seconds / decode,
        "share_of_decode_rate": decode / analyze,
        "peak_megabytes": max(cost.peak_megabytes for cost in wholes),
    }


def spread(costs: Iterable[Cost]) -> float:
    """Return how much longer the slowest run took than the fastest, as a share."""
    seconds = [cost.seconds for cost in costs]
    return max(seconds) / min(seconds) - 1


def judged(clips: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the goals with what was reached, of the clips that were measured."""
    return [
        {"clip": goal.clip, "words": goal.words, "least": goal.least, "reached": reached, "met": reached >= goal.least}
        for goal in GOALS
        if goal.clip in clips
        for reached in [clips[goal.clip][goal.figure]]
    ]


def each_stage(clips: Iterable[Clip], python: str) -> dict[str, Any]:
    """Return the seconds of every stage of every clip, which add up to the process's, start of Python included."""
    found: dict[str, Any] = {}
    for clip in clips:
        with tempfile.TemporaryDirectory() as output:
            cost = measuring.cost(["-m", "benchmarks.stages", str(clip.path), output], python)
        told = json.loads(cost.printed)
        found[clip.name] = {
            "what": clip.what,
            "clip_seconds": clip.seconds,
            "whole_seconds": cost.seconds,
            "processor_seconds": told["processor_seconds"],
            "stages": stages.with_start(told["stages"], cost.seconds),
        }
    return {"clips": found}


def following(clips: Iterable[Clip], python: str) -> dict[str, Any]:
    """Return what following changes against searching every picture as a whole, of every clip."""
    found = {
        clip.name: {
            "what": clip.what,
            **json.loads(measuring.cost(["-m", "benchmarks.following", str(clip.path)], python).printed),
        }
        for clip in clips
    }
    return {"clips": found}


def beside(clip: Clip, python: str, peer_python: str) -> dict[str, Any]:
    """Return the speed of the peer and of emotrace on the same clip, in turns."""
    ours: list[Cost] = []
    theirs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATS):
            theirs.append(peer.measure(clip.path, peer_python))
            ours.append(measuring.analysis(clip.path, Path(folder) / str(number), python))
    best = max(theirs, key=lambda found: float(found["pictures_per_second"]))
    rate = best["pictures"] / min(peer.SECONDS, clip.seconds)
    speed_here = clip.seconds * rate / min(cost.seconds for cost in ours)
    return {
        "clip": clip.what,
        "seconds": min(peer.SECONDS, clip.seconds),
        "peer": best,
        "emotrace_pictures_per_second": speed_here,
        "ratio": speed_here / best["pictures_per_second"],
    }


def installed_megabytes(runtime: Path) -> float:
    """Return the size of what `pip install` added to an empty environment, in 10^6 bytes, with what Python compiled."""
    [packages] = (runtime / "lib").glob("python3*/site-packages")
    own = [entry for entry in packages.iterdir() if not entry.name.startswith(("pip", "setuptools", "pkg_resources"))]
    files = [path for entry in own for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


if __name__ == "__main__":
    main()
