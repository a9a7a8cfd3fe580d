"""One clip's file of features, of OpenFace, openSMILE or anything else -> rows in time, and these on the label clock.

Which columns mean what: OpenFace 2 writes `frame`, `face_id`, `timestamp`, `confidence` and `success` beside its
features, openSMILE `name` and `frameTime`; elsewhere a column `time`, `timestamp` or `frameTime` holds seconds from the
start of the clip. Every other column is a feature. One row is of the whole clip, whatever its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import latest, tick_times
from emotrace.corpora.feature_formats import read_cells
from emotrace.corpora.label_table import shown
from emotrace.errors import CorpusError
from emotrace.types import BoolArray, FloatArray, IntArray

MAX_SECONDS = 24 * 3600.0
MAX_PERIOD_SECONDS = 10.0
"""Of rows in time: more says that the times are no seconds."""
MAX_DROPPED_SHARE = 0.01

_OPENFACE = ("frame", "timestamp", "confidence", "success")
_NO_FEATURES = (*_OPENFACE, "face_id")
_TIMES = ("time", "timestamp", "frametime")
_SLACK_SECONDS = 1e-6


@dataclass(frozen=True)
class TableReport:
    """What was found in a file of features.

    Attributes:
        rows: of the file.
        faces: how many faces OpenFace followed; 0 where the file does not tell.
        other_rows: of other faces than the one with the most rows, left out.
        dropped_rows: whose time does not rise, left out.
        invalid_rows: of those left, without features: success 0, or more than half of the cells without a number.
        nan_cells: of those left, without a number (or an infinite one).
        rate_hz: of the rows, the median; None for one row per clip.
        start_seconds: of the first row; None for one row per clip.
        end_seconds: a median period after the last row; None for one row per clip.
        longest_gap_seconds: without a valid row, between the first row and the end.
    """

    rows: int
    faces: int
    other_rows: int
    dropped_rows: int
    invalid_rows: int
    nan_cells: int
    rate_hz: float | None
    start_seconds: float | None
    end_seconds: float | None
    longest_gap_seconds: float

    @property
    def valid_share(self) -> float:
        """Which share of the rows that were not left out has features."""
        kept = self.rows - self.other_rows - self.dropped_rows
        return (kept - self.invalid_rows) / kept


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of one clip and one modality.

    Attributes:
        times: [N] rising seconds from the start of the clip; [0.0] for one row per clip.
        values: [N, D]; NaN throughout invalid rows and nowhere else.
        names: [D] of the columns.
        valid: [N] whether the row has features.
        per_clip: whether there is one row, of the whole clip.
        report: what was found.
    """

    times: NDArray[np.float64]
    values: FloatArray
    names: tuple[str, ...]
    valid: BoolArray
    per_clip: bool
    report: TableReport


@dataclass(frozen=True)
class _Columns:
    """Places of what a file has."""

    features: list[int]
    time: int | None
    success: int | None
    face: int | None


def read_features(path: Path) -> FeatureTable:
    """Read a file of features, CSV, Parquet, npz or npy.

    A cell without a finite number becomes the mean of its column over the clip's valid rows, or 0 where there is none.

    Raises:
        CorpusError: the file is missing, damaged, too large, of another format, or has no feature or row; a column
            holds no numbers; there are several rows and no times, or times that are negative, do not rise in more than
            `MAX_DROPPED_SHARE` of the rows, or cannot be seconds.
        SettingsError: it is Parquet, and pyarrow is not installed.
    """
    names, cells = read_cells(path)
    columns = _columns(path, names)
    rows = len(cells)
    cells, faces = _one_face(cells, columns.face) if columns.face is not None else (cells, 0)
    found = len(cells)
    per_clip = found == 1
    cells, times = (cells, np.zeros(1)) if per_clip else _rising(path, cells, columns.time)
    rate_hz = None if per_clip else _rate(path, times)
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which counts as missing
        values = cells[:, columns.features].astype(np.float32)
    is_found = np.ones(len(cells), dtype=np.bool_) if columns.success is None else cells[:, columns.success] >= 0.5
    valid, nan_cells = _fill(values, is_found)
    report = TableReport(
        rows=rows,
        faces=faces,
        other_rows=rows - found,
        dropped_rows=found - len(cells),
        invalid_rows=int((~valid).sum()),
        nan_cells=nan_cells,
        rate_hz=rate_hz,
        start_seconds=None if rate_hz is None else float(times[0]),
        end_seconds=None if rate_hz is None else float(times[-1]) + 1 / rate_hz,
        longest_gap_seconds=0.0 if rate_hz is None else _longest_gap(times, valid, 1 / rate_hz),
    )
    return FeatureTable(times, values, tuple(names[place] for place in columns.features), valid, per_clip, report)


