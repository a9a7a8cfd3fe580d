"""One recording -> its results on disk and an `Outcome`, in this process; what fails is told, not raised."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotrace.app.content import Content, read_content, stamp
from emotrace.app.further import EXPLAINED_SUFFIXES, TURN_SUFFIXES, Further, Writers
from emotrace.app.inputs import ANNOTATED_SUFFIX, PARTIAL_SUFFIX, Job
from emotrace.app.limits import check_size
from emotrace.app.reasons import reason
from emotrace.app.serving import Sign, Tell
from emotrace.errors import EmotraceError

if TYPE_CHECKING:
    from emotrace.app.growing_csv import GrowingCsv
    from emotrace.bundle import Bundle
    from emotrace.inference.film_strip import FilmStrip
    from emotrace.timeline import Timeline
    from emotrace.turns import Turn

NOTHING_TO_DRAW_ON = "sound alone: there are no pictures to draw the trace on"
CHANGED = "it was changed while it was read: the results are of a mixture, and the next run will do it again"
_WRITING_PATIENCE = 20.0
"""Seconds of silence per second of media: what is made after the rows reads the recording again, and tells nothing."""


@dataclass(frozen=True)
class Wishes:
    """What to do with every job.

    Attributes:
        bundle: the networks.
        formats: of the results: csv, json, parquet, html.
        only: one branch, None for both.
        people: whose traces.
        detector: of faces; None for the recipe's.
        annotate: whether to write the video with the trace on it.
        dialogue: whether to answer for every turn too.
        turns: of the one recording; None for stretches of speech.
        explain: whether to show how the system came to its answers.
        skip_existing: whether a job whose results are all there is left alone.
        debug: whether an unforeseen error is raised instead of told in one line.
        num_threads: 1 where other jobs keep the other cores busy, else None. Results do not depend on it.
    """

    bundle: "Bundle"
    formats: tuple[str, ...]
    only: Literal["voice", "face"] | None = None
    people: Literal["main", "all"] = "main"
    detector: Literal["auto", "yunet", "haar"] | None = None
    annotate: bool = False
    dialogue: bool = False
    turns: "tuple[Turn, ...] | None" = None
    explain: bool = False
    skip_existing: bool = False
    debug: bool = False
    num_threads: Literal[1] | None = None


@dataclass(frozen=True)
class Task:
    """A job with all that a process needs to do it.

    Attributes:
        job: the input and where its results go.
        wishes: what to do.
        known: sha256 of the input whose results are there already; None where there are none.
    """

    job: Job
    wishes: Wishes
    known: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        source: the input.
        files: results by format that were written; "annotated" is the video, "turns" and "turns.json" are the answers
            for every turn, "explained" and "explained.json" show how the system came to its answers.
        summary: `Timeline.summary()`, empty where the job was skipped or failed.
        problems: what was damaged in the input and skipped.
        skipped: whether the results were there already.
        failure: why there is no result, or not every one, in one line; None where all went well.
        content: of the input; None where it was not looked at, or changed meanwhile.
    """

    source: Path
    files: dict[str, Path] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    skipped: bool = False
    failure: str | None = None
    content: Content | None = None


def do(task: Task, tell: Tell) -> Outcome:
    """Analyse one recording and write its results.

    Args:
        task: what to do.
        tell: called while it goes on.
    """
    job, wishes = task.job, task.wishes
    files = result_files(job, wishes)
    if wishes.skip_existing and _all_there(job, files):
        return Outcome(job.source, files, skipped=True)
    begun, found = stamp(job.source), None
    if task.known is not None:
        found = read_content(job.source, lambda: tell(Sign()))
        if found is not None and found.sha256 == task.known:
            return Outcome(job.source, files, skipped=True, content=found)
    outcome = _done(job, files, wishes, tell)
    if outcome.failure is not None:
        return outcome
    found = found or read_content(job.source, lambda: tell(Sign()))
    if found is None or stamp(job.source) != begun or found.stamp != begun:
        return replace(outcome, problems=(*outcome.problems, CHANGED))
    return replace(outcome, content=found)


def result_files(job: Job, wishes: Wishes) -> dict[str, Path]:
    """Return the path of every result that is wanted, by its name."""
    suffixes = {name: f".{name}" for name in wishes.formats}
    if wishes.annotate:
        suffixes["annotated"] = ANNOTATED_SUFFIX
    if wishes.dialogue:
        suffixes |= TURN_SUFFIXES
    if wishes.explain:
        suffixes |= EXPLAINED_SUFFIXES
    return {name: job.result(suffix) for name, suffix in suffixes.items()}


def _all_there(job: Job, files: dict[str, Path]) -> bool:
    missing = [name for name, path in files.items() if not path.is_file()]
    return not missing or (missing == ["annotated"] and not _has_pictures(job.source))


def _has_pictures(source: Path) -> bool:
    from emotrace.media import open_clip

    try:
        with open_clip(source) as clip:
            return clip.info.has_video
    except EmotraceError:
        return True  # the analysis will say what is wrong with it


