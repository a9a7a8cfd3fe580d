"""What happens to many recordings -> bars on a terminal: one for all, one for each that is running."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from emotrace.app.pace import Pace


@dataclass(frozen=True)
class Bars:
    """What to call when something happens; files have numbers.

    Attributes:
        skipped: there was nothing to do for a file.
        begun: a file of this name is running.
        told: so many seconds of it are done, of so many in all where that is known.
        ended: it is over; its length, None where unknown; whether it failed.
    """

    skipped: Callable[[], None]
    begun: Callable[[int, str], None]
    told: Callable[[int, float, float | None], None]
    ended: Callable[[int, float | None, bool], None]


NO_BARS = Bars(
    lambda: None, lambda number, name: None, lambda number, done, whole: None, lambda number, length, bad: None
)


@contextmanager
def bars(num_files: int) -> Iterator[Bars]:
    """Yield bars on stderr, which show nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield NO_BARS
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    pace = Pace(num_files, time.monotonic())
    files: dict[int, TaskID] = {}
    failures = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        overall = shown.add_task(_counted(0, num_files), total=num_files, told="")

        def refresh(advance: int = 0) -> None:
            shown.update(overall, advance=advance)
            done = round(shown.tasks[0].completed)
            now = time.monotonic()
            told = _told(failures, pace.speed(now), pace.seconds_left(now))
            shown.update(overall, description=_counted(done, num_files), told=told)

        def skipped() -> None:
            pace.skip()
            refresh(1)

        def begun(number: int, name: str) -> None:
            pace.begin(number)
            files[number] = shown.add_task(f"  {name}", total=None, told="")

        def told(number: int, done: float, whole: float | None) -> None:
            pace.go_on(number, done, whole)
            shown.update(files[number], completed=done, total=whole, told=f"{timedelta(seconds=round(done))}")
            refresh()

        def ended(number: int, length: float | None, failed: bool) -> None:
            nonlocal failures
            failures += failed
            pace.end(number, length)
            shown.remove_task(files.pop(number))
            refresh(1)

        yield Bars(skipped, begun, told, ended)


def _counted(done: int, num_files: int) -> str:
    return f"{done}/{num_files} files"


def _told(failures: int, speed: float, seconds_left: float | None) -> str:
    failed = [f"{failures} failed"] if failures else []
    left = [] if seconds_left is None else [f"{timedelta(seconds=round(seconds_left))} left"]
    return ", ".join([*failed, f"{speed:.1f}x real time", *left])
