"""Jobs -> timelines on disk, one after the other; what fails is named and does not stop the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotrace.app.console import reason
from emotrace.app.inputs import ANNOTATED_SUFFIX, Job
from emotrace.errors import EmotraceError, SettingsError
from emotrace.timeline_schema import NO_VIDEO_TRACK

if TYPE_CHECKING:
    from emotrace.bundle import Bundle
    from emotrace.timeline import Timeline

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
        skip_existing: whether a job whose results are all there is left alone.
        debug: whether an unforeseen error is raised instead of told in one line.
    """

    bundle: "Bundle"
    formats: tuple[str, ...]
    only: Literal["voice", "face"] | None = None
    detector: Literal["auto", "yunet", "haar"] | None = None
    annotate: bool = False
    skip_existing: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        source: the input.
        files: results by format that were written; "annotated" is the video.
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
    files = {name: job.result(f".{name}") for name in wishes.formats}
    return files | ({"annotated": job.result(ANNOTATED_SUFFIX)} if wishes.annotate else {})


def _analyzed(job: Job, wishes: Wishes, progress: Progress) -> "Timeline":
    from emotrace.inference.offline import analyze

    return analyze(job.source, bundle=wishes.bundle, only=wishes.only, detector=wishes.detector, progress=progress)


def _written(timeline: "Timeline", job: Job, files: dict[str, Path], wishes: Wishes) -> Outcome:
    """Write every result by itself: where one cannot be written, the others are there and are told."""
    written: dict[str, Path] = {}
    failures: list[str] = []
    problems = timeline.metadata.problems
    if "annotated" in files and any(gap.kind == NO_VIDEO_TRACK for gap in timeline.metadata.gaps):
        files = {name: path for name, path in files.items() if name != "annotated"}
        problems = (*problems, "sound alone: there are no pictures to draw the trace on")
    for name, path in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(timeline, name, path, job.source)
            written[name] = path
        except Exception as error:
            if wishes.debug:
                raise
            failures.append(f"{name}: {reason(error)}")
    return Outcome(job.source, written, dict(timeline.summary()), problems, failure="; ".join(failures) or None)


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
