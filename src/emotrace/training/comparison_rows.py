"""What a comparison found, one row per system and seed, and the CSV files that keep it.

Two kinds of rows: `Row` is a whole system that was trained with one seed, `StageOneRow` a face network alone (the first
stage of Liu & Tang 2021, figures 4 and 5). A figure that is NaN and one that is not there mean the same: not defined.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from emotrace.errors import EmotraceError
from emotrace.writing import atomic_path

CURVES = ("missing face", "missing voice", "contradicting face", "contradicting voice")
"""What a curve of a `Row` is about."""

SHARES = (0, 10, 30, 50, 70, 100)
"""Where a curve is measured: percent of the time."""

MAX_BYTES = 64 * 1024 * 1024
"""A results file that is larger is not one of ours."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CURVE = re.compile(r"(missing|contradicting)_(face|voice)_([0-9]+)_ccc_(?:arousal|valence)")
_INTERVAL = re.compile(r"(.+)_(?:low|high)")
_FIRST = ("system", "seed")
_FOLD = "fold"
_ENDS = ("low", "high")


@dataclass(frozen=True)
class Row:
    """What one system reached with one seed.

    Attributes:
        system: key of the preset.
        seed: of the training.
        figures: name -> value, `ccc_arousal`, `rmse_valence`, `seconds_training` and the like; names are lower case
            with underscores and do not end in `_low` or `_high`.
        intervals: name of a figure -> lower and upper end of its 95 % bootstrap interval over recordings.
        fold: of a cross-validation; None where there is none.
        curves: one of `CURVES` -> share of what is missing or contradicts, in percent -> CCC of arousal, of valence.
    """

    system: str
    seed: int
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    curves: Mapping[str, Mapping[int, tuple[float, float]]]
    fold: int | None = None

    def figure(self, name: str) -> float:
        """Return a figure, NaN where it is not defined."""
        return self.figures.get(name, math.nan)


@dataclass(frozen=True)
class StageOneRow:
    """What one face network reached alone, for one dimension and seed.

    Attributes:
        network: its key.
        dimension: "arousal" or "valence".
        seed: of the training.
        r2: coefficient of determination on test data, at most 1.
        rmse: on test data; labels in [-1, 1].
        parameters: count, at the size that was trained.
        multiply_adds: for one image, at the size that was trained.
        full_parameters: count, at the size of the paper.
        full_multiply_adds: for one image, at the size of the paper.
        seconds_per_epoch: median over the epochs.
        r2_curve: one validation figure per epoch.
        rmse_curve: one validation figure per epoch.
    """

    network: str
    dimension: str
    seed: int
    r2: float
    rmse: float
    parameters: int
    multiply_adds: int
    full_parameters: int
    full_multiply_adds: int
    seconds_per_epoch: float
    r2_curve: tuple[float, ...]
    rmse_curve: tuple[float, ...]


def by_system(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows; systems stand in the order of their first appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.system, []).append(row)
    return groups


def by_network(rows: Iterable[StageOneRow]) -> dict[str, list[StageOneRow]]:
    """Group rows; networks stand in the order of their first appearance."""
    groups: dict[str, list[StageOneRow]] = {}
    for row in rows:
        groups.setdefault(row.network, []).append(row)
    return groups


