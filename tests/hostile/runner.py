"""Names of cases -> what `analyze` makes of their files, in worker processes with limits on memory and time."""

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emotrace.app.limits import Limits, usable_cores
from emotrace.app.serving import Tell
from emotrace.app.workers import Ended, supervise
from tests.hostile.case import Case

LIMITS = Limits(memory_megabytes=1500, minutes=1.0, silence_seconds=60.0)

Became = Literal["read", "refused", "unexpected", "lost"]


@dataclass(frozen=True)
class Task:
    """A case for a worker.

    Attributes:
        name: of the case.
        folder: below which its file is written.
        module: whose function `corpus` gives the cases by name.
    """

    name: str
    folder: Path
    module: str


@dataclass(frozen=True)
class Finding:
    """What became of one file.

    Attributes:
        name: of the case.
        became: read, or refused with a reason; an error that nobody foresaw and a lost worker are faults.
        reason: the refusal, the problems joined, or what went wrong.
        seconds: that the analysis and the writing of its results took.
        peak_bytes: largest memory of the worker while it had the file.
        rows: of the timeline; 0 without one.
        media_seconds: the last time in the timeline.
        faults: what is wrong with the timeline itself.
    """

    name: str
    became: Became
    reason: str
    seconds: float = 0.0
    peak_bytes: int = 0
    rows: int = 0
    media_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def judge(case: Case, finding: Finding) -> list[str]:
    """Return what the finding has against the expectation, nothing where all is well."""
    import re

    against = list(finding.faults)
    if finding.became not in ("read", "refused"):
        against.append(f"{finding.became}: {finding.reason}")
    elif case.expected not in ("either", finding.became):
        against.append(f"{finding.became} instead of {case.expected}: {finding.reason}")
    if finding.became == "refused" and not (finding.reason and finding.reason.isprintable()):
        against.append(f"refused with {finding.reason!r}, not with one line")
    if case.told and not re.search(case.told, finding.reason):
        against.append(f"{finding.reason!r} does not tell of {case.told!r}")
    if finding.media_seconds > case.longest_seconds:
        against.append(f"{finding.media_seconds:.0f} s of media time, {case.longest_seconds:.0f} s at most expected")
    return against


def try_all(tasks: Sequence[Task]) -> Iterator[Finding]:
    """Yield what became of each file, in the order in which they end."""
    for event in supervise(_tried, tasks, min(usable_cores(), 4), LIMITS):
        if isinstance(event, Ended):
            yield event.answer or Finding(tasks[event.number].name, "lost", event.failure or "")


def _tried(task: Task, tell: Tell) -> Finding:
    from emotrace.app.reasons import reason
    from emotrace.errors import EmotraceError

    case: Case = import_module(task.module).corpus()[task.name]
    path = case.put(task.folder)
    results = task.folder / "results" / task.name
    results.mkdir(parents=True, exist_ok=True)
    bundle = _bundle()
    _forget_peak()
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            timeline = _analyzed(path, bundle, results)
    except EmotraceError as error:
        return Finding(task.name, "refused", reason(error), _since(start), _peak_bytes())
    except Exception as error:
        return Finding(task.name, "unexpected", f"{type(error).__name__}: {error}", _since(start), _peak_bytes())
    times, told = timeline["time"], "; ".join(timeline.metadata.problems)
    last = float(times[-1]) if len(times) else 0.0
    return Finding(task.name, "read", told, _since(start), _peak_bytes(), len(times), last, _faults(timeline))


@cache
def _bundle() -> Any:
    from emotrace.bundle import load_bundle

    return load_bundle()


def _analyzed(path: Path, bundle: Any, results: Path) -> Any:
    """Analyse a file and write what the command line writes of it."""
    from emotrace.inference.film_strip import FilmStrip
    from emotrace.inference.offline import analyze
    from emotrace.report import write_report

    strip = FilmStrip()
    timeline = analyze(path, bundle=bundle, detector="haar", watch=strip.see)
    timeline.to_csv(results / "timeline.csv")
    timeline.to_json(results / "timeline.json")
    write_report(timeline, results / "report.html", media=path, thumbnails=strip.thumbnails())
    return timeline


def _since(start: float) -> float:
    return round(time.monotonic() - start, 2)


_STATUS = Path("/proc/self/status")


def _forget_peak() -> None:
    """Have the highest memory counted from here, after what the last file has left was cleared away."""
    gc.collect()
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _faults(timeline: Any) -> list[str]:
    """Return what is wrong with a timeline: its times, their number, values out of the range of their column."""
    from emotrace.timeline_schema import COLUMNS

    times = timeline["time"]
    if not len(times):
        return ["no rows"]
    faults: list[str] = []
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any() or times[0] < 0:
        faults.append("the times do not rise from zero")
    if len(times) > 25 * float(times[-1]) + 2:
        faults.append(f"{len(times)} rows in {float(times[-1]):.2f} s")
    for column in COLUMNS:
        known = timeline[column.name].astype(np.float64)
        known = known[~np.isnan(known)]
        low = -np.inf if column.low is None else column.low - 1e-4
        high = np.inf if column.high is None else column.high + 1e-4
        if ((known < low) | (known > high)).any():
            faults.append(f"{column.name} is out of its range")
    declared = timeline.metadata.duration_seconds
    if not np.isfinite(declared) or declared < times[-1]:
        faults.append(f"a duration of {declared} s")
    return faults
