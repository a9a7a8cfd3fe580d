"""Commits -> how fast each was on the same clips, in one run: `python -m benchmarks.steps COMMIT[=WHY] ...`.

The package of each commit is unpacked into a folder of its own and run with the dependencies of the runtime
environment; runs of the commits alternate, so that a slow moment of the machine meets all of them. `now` is the working
copy. The first line of a commit says why it was made, unless WHY does.
"""

import argparse
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, parts
from benchmarks.clips import KEPT, Clip, Clips

import emotrace
from emotrace.app import measuring
from emotrace.app.measuring import Cost
from emotrace.training.commit import commit

NOW = "now"
_WHERE = "import emotrace; print(emotrace.__file__)"


@dataclass(frozen=True)
class Step:
    """A state of the package.

    Attributes:
        commit: short hash, or that of the working copy.
        why: it was made.
        source: folder that holds the package.
    """

    commit: str
    why: str
    source: Path


def main() -> None:
    """Measure, keep the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commits", nargs="+", help="COMMIT or COMMIT=WHY, oldest first; now is the working copy")
    parser.add_argument("--runtime", type=Path, required=True, help="virtual environment with the dependencies")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clips with pictures")
    parser.add_argument("--sound-seconds", type=float, default=1800.0, help="length of the clip of sound alone")
    parser.add_argument("--clips", type=Path, default=KEPT, help="folder in which clips are kept")
    parser.add_argument("--kept", type=Path, default=parts.FOLDER, help="folder of the figures")
    parser.add_argument("--output", type=Path, default=page.PAGE)
    options = parser.parse_args()
    python = str(options.runtime / "bin" / "python")
    made = Clips(options.clips)
    clips = [made.talk(options.seconds), made.phone(options.seconds), made.sound(".m4a", options.sound_seconds)]
    with tempfile.TemporaryDirectory() as folder:
        steps = [unpacked(words, Path(folder) / str(place)) for place, words in enumerate(options.commits)]
        for step in steps:
            check(step, python)
        costs = measured(steps, clips, python, options.repeats, Path(folder))
    figures = {
        "repeats": options.repeats,
        "clips": {clip.name: clip.what for clip in clips},
        "seconds": {clip.name: clip.seconds for clip in clips},
        "steps": rows(steps, clips, costs),
    }
    parts.keep("steps", {"conditions": parts.conditions(python), **figures}, options.kept)
    page.write(options.output, options.kept)


def unpacked(words: str, folder: Path) -> Step:
    """Return a commit's package, unpacked into a new folder.

    Args:
        words: COMMIT or COMMIT=WHY.
        folder: new.

    Raises:
        subprocess.CalledProcessError: git knows no such commit.
    """
    name, _, why = words.partition("=")
    if name == NOW:
        return Step(commit() or NOW, why or "the working copy", Path(emotrace.__file__).parent.parent)
    archive = subprocess.run(["git", "archive", name, "src"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    short, _, subject = _git("log", "-1", "--format=%h %s", name).partition(" ")
    return Step(short, why or subject, folder / "src")


def check(step: Step, python: str) -> None:
    """Make sure that it is this package which runs, not the environment's.

    Raises:
        SystemExit: it is not.
    """
    found = Path(measuring.cost(["-c", _WHERE], python, environment=_environment(step)).printed.strip())
    if not found.is_relative_to(step.source):
        raise SystemExit(f"{step.commit}: {found} was run in place of the package in {step.source}.")


def measured(
    steps: Sequence[Step], clips: Sequence[Clip], python: str, repeats: int, folder: Path
) -> dict[tuple[int, str], list[Cost]]:
    """Return the costs by place of the step and name of the clip."""
    costs: dict[tuple[int, str], list[Cost]] = {}
    for number in range(repeats):
        for clip in clips:
            for place, step in enumerate(steps):
                output = folder / f"results-{place}-{number}-{clip.name}"
                cost = measuring.analysis(clip.path, output, python, environment=_environment(step))
                costs.setdefault((place, clip.name), []).append(cost)
    return costs


def rows(
    steps: Sequence[Step], clips: Sequence[Clip], costs: Mapping[tuple[int, str], Sequence[Cost]]
) -> list[dict[str, Any]]:
    """Return a row for each step: best speed and largest memory of each clip, and the ratio to the step before."""
    found: list[dict[str, Any]] = []
    for place, step in enumerate(steps):
        cells: dict[str, Any] = {}
        for clip in clips:
            runs = costs[place, clip.name]
            speed = clip.seconds / min(run.seconds for run in runs)
            before = found[-1]["clips"][clip.name]["x_real_time"] if found else None
            cells[clip.name] = {
                "x_real_time": speed,
                "peak_megabytes": max(run.peak_megabytes for run in runs),
                "ratio": None if before is None else speed / before,
            }
        found.append({"commit": step.commit, "why": step.why, "clips": cells})
    return found


def _environment(step: Step) -> dict[str, str]:
    return {"PYTHONPATH": str(step.source)}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