def defined(values: Iterable[float]) -> list[float]:
    """Return the finite values."""
    return [value for value in values if math.isfinite(value)]


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one line per row: system, seed, fold if there are any, then figures, ends of intervals, points of curves.

    An empty cell is not defined for that row. `read_csv` is the inverse but for what is NaN, which it leaves out.

    Raises:
        ValueError: the name of a figure, interval or curve is none that could be read back.
        TimelineError: the file cannot be written; an old one stays.
    """
    cells = [_flat(row) for row in rows]
    names = sorted({name for row in rows for name in row.figures})
    columns = [
        *names,
        *(f"{name}_{end}" for name in sorted({name for row in rows for name in row.intervals}) for end in _ENDS),
        *(column for point in sorted({point for row in rows for point in _points(row)}) for column in _pair(*point)),
    ]
    has_folds = any(row.fold is not None for row in rows)
    lines = [
        [
            row.system,
            str(row.seed),
            *([str(row.fold)] if has_folds else []),
            *(_text(flat.get(column, math.nan)) for column in columns),
        ]
        for row, flat in zip(rows, cells, strict=True)
    ]
    _write(path, [*_FIRST, *([_FOLD] if has_folds else []), *columns], lines)


def read_csv(path: Path) -> list[Row]:
    """Read what `write_csv` wrote.

    Raises:
        EmotraceError: there is no such file, or it is not a table of this kind.
    """
    rows = []
    for number, cells in _lines(path, _FIRST):
        try:
            rows.append(_row(cells))
        except (ValueError, KeyError) as error:
            raise EmotraceError(f"{path} is damaged in row {number}: {error}. Make the comparison again.") from error
    return rows


def write_stage_one(rows: Sequence[StageOneRow], path: Path) -> None:
    """Write one line per row; the epochs of a curve stand in one cell with spaces between.

    Raises:
        TimelineError: the file cannot be written; an old one stays.
    """
    header = [each.name for each in fields(StageOneRow)]
    _write(path, header, [[_stage_one_text(getattr(row, name)) for name in header] for row in rows])


def read_stage_one(path: Path) -> list[StageOneRow]:
    """Read what `write_stage_one` wrote, exactly.

    Raises:
        EmotraceError: there is no such file, or it is not a table of this kind.
    """
    rows = []
    for number, cells in _lines(path, [each.name for each in fields(StageOneRow)]):
        try:
            rows.append(_stage_one_row(cells))
        except ValueError as error:
            raise EmotraceError(f"{path} is damaged in row {number}: {error}. Make the comparison again.") from error
    return rows


def _points(row: Row) -> list[tuple[str, int]]:
    return [(name, share) for name, curve in row.curves.items() for share in curve]


def _pair(curve: str, share: int) -> tuple[str, str]:
    stem = f"{curve.replace(' ', '_')}_{share}_ccc"
    return f"{stem}_arousal", f"{stem}_valence"


def _flat(row: Row) -> dict[str, float]:
    for name in (*row.figures, *row.intervals):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} found, a name of lower case letters, digits and underscores expected")
    for name in row.figures:
        if name in (*_FIRST, _FOLD) or _CURVE.fullmatch(name) or _INTERVAL.fullmatch(name):
            raise ValueError(f"the figure {name!r} has the name of another column: rename it")
    for name, share in _points(row):
        if name not in CURVES or share < 0:
            raise ValueError(f"the curve {name!r} at {share} % found, one of {CURVES} from 0 % expected")
    cells = dict(row.figures)
    for name, ends in row.intervals.items():
        cells.update(zip((f"{name}_{end}" for end in _ENDS), ends, strict=True))
    for name, share in _points(row):
        cells.update(zip(_pair(name, share), row.curves[name][share], strict=True))
    return cells


def _row(cells: Mapping[str, str]) -> Row:
    values = {column: _number(text) for column, text in cells.items() if column not in (*_FIRST, _FOLD)}
    figures: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    curves: dict[str, dict[int, tuple[float, float]]] = {}
    for column, value in values.items():
        if found := _CURVE.fullmatch(column):
            name, share = f"{found[1]} {found[2]}", int(found[3])
            low, high = _pair(name, share)
            if not math.isnan(values[low]) or not math.isnan(values[high]):
                curves.setdefault(name, {})[share] = (values[low], values[high])
        elif found := _INTERVAL.fullmatch(column):
            low, high = (f"{found[1]}_{end}" for end in _ENDS)
            if not math.isnan(values[low]) or not math.isnan(values[high]):
                intervals[found[1]] = (values[low], values[high])
        elif not math.isnan(value):
            figures[column] = value
    fold = int(cells[_FOLD]) if _FOLD in cells else None
    return Row(cells["system"], int(cells["seed"]), figures, intervals, curves, fold)


def _stage_one_text(value: str | float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return " ".join(repr(float(each)) for each in value)
    return value if isinstance(value, str) else _text(value)


def _stage_one_row(cells: Mapping[str, str]) -> StageOneRow:
    return StageOneRow(
        network=cells["network"],
        dimension=cells["dimension"],
        seed=int(cells["seed"]),
        r2=_number(cells["r2"]),
        rmse=_number(cells["rmse"]),
        parameters=int(cells["parameters"]),
        multiply_adds=int(cells["multiply_adds"]),
        full_parameters=int(cells["full_parameters"]),
        full_multiply_adds=int(cells["full_multiply_adds"]),
        seconds_per_epoch=_number(cells["seconds_per_epoch"]),
        r2_curve=tuple(map(float, cells["r2_curve"].split())),
        rmse_curve=tuple(map(float, cells["rmse_curve"].split())),
    )


def _text(value: float) -> str:
    """Return the shortest text that reads as the same number, nothing for NaN."""
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else repr(float(value)).removesuffix(".0")


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _write(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def _lines(path: Path, first: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line, from 2, and its cells by column; the header begins with `first`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EmotraceError(f"{path} has more than {MAX_BYTES} bytes: give the results of a comparison.")
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EmotraceError(f"{path} cannot be read: {error}. Give the results of a comparison.") from error
    header = table[0] if table else []
    if header[: len(first)] != list(first) or len(set(header)) < len(header):
        raise EmotraceError(f"{path} has the columns {header[:9]}, expected {list(first)} first and none twice.")
    for number, line in enumerate(table[1:], start=2):
        if len(line) != len(header):
            raise EmotraceError(f"{path} has {len(line)} cells in row {number}, expected {len(header)}.")
        yield number, dict(zip(header, line, strict=True))