def _done(job: Job, files: dict[str, Path], wishes: Wishes, tell: Tell) -> Outcome:
    from emotrace.app.growing_csv import GrowingCsv
    from emotrace.inference.film_strip import FilmStrip

    strip = FilmStrip() if "html" in files else None
    growing = GrowingCsv(files["csv"], job.result(PARTIAL_SUFFIX)) if "csv" in files else None
    try:
        timeline = _analyzed(job, wishes, tell, growing, strip)
    except Exception as error:
        if wishes.debug:
            raise
        return Outcome(job.source, failure=reason(error) + (growing.kept() if growing else ""))
    finally:
        if growing is not None:
            growing.close()
    tell(Sign(timeline.metadata.duration_seconds, timeline.metadata.duration_seconds, _patience(timeline)))
    return _written(timeline, job, files, wishes, growing, strip)


def _analyzed(
    job: Job, wishes: Wishes, tell: Tell, growing: "GrowingCsv | None", strip: "FilmStrip | None"
) -> "Timeline":
    check_size(job.source)
    from emotrace.app.voice_process import pays_off, voice_process
    from emotrace.features.block import described_here
    from emotrace.inference.offline import analyze

    has_cores = wishes.num_threads is None and not wishes.debug and wishes.only != "face"
    with voice_process() if has_cores and pays_off(job.source) else nullcontext(described_here) as describe:
        return analyze(
            job.source,
            bundle=wishes.bundle,
            only=wishes.only,
            people=wishes.people,
            detector=wishes.detector,
            progress=lambda done, whole: tell(Sign(done, whole)),
            on_part=None if growing is None else growing.append,
            watch=None if strip is None else strip.see,
            num_threads=wishes.num_threads,
            describe=describe,
        )


def _patience(timeline: "Timeline") -> float:
    return _WRITING_PATIENCE * timeline.metadata.duration_seconds


def _written(
    timeline: "Timeline",
    job: Job,
    files: dict[str, Path],
    wishes: Wishes,
    growing: "GrowingCsv | None",
    strip: "FilmStrip | None",
) -> Outcome:
    """Write every result by itself: where one cannot be made or written, the others are there and are told."""
    written: dict[str, Path] = {}
    failures: list[str] = []
    further = Further(job.source, timeline.foremost(), wishes)
    making: list[tuple[str, Callable[[], Writers]]] = [
        ("timeline", lambda: _own(timeline, job, wishes, growing, strip))
    ]
    if wishes.dialogue:
        making.append(("turns", further.turns))
    if wishes.explain:
        making.append(("explained", further.explained))
    for what, make in making:
        with _failing(what, failures, wishes):
            for name, write_to in make().items():
                with _failing(name, failures, wishes):
                    files[name].parent.mkdir(parents=True, exist_ok=True)
                    write_to(files[name])
                    _settle(files[name])
                    written[name] = files[name]
    unseen = (NOTHING_TO_DRAW_ON,) if wishes.annotate and not _has_video(timeline) else ()
    problems = (*timeline.metadata.problems, *unseen, *further.problems)
    return Outcome(job.source, written, dict(timeline.summary()), problems, failure="; ".join(failures) or None)


def _settle(path: Path) -> None:
    """Have it outlast a power cut, as the ledger's line about it does."""
    with path.open("rb") as file, suppress(OSError):  # some disks of the network cannot
        os.fsync(file.fileno())


def _own(
    timeline: "Timeline", job: Job, wishes: Wishes, growing: "GrowingCsv | None", strip: "FilmStrip | None"
) -> Writers:
    """Return what writes the timeline itself, and draws it where there are pictures."""
    drawn = ("annotated",) if wishes.annotate and _has_video(timeline) else ()
    writers: dict[str, Callable[[Path], None]] = {
        kind: partial(write, timeline, kind, source=job.source, strip=strip) for kind in (*wishes.formats, *drawn)
    }
    if growing is not None:
        writers["csv"] = lambda path: growing.become(timeline)
    return writers


def _has_video(timeline: "Timeline") -> bool:
    from emotrace.timeline_schema import NO_VIDEO_TRACK

    return not any(gap.kind == NO_VIDEO_TRACK for gap in timeline.metadata.gaps)


@contextmanager
def _failing(what: str, failures: list[str], wishes: Wishes) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if wishes.debug:
            raise
        failures.append(f"{what}: {reason(error)}")


def write(timeline: "Timeline", kind: str, path: Path, source: Path, strip: "FilmStrip | None" = None) -> None:
    """Write one result; each appears whole or not at all. The report shows what the strip has seen."""
    if kind == "csv":
        timeline.to_csv(path)
    elif kind == "json":
        timeline.to_json(path)
    elif kind == "parquet":
        timeline.to_parquet(path)
    elif kind == "html":
        from emotrace.report import write_report

        write_report(timeline, path, media=source, thumbnails=() if strip is None else strip.thumbnails())
    else:
        from emotrace.annotate import annotate

        annotate(source, timeline, path)
