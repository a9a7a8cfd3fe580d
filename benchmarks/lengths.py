"""Recordings of 1 to 120 minutes -> memory over media time, time over length, and when the first rows are there.

`python -m benchmarks.lengths` draws docs/images/performance.png. The long clips repeat the packets of a minute; each is
removed when it was measured, as two hours of 1080p are 9 GB.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import page, parts
from benchmarks.clips import KEPT, Clip, Clips, repeat

from emotrace.app import measuring
from emotrace.app.inputs import PARTIAL_SUFFIX

MINUTES = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0)
GOAL_MEGABYTES = 700.0
FIGURE = Path("docs/images/performance.png")
_POINTS = 240
"""Of a curve, at most; of the looks between two points the largest stays."""
_LAST_ROW_BYTES = 4096


@dataclass
class Curve:
    """What is seen of an analysis while it runs.

    Attributes:
        partial: the file that its rows are written to.
        points: (seconds since the start, megabytes, seconds of media whose rows are written).
        first_rows_seconds: when the first rows were seen; None before.
    """

    partial: Path
    points: list[tuple[float, float, float]] = field(default_factory=list)
    first_rows_seconds: float | None = None

    def look(self, seconds: float, megabytes: float) -> None:
        """Note a moment."""
        media = written_seconds(self.partial)
        if media is not None and self.first_rows_seconds is None:
            self.first_rows_seconds = seconds
        # The file has its last name by the time the other results are written.
        self.points.append((seconds, megabytes, media or (self.points[-1][2] if self.points else 0.0)))

    def thinned(self) -> list[tuple[float, float, float]]:
        """Return as many points as a figure shows: of each stretch its last moment with its largest memory."""
        step = -(-len(self.points) // _POINTS)
        parts = [self.points[place : place + step] for place in range(0, len(self.points), step or 1)]
        return [(part[-1][0], max(megabytes for _, megabytes, _ in part), part[-1][2]) for part in parts]


def written_seconds(partial: Path) -> float | None:
    """Return the media time of the last whole row of a growing CSV; None where there is no row yet."""
    try:
        with partial.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LAST_ROW_BYTES))
            lines = file.read().split(b"\n")[:-1]
        return float(lines[-1].split(b",")[0])
    except (OSError, IndexError, ValueError):  # not there yet, or the head alone
        return None


def main() -> None:
    """Measure, keep the figures, draw them and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="virtual environment with the runtime alone")
    parser.add_argument("--minutes", type=float, nargs="+", default=list(MINUTES))
    parser.add_argument("--large-minutes", type=float, nargs="*", default=[], help="lengths of 1080p, such as 5 30 120")
    parser.add_argument("--clips", type=Path, default=KEPT, help="folder in which clips are kept")
    parser.add_argument("--kept", type=Path, default=parts.FOLDER, help="folder of the figures")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--output", type=Path, default=page.PAGE)
    options = parser.parse_args()
    python = str(options.runtime / "bin" / "python")
    made = Clips(options.clips)
    wanted = [(made.talk, minutes) for minutes in options.minutes]
    wanted += [(made.phone, minutes) for minutes in options.large_minutes]
    found = []
    for make, minutes in wanted:
        found.append(measured(make(), minutes, python, options.clips))
        print(f"{found[-1]['clip']}, {minutes:g} min: measured", file=sys.stderr)
    figures = {"conditions": parts.conditions(python), "goal_megabytes": GOAL_MEGABYTES, "recordings": found}
    parts.keep("lengths", figures, options.kept)
    draw(figures, options.figure)
    page.write(options.output, options.kept)


def measured(clip: Clip, minutes: float, python: str, room: Path) -> dict[str, Any]:
    """Return the figures of a recording that repeats a clip.

    Args:
        clip: of a minute.
        minutes: length of the recording.
        python: the interpreter with the runtime.
        room: a folder on a disk with room for the recording; it is removed at the end.
    """
    with tempfile.TemporaryDirectory(dir=room) as folder:
        path, output = Path(folder) / f"long{clip.path.suffix}", Path(folder) / "results"
        repeat(clip.path, path, 60 * minutes)
        curve = Curve(output / f"long{PARTIAL_SUFFIX}")
        cost = measuring.analysis(path, output, python, look=curve.look)
        results = sum(each.stat().st_size for each in output.iterdir())
        shutil.rmtree(output)
    return {
        "clip": clip.name,
        "minutes": minutes,
        "seconds": cost.seconds,
        "x_real_time": 60 * minutes / cost.seconds,
        "peak_megabytes": cost.peak_megabytes,
        "first_rows_seconds": curve.first_rows_seconds,
        "results_megabytes": results / 1e6,
        "curve": [[round(value, 2) for value in point] for point in curve.thinned()],
    }


def largest(curve: Sequence[Sequence[float]]) -> dict[float, float]:
    """Return the largest memory at each media time of a curve: while the process starts and ends, none passes."""
    most: dict[float, float] = {}
    for _, megabytes, media in curve:
        most[media] = max(megabytes, most.get(media, 0.0))
    return most


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Draw memory over media time and time over length."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 3.8), dpi=150, layout="constrained")
        memory, work = figure.subplots(1, 2)
        colours = dict(zip(dict.fromkeys(each["clip"] for each in figures["recordings"]), ("C0", "C1"), strict=False))
        for clip, colour in colours.items():
            own = [each for each in figures["recordings"] if each["clip"] == clip]
            minutes = [each["minutes"] for each in own]
            for each in own:
                most = largest(each["curve"])
                memory.plot([media / 60 for media in most], list(most.values()), color=colour, linewidth=0.8, alpha=0.6)
            peaks = [each["peak_megabytes"] for each in own]
            memory.plot(minutes, peaks, "o", color=colour, label=f"{clip}: peak of a recording")
            work.plot(minutes, [each["seconds"] for each in own], "o-", color=colour, label=clip)
        goal = figures["goal_megabytes"]
        memory.axhline(goal, color="0.5", linestyle="--", linewidth=0.8)
        memory.annotate(f"goal: {goal:g} MB", (0.0, goal), (2, 3), textcoords="offset points", color="0.4")
        memory.set(xlabel="minutes of media whose rows are written", ylabel="memory of all processes (MB)")
        memory.set_ylim(0, None)
        work.set(xlabel="minutes of media", ylabel="seconds of work")
        work.set_xlim(0, None)
        work.set_ylim(0, None)
        for axes in (memory, work):
            axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


if __name__ == "__main__":
    main()
