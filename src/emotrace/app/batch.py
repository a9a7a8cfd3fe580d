"""Jobs -> timelines on disk by worker processes; what is done already is skipped, what fails does not stop the rest."""

import hashlib
import json
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from emotrace.app import doing
from emotrace.app.bars import Bars
from emotrace.app.console import note
from emotrace.app.content import Content, stamp
from emotrace.app.inputs import PARTIAL_SUFFIX, Job, rows_kept
from emotrace.app.job import Outcome, Task, Wishes, do, result_files
from emotrace.app.ledger import Ledger, Line, open_ledger
from emotrace.app.limits import Limits, usable_cores
from emotrace.app.reasons import reason
from emotrace.app.workers import Begun, Ended, Told, Worker, supervise
from emotrace.errors import SettingsError
from emotrace.writing import remove_leftovers


@dataclass(frozen=True)
class Means:
    """How the jobs are done; the results do not depend on it.

    Attributes:
        workers: processes side by side; None for one per usable core.
        limits: of each job.
        again: whether what the ledger says is done is done anew.
        early: a worker that was started before the options were read; whoever started it ends it.
        engine: processes of this machine, or a Ray cluster's.
        ray_address: of the cluster; None for RAY_ADDRESS, or one on this machine for the time of the run.
    """

    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    again: bool = False
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    early: Worker | None = None

    def num_workers(self, num_jobs: int) -> int:
        """Return how many processes are of use."""
        return max(1, min(num_jobs, self.workers or usable_cores()))


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats without repetition.

    Raises:
        SettingsError: Parquet is asked for and pyarrow is not installed.
    """
    from importlib.util import find_spec

    if "parquet" in formats and find_spec("pyarrow") is None:
        raise SettingsError("--format parquet needs pyarrow: run pip install 'emotrace[parquet]'.")
    return tuple(dict.fromkeys(formats))


def check_engine(means: Means, *, debug: bool) -> None:
    """Refuse what the engine cannot do.

    Raises:
        SettingsError: Ray is asked for and is not installed, or what does not go with it.
    """
    from importlib.util import find_spec

    if means.engine != "ray":
        if means.ray_address is not None:
            raise SettingsError("--ray-address needs --engine ray.")
        return
    if debug:
        raise SettingsError("--debug does the work in this process: leave --engine ray out.")
    if find_spec("ray") is None:
        raise SettingsError("--engine ray needs Ray: run pip install 'emotrace[ray]', on all nodes.")


def run(jobs: Sequence[Job], wishes: Wishes, output: Path, means: Means, bars: Bars) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job as it ends; close the iterator to stop, what is done is kept.

    Args:
        jobs: of `find_jobs`.
        wishes: what to do with each; with `debug` it is done in this process.
        output: folder of the results, with the ledger of what is done.
        means: how to do it.
        bars: that show the progress.

    Raises:
        SettingsError: another run works in the folder.
        EmotraceError: the folder cannot be written, or no worker started.
    """
    targets = [_spelled(os.path.relpath(job.target, output)) for job in jobs]
    with open_ledger(output, targets) as ledger:
        remove_leftovers(path for job in jobs for path in result_files(job, wishes).values())
        book = _Book(ledger, wishes, output)
        tasks: list[Task] = []
        for job in jobs:
            known = None if means.again else book.known(job)
            files = result_files(job, wishes)
            if known is not None and known.stamp == stamp(job.source):
                bars.skipped()
                yield Outcome(job.source, files, skipped=True, content=known)
            elif wishes.skip_existing and all(path.is_file() for path in files.values()):
                bars.skipped()
                yield Outcome(job.source, files, skipped=True)
            else:
                tasks.append(Task(job, wishes, known.sha256 if known else None))
        done = _here(tasks) if wishes.debug else _by_workers(tasks, output, means, bars)
        with closing(done):
            for task, outcome in done:
                book.enter(task.job, outcome)
                yield outcome


def _here(tasks: Sequence[Task]) -> Generator[tuple[Task, Outcome], None, None]:
    for task in tasks:
        yield task, do(task, lambda sign: None)


def _by_workers(
    tasks: Sequence[Task], output: Path, means: Means, bars: Bars
) -> Generator[tuple[Task, Outcome], None, None]:
    running: set[int] = set()
    try:
        with closing(_events(tasks, output, means)) as events:
            for event in events:
                if isinstance(event, Begun):
                    running.add(event.number)
                    bars.begun(event.number, tasks[event.number].job.source.name)
                elif isinstance(event, Told):
                    bars.told(event.number, event.sign.done, event.sign.whole)
                else:
                    running.discard(event.number)
                    outcome = _outcome(tasks[event.number], event)
                    bars.ended(event.number, outcome.summary.get("duration_seconds"), bool(outcome.failure))
                    yield tasks[event.number], outcome
    finally:
        for number in running:  # their workers were killed
            _clear(tasks[number])


