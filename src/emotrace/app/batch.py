"""Jobs -> timelines on disk, one after the other; what fails is named and does not stop the rest."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotrace.app.console import reason
from emotrace.app.further import EXPLAINED_SUFFIXES, TURN_SUFFIXES, Further, Writers
from emotrace.app.inputs import ANNOTATED_SUFFIX, Job
from emotrace.errors import EmotraceError, SettingsError
from emotrace.timeline_schema import NO_VIDEO_TRACK

if TYPE_CHECKING:
    from emotrace.bundle import Bundle
    from emotrace.timeline import Timeline
    from emotrace.turns import Turn

NOTHING_TO_DRAW_ON = "sound alone: there are no pictures to draw the trace on"
Progress = Callable[[float, float | None], None]


@dataclass(frozen=True)
class Wishes:
    """What to do with every job.

    Attributes:
        bundle: the networks.
        formats: of the results: csv, json, parquet, html.
        only: one branch, None for both.
        detector: of faces; None for the recipe's.
        annotate: whether to write the video with the trace on it.
        dialogue: whether to answer for every turn too.
        turns: of the one recording; None for stretches of speech.
        explain: whether to show how the system came to its answers.
        skip_existing: whether a job whose results are all there is left alone.
        debug: whether an unforeseen error is raised instead of told in one line.
    """

    bundle: "Bundle"
    formats: tuple[str, ...]
    only: Literal["voice", "face"] | None = None
    detector: Literal["auto", "yunet", "haar"] | None = None
    annotate: bool = False
    dialogue: bool = False
    turns: "tuple[Turn, ...] | None" = None
    explain: bool = False
    skip_existing: bool = False
    debug: bool = False


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
    """

    source: Path
    files: dict[str, Path] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    skipped: bool = False
    failure: str | None = None


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats without repetition.

    Raises:
        SettingsError: Parquet is asked for and pyarrow is not installed.
    """
    from importlib.util import find_spec

    if "parquet" in formats and find_spec("pyarrow") is None:
        raise SettingsError("--format parquet needs pyarrow: run pip install 'emotrace[parquet]'.")
    return tuple(dict.fromkeys(formats))


def run(jobs: Sequence[Job], wishes: Wishes, start: Callable[[str], Progress]) -> Iterator[Outcome]:
    """Yield the outcome of each job as it ends; `start` is called with a job's name and gives its progress."""
    for job in jobs:
        files = _files(job, wishes)
        if wishes.skip_existing and _all_there(job, files):
            yield Outcome(job.source, files, skipped=True)
            continue
        try:
            timeline = _analyzed(job, wishes, start(job.source.name))
        except Exception as error:
            if wishes.debug:
                raise
            yield Outcome(job.source, failure=reason(error))
        else:
            yield _written(timeline, job, files, wishes)


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


def _files(job: Job, wishes: Wishes) -> dict[str, Path]:
    suffixes = {name: f".{name}" for name in wishes.formats}
    if wishes.annotate:
        suffixes["annotated"] = ANNOTATED_SUFFIX
    if wishes.dialogue:
        suffixes |= TURN_SUFFIXES
    if wishes.explain:
        suffixes |= EXPLAINED_SUFFIXES
    return {name: job.result(suffix) for name, suffix in suffixes.items()}


def _analyzed(job: Job, wishes: Wishes, progress: Progress) -> "Timeline":
    from emotrace.inference.offline import analyze

    return analyze(job.source, bundle=wishes.bundle, only=wishes.only, detector=wishes.detector, progress=progress)


def _written(timeline: "Timeline", job: Job, files: dict[str, Path], wishes: Wishes) -> Outcome:
    """Write every result by itself: where one cannot be made or written, the others are there and are told."""
    written: dict[str, Path] = {}
    failures: list[str] = []
    further = Further(job.source, timeline, wishes)
    making: list[tuple[str, Callable[[], Writers]]] = [("timeline", lambda: _own(timeline, job, wishes))]
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
                    written[name] = files[name]
    unseen = (NOTHING_TO_DRAW_ON,) if wishes.annotate and not _has_video(timeline) else ()
    problems = (*timeline.metadata.problems, *unseen, *further.problems)
    return Outcome(job.source, written, dict(timeline.summary()), problems, failure="; ".join(failures) or None)


def _own(timeline: "Timeline", job: Job, wishes: Wishes) -> Writers:
    """Return what writes the timeline itself, and draws it where there are pictures."""
    drawn = ("annotated",) if wishes.annotate and _has_video(timeline) else ()
    return {kind: partial(write, timeline, kind, source=job.source) for kind in (*wishes.formats, *drawn)}


def _has_video(timeline: "Timeline") -> bool:
    return not any(gap.kind == NO_VIDEO_TRACK for gap in timeline.metadata.gaps)


@contextmanager
def _failing(what: str, failures: list[str], wishes: Wishes) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if wishes.debug:
            raise
        failures.append(f"{what}: {reason(error)}")


def write(timeline: "Timeline", kind: str, path: Path, source: Path) -> None:
    """Write one result; each appears whole or not at all."""
    if kind == "csv":
        timeline.to_csv(path)
    elif kind == "json":
        timeline.to_json(path)
    elif kind == "parquet":
        timeline.to_parquet(path)
    elif kind == "html":
        from emotrace.inference import thumbnails
        from emotrace.report import thumbnail_times, write_report

        pictures = thumbnails.take(source, thumbnail_times(timeline.metadata.duration_seconds))
        write_report(timeline, path, media=source, thumbnails=pictures)
    else:
        from emotrace.annotate import annotate

        annotate(source, timeline, path)


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the outcomes as plain data for JSON."""
    return {
        "results": [
            {
                "input": str(outcome.source),
                "files": {name: str(path) for name, path in outcome.files.items()},
                "summary": outcome.summary,
                "problems": list(outcome.problems),
            }
            for outcome in outcomes
            if outcome.files and not outcome.skipped
        ],
        "skipped": [str(outcome.source) for outcome in outcomes if outcome.skipped],
        "failed": [
            {"input": str(outcome.source), "reason": outcome.failure} for outcome in outcomes if outcome.failure
        ],
    }