def on_clock(
    table: FeatureTable, ticks: int, rate_hz: float, max_age_seconds: float = 0.5
) -> tuple[FloatArray, IntArray]:
    """Place features on a label clock: what is known at a tick was measured at or before it.

    The valid rows that came since the tick before are averaged, so that nothing is skipped of a faster file; of a
    slower one every row stands as it is. Invalid rows are as if they were not there.

    Args:
        table: the features.
        ticks: of the clock, T.
        rate_hz: of the clock.
        max_age_seconds: for how long a row holds; for 1.5 periods of the file where that is longer, and for the whole
            clip where there is one row per clip.

    Returns:
        Rows [W, D], and [T] which of them is the latest at each tick; -1 where none is young enough.
    """
    values = table.values[table.valid]
    if table.per_clip:
        return values, np.full(ticks, len(values) - 1, dtype=np.int64)
    if not len(values):
        return values, np.full(ticks, -1, dtype=np.int64)
    times = table.times[table.valid]
    tick = np.maximum(np.ceil((times - _SLACK_SECONDS) * rate_hz), 0).astype(np.int64)
    starts = np.flatnonzero(np.diff(tick, prepend=-1))
    counts = np.diff(starts, append=len(tick))
    means = np.add.reduceat(values, starts, axis=0, dtype=np.float64) / counts[:, None]
    period = 0.0 if table.report.rate_hz is None else 1 / table.report.rate_hz
    index = latest(times[starts + counts - 1], tick_times(0, ticks, rate_hz), max(max_age_seconds, 1.5 * period))
    return means.astype(np.float32), index


def _columns(path: Path, names: Sequence[str]) -> _Columns:
    places = {name.lower(): place for place, name in enumerate(names)}
    is_openface = all(name in places for name in _OPENFACE)
    timed = ["timestamp"] if is_openface else [name for name in _TIMES if name in places]
    if len(timed) > 1:
        raise CorpusError(f"{path} has the columns {shown(timed)}: expected one with the times. Cut the others.")
    skipped = {*timed, *(_NO_FEATURES if is_openface else ())}
    features = [place for place, name in enumerate(names) if name.lower() not in skipped]
    if not features:
        raise CorpusError(f"{path} has the columns {shown(names)}, of which none is a feature: export it again.")
    return _Columns(
        features=features,
        time=places[timed[0]] if timed else None,
        success=places["success"] if is_openface else None,
        face=places.get("face_id") if is_openface else None,
    )


def _one_face(cells: NDArray[np.float64], place: int) -> tuple[NDArray[np.float64], int]:
    """Return the rows of the face that has the most, the lowest number of several, and how many faces there are."""
    face = np.nan_to_num(cells[:, place], nan=-1.0)
    numbers, counts = np.unique(face, return_counts=True)
    return cells[face == numbers[counts.argmax()]], len(numbers)


def _rising(
    path: Path, cells: NDArray[np.float64], place: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows that are later than all before them, and their times."""
    if place is None:
        raise CorpusError(
            f"{path} has {len(cells)} rows and no column {', '.join(_TIMES)}: add the seconds from the start of the "
            "clip, or keep one row for the whole clip."
        )
    times = np.where(np.isfinite(cells[:, place]), cells[:, place], -np.inf)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(times)[:-1]])
    kept = times > before
    dropped = int((~kept).sum())
    if dropped > MAX_DROPPED_SHARE * len(cells):
        row = int((~kept).argmax())
        raise CorpusError(
            f"{path}: the time of {dropped} of {len(cells)} rows does not rise, first {cells[row, place]:g} in row "
            f"{row + 1} of them; expected {MAX_DROPPED_SHARE:.0%} of such rows at most: sort or correct the times."
        )
    return cells[kept], times[kept]


def _rate(path: Path, times: NDArray[np.float64]) -> float:
    period = float(np.median(np.diff(times)))
    if times[0] < -_SLACK_SECONDS:
        raise CorpusError(f"{path}: the times begin at {times[0]:g}, expected seconds from the start of the clip, 0.")
    if period > MAX_PERIOD_SECONDS or times[-1] > MAX_SECONDS:
        raise CorpusError(
            f"{path}: the times run to {times[-1]:g} in steps of {period:g}; expected seconds, {MAX_SECONDS:g} at most "
            f"in steps of {MAX_PERIOD_SECONDS:g} at most: rescale them (from milliseconds, or from frames)."
        )
    return 1 / period


def _fill(values: FloatArray, is_found: BoolArray) -> tuple[BoolArray, int]:
    """Fill single missing cells in place; return which rows are valid, and how many cells had no number."""
    known = np.isfinite(values)
    valid: BoolArray = is_found & (2 * known.sum(axis=1) >= values.shape[1])
    used = known & valid[:, None]
    total = np.sum(values, axis=0, where=used, dtype=np.float64)
    means = (total / np.maximum(used.sum(axis=0), 1)).astype(np.float32)
    np.copyto(values, means, where=~known)
    values[~valid] = np.nan
    return valid, int((~known).sum())


def _longest_gap(times: NDArray[np.float64], valid: BoolArray, period: float) -> float:
    """Return the longest time without a valid row, each of which holds for a period, rounded to 1 ms."""
    heard = times[valid]
    edges = np.concatenate([[times[0]], heard + period]), np.concatenate([heard, [times[-1] + period]])
    return round(float(max(0.0, (edges[1] - edges[0]).max())), 3)
