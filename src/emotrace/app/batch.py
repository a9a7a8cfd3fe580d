"""Jobs -> timelines on disk, one after the other; what fails is named and does not stop the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotrace.app.console import reason
from emotrace.app.inputs import ANNOTATED_SUFFIX, Job
from emotrace.errors import EmotraceError, SettingsError
from emotrace.timeline_schema import NO_VIDEO_TRACK

if TYPE_CHECKING:
    from emotrace.bundle import Bundle
    from emotrace.explanation import Explanation
    from emotrace.inference.dialogue import Dialogue
    from emotrace.timeline import Timeline
    from emotrace.turns import Turn

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


def check_turns(path: Path | None, num_jobs: int, *, dialogue: bool) -> "tuple[Turn, ...] | None":
    """Return the turns of a file; None without one.

    Raises:
        SettingsError: the file is none of turns, or it is not known of which recording they are.
    """
    if path is None:
        return None
    if not dialogue or num_jobs != 1:
        found = f"{num_jobs} inputs" if dialogue else "no --dialogue"
        raise SettingsError(
            f"--turns {path}: there are {found}; expected --dialogue and the one recording that it is of."
        )
    from emotrace.turns import read_turns

    return read_turns(path)


def check_explain(bundle: "Bundle", *, explain: bool, dialogue: bool) -> bool:
    """Return whether to explain.

    Raises:
        SettingsError: the bundle shows nothing of what is asked for.
    """
    if explain:
        from emotrace.inference.explaining import check_shows

        check_shows(bundle, dialogue=dialogue)
    return explain


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
        suffixes |= {"turns": ".turns.csv", "turns.json": ".turns.json"}
    if wishes.explain:
        suffixes |= {"explained": ".explained.html", "explained.json": ".explained.json"}
    return {name: job.result(suffix) for name, suffix in suffixes.items()}


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
    further = _Further(job.source, timeline, wishes)
    for name, path in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not further.write(name, path):
                write(timeline, name, path, job.source)
            written[name] = path
        except Exception as error:
            if wishes.debug:
                raise
            failures.append(f"{name}: {reason(error)}")
    problems = (*problems, *further.problems)
    return Outcome(job.source, written, dict(timeline.summary()), problems, failure="; ".join(failures) or None)


class _Further:
    """What is made of a recording beside its timeline, when its first file is asked for."""

    def __init__(self, source: Path, timeline: "Timeline", wishes: Wishes) -> None:
        self._source = source
        self._timeline = timeline
        self._wishes = wishes

    def write(self, kind: str, path: Path) -> bool:
        """Write one result; return whether it is one of these."""
        if kind.startswith("turns"):
            self._write_turns(kind, path)
        elif kind.startswith("explained"):
            self._write_explained(kind, path)
        return kind.startswith(("turns", "explained"))

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the turns that were given."""
        return self._dialogue.problems if self._wishes.dialogue and "_dialogue" in vars(self) else ()

    @cached_property
    def _dialogue(self) -> "Dialogue":
        from emotrace.inference.dialogue import answer_turns

        wishes = self._wishes
        return answer_turns(self._source, self._timeline, wishes.bundle, wishes.turns, wishes.detector)

    @cached_property
    def _explained(self) -> "tuple[Explanation, ...]":
        from emotrace.inference.explaining import explain, shows_clips

        wishes = self._wishes
        turns = self._dialogue.shown if wishes.dialogue else ()
        if not shows_clips(wishes.bundle):
            return turns
        return (*explain(self._source, wishes.bundle, only=wishes.only, detector=wishes.detector), *turns)

    def _write_turns(self, kind: str, path: Path) -> None:
        from emotrace.turn_table import write_turns_csv, write_turns_json

        if kind == "turns":
            write_turns_csv(path, self._dialogue.answers, self._dialogue.classes)
        else:
            write_turns_json(path, self._dialogue.answers, self._timeline.summary())

    def _write_explained(self, kind: str, path: Path) -> None:
        from emotrace.explanation import write_explanations_json
        from emotrace.explanation_page import write_explanations

        write = write_explanations if kind == "explained" else write_explanations_json
        classes = self._timeline.metadata.clip_probabilities
        write(path, self._explained, source_name=self._source.name, clip_probabilities=classes)


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
