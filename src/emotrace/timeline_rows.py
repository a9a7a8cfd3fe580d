"""Columns of a timeline -> rows of text, a part at a time; what `Timeline.to_csv` and a growing file both write."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrace.timeline_schema import COLUMNS, Column

_ROWS_AT_ONCE = 4096


def slices(num_rows: int) -> Iterator[slice]:
    """Yield the rows in parts: numbers of Python take ten times the room of those in arrays."""
    for first in range(0, num_rows, _ROWS_AT_ONCE):
        yield slice(first, first + _ROWS_AT_ONCE)


def plain(column: Column, values: NDArray[Any]) -> list[float | int | None]:
    """Return values [T] as written in text files: rounded, None where unknown, flags as 0 and 1."""
    if column.kind in ("count", "flag"):
        return list(values.astype(np.int64).tolist())
    rounded = np.round(values.astype(np.float64), column.decimals)
    return [None if value != value else value for value in rounded.tolist()]


class CsvRows:
    """A CSV file of a header row and the rows so far; what is unknown is an empty field.

    Raises:
        OSError: the file cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        """Make the file and write the header row."""
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow([column.name for column in COLUMNS])

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Write the rows of columns in the types of a `Timeline`; whoever opens the file sees them."""
        for rows in slices(len(columns["time"])):
            fields = [
                ["" if value is None else value for value in plain(column, columns[column.name][rows])]
                for column in COLUMNS
            ]
            self._writer.writerows(zip(*fields, strict=True))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
