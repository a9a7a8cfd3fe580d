"""Outcomes -> a table of what failed: on the terminal, and as `failures.csv` beside the results."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from emotrace.app.job import Outcome

NAME = "failures.csv"
_COLUMNS = ("input", "reason")
_SHOWN = 50
_MAX_WIDTH = 60


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of the table, of at most 50 failures."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    width = min(_MAX_WIDTH, max((len(str(outcome.source)) for outcome in failed), default=0))
    yield f"{len(failed)} of {len(outcomes)} inputs failed:"
    for outcome in failed[:_SHOWN]:
        yield f"  {outcome.source!s:{width}}  {outcome.failure}"
    if len(failed) > _SHOWN:
        yield f"  ... and {len(failed) - _SHOWN} more, in {NAME}"


def keep(outcomes: Sequence[Outcome], output: Path) -> None:
    """Write `failures.csv`, or remove that of an earlier run where nothing failed; no file of another kind is touched.

    Raises:
        TimelineError: it cannot be written.
    """
    path = output / NAME
    failed = [(str(outcome.source), outcome.failure) for outcome in outcomes if outcome.failure]
    if not _is_ours(path):
        return
    if not failed:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return
    from emotrace.writing import atomic_path

    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(failed)


def _is_ours(path: Path) -> bool:
    """Return whether there is none yet, or one of ours: a recording `failures.mp4` has a result of this name too."""
    try:
        with path.open("rb") as file:
            return file.readline(100) == (",".join(_COLUMNS) + "\n").encode()
    except FileNotFoundError:
        return True
    except OSError:
        return False
