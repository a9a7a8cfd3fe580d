"""A CSV file made by hand or by a spreadsheet -> its columns and rows, or an error that names the row.

Comma or semicolon between the cells (then with a comma or a point in numbers), UTF-8 with or without a mark before it.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotrace.errors import CorpusError

MAX_TABLE_BYTES = 64 * 2**20
LAYOUT = "docs/your-own-data.md shows the layout"
_RESCALE = "rescale a 1..9 scale by (x - 5) / 4, a 1..5 scale by (x - 3) / 2"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        table: the file.
        number: as an editor and a spreadsheet count; the names of the columns are row 1.
        cells: by the name of the column, without blanks around them.
        decimal: what stands before the decimals beside a point.
    """

    table: Path
    number: int
    cells: Mapping[str, str]
    decimal: str

    @property
    def place(self) -> str:
        """Name the row in a message."""
        return f"{self.table}, row {self.number}"

    def number_in(self, column: str) -> float:
        """Return the number of a cell.

        Raises:
            CorpusError: there is none, or it is not finite.
        """
        cell = self.cells[column]
        try:
            value = float(cell.replace(self.decimal, "."))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise CorpusError(
                f"{self.place}: {column} is {cell[:40]!r}, expected a number: fill it in, or cut the row."
            )
        return value

    def label_in(self, column: str) -> float:
        """Return the number of a cell that holds arousal or valence.

        Raises:
            CorpusError: there is none, or it lies outside [-1, 1].
        """
        value = self.number_in(column)
        if not -1 <= value <= 1:
            raise CorpusError(f"{self.place}: {column} is {value:g}, expected -1 to 1: {_RESCALE}.")
        return value


def read_table(path: Path) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the columns in small letters, and the rows that are not empty, read one by one.

    Raises:
        CorpusError: the file is unreadable, too large, empty or no table; a column stands twice; a row (named when it
            is reached) has more or fewer cells than the first.
    """
    text = _text(path)
    first_line = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    records = _records(path, text, delimiter)
    _, header = next(records, (0, []))
    columns = [column.lower() for column in header]
    if not columns:
        raise CorpusError(f"{path} is empty: expected a first row with the names of the columns. {LAYOUT}.")
    repeated = [column for column, count in Counter(columns).items() if count > 1]
    if repeated:
        raise CorpusError(f"{path} has the column(s) {shown(repeated)} more than once: rename or cut them.")
    return columns, _rows(path, columns, records, decimal="," if delimiter == ";" else ".")


def shown(names: Sequence[str]) -> str:
    """Return names for a message, which stays short whatever the file holds."""
    return ", ".join(repr(name[:40]) for name in names[:8]) + (" ..." if len(names) > 8 else "")


def _rows(path: Path, columns: list[str], records: Iterator[tuple[int, list[str]]], decimal: str) -> Iterator[Row]:
    for number, cells in records:
        if len(cells) != len(columns):
            raise CorpusError(
                f"{path}, row {number}: found {len(cells)} cells, expected {len(columns)} as in the first row: "
                "put a text that holds the separator in quotes."
            )
        yield Row(path, number, dict(zip(columns, cells, strict=True)), decimal)


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield what is not empty, each with the number of its line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise CorpusError(f"{path}, row {reader.line_num}: not a table: {error}. Save it as CSV again.") from error


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_TABLE_BYTES:
            raise CorpusError(
                f"{path} has {size / 2**20:.0f} MB, expected {MAX_TABLE_BYTES // 2**20} MB at most: is it a table?"
            )
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error}. Check the permissions.") from error
    data = data.removeprefix(b"\xef\xbb\xbf")  # the mark that spreadsheets put before UTF-8
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path}, row {row}: not UTF-8 text. Save it as 'CSV UTF-8'.") from error
    if "\0" in text:
        raise CorpusError(f"{path} is not UTF-8 text, but UTF-16 or no text at all. Save it as 'CSV UTF-8'.")
    return text