def _events(tasks: Sequence[Task], output: Path, means: Means) -> Generator[Begun | Told | Ended[Outcome], None, None]:
    if means.engine == "ray":
        if means.early is not None:
            means.early.end()
        # Read when Ray is imported: lines that it would print on stdout, among our results, and what it would report.
        os.environ |= {"RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_ALLOW_REGEX": "", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from emotrace.app.ray_engine import spread

        # Each node would look by itself which detector it has.
        alike = [replace(task, wishes=_for_any_node(task.wishes)) for task in tasks]
        return spread(alike, means.workers, means.limits, means.ray_address, output)
    num_workers = means.num_workers(len(tasks))
    threads: Literal[1] | None = 1 if num_workers > 1 else None
    told = [replace(task, wishes=replace(task.wishes, num_threads=threads)) for task in tasks]
    return supervise(doing.do, told, num_workers, means.limits, means.early, doing.prepare)


def _for_any_node(wishes: Wishes) -> Wishes:
    return replace(wishes, num_threads=1, detector=_detector(wishes))


def _outcome(task: Task, event: Ended[Outcome]) -> Outcome:
    if event.answer is not None:
        return event.answer
    _clear(task)
    partial = task.job.result(PARTIAL_SUFFIX)
    kept = rows_kept(partial) if "csv" in task.wishes.formats and partial.is_file() else ""
    return Outcome(task.job.source, failure=f"{event.failure}{kept}")


def _clear(task: Task) -> None:
    remove_leftovers(result_files(task.job, task.wishes).values())


class _Book:
    """Reads and writes the ledger for the wishes of one run."""

    def __init__(self, ledger: Ledger, wishes: Wishes, output: Path) -> None:
        from emotrace import __version__

        self._ledger = ledger
        self._wishes = wishes
        self._output = output
        self._version = __version__
        self._digest = _digest(wishes)

    def known(self, job: Job) -> Content | None:
        """Return the content that the job was done for; None where it was not, or otherwise, or results are lost."""
        line = self._ledger.last(self._target(job))
        files = result_files(job, self._wishes)
        if (
            line is None
            or line.failure is not None
            or line.content is None
            or (line.source, line.bundle, line.emotrace, line.wishes)
            != (self._source(job), self._wishes.bundle.digest, self._version, self._digest)
            or not set(files) <= set(line.asked)
        ):
            return None
        written = [name for name in files if name in line.sizes or name != "annotated"]  # sound alone has no pictures
        return line.content if all(line.sizes.get(name) == _size(files[name]) is not None for name in written) else None

    def enter(self, job: Job, outcome: Outcome) -> None:
        """Write what became of a job; what was there already, only where its content was looked at."""
        if outcome.skipped and outcome.content is None:
            return
        before = self._ledger.last(self._target(job)) if outcome.skipped else None
        sizes = {name: size for name, path in outcome.files.items() if (size := _size(path)) is not None}
        line = Line(
            source=self._source(job),
            target=self._target(job),
            content=outcome.content,
            bundle=self._wishes.bundle.digest,
            emotrace=self._version,
            wishes=self._digest,
            asked=before.asked if before else tuple(result_files(job, self._wishes)),
            sizes=before.sizes if before else sizes,
            failure=None if outcome.failure is None else _spelled(outcome.failure)[:1000],
        )
        try:
            self._ledger.add(line)
        except OSError as error:
            note(f"{job.source}: not noted as done ({reason(error)}), so the next run will do it again")

    def _target(self, job: Job) -> str:
        return _spelled(os.path.relpath(job.target, self._output))

    def _source(self, job: Job) -> str:
        """Return where the input lies as seen from the results, as the report links it."""
        real = os.path.realpath(job.source)
        try:
            return _spelled(os.path.relpath(real, os.path.realpath(self._output)))
        except ValueError:  # another drive
            return _spelled(real)


def _digest(wishes: Wishes) -> str:
    """Return 16 hex digits of what changes the results, but for the formats: a file is there or it is not."""
    turns = None if wishes.turns is None else [asdict(turn) for turn in wishes.turns]
    said = (wishes.only, wishes.people, _detector(wishes), wishes.dialogue, turns, wishes.explain)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _detector(wishes: Wishes) -> Literal["auto", "yunet", "haar"]:
    """Return the one that will run; "auto" where none does."""
    detector = wishes.detector or wishes.bundle.recipe.video.detector
    if detector == "auto" and wishes.only != "voice":
        from emotrace.model_files import YUNET

        return "yunet" if YUNET.path.is_file() else "haar"
    return detector


def _size(path: Path) -> int | None:
    found = stamp(path) if path.is_file() else None
    return None if found is None else found[0]


def _spelled(text: str) -> str:
    """Return a text that UTF-8 can spell: names of files may hold any bytes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


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
