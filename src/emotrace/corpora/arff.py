"""A table in Weka's ARFF format, as the AVEC challenges hand out labels and features -> numbers and texts by column.

Format: "Attribute-Relation File Format (ARFF)", Weka manual 3.8, chapter "ARFF"; read are numeric, string and nominal
attributes, the dense and the sparse form. Dates, relational attributes and weights of rows are refused.
"""

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.errors import CorpusError

MAX_BYTES = 256 * 2**20
MAX_LINE_BYTES = 2**20
MAX_COLUMNS = 100_000
MAX_VALUES = 2**24
"""Rows times columns: a sparse row of three bytes can stand for any number of columns."""

_NUMERIC = ("numeric", "real", "integer")
_VALUE = r"""(?:'(?P<single>(?:[^'\\]|\\.)*+)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<bare>[^,'"%{}]*+))"""
# Possessive throughout: a line made to be slow takes no longer than its length.
_CELL = re.compile(rf"[ \t]*+{_VALUE}[ \t]*+(?P<end>,|$|(?=%))")
_PAIR = re.compile(rf"[ \t]*+(?P<index>\d{{1,9}})[ \t]++{_VALUE}[ \t]*+(?P<end>,|\}}[ \t]*+(?:$|(?=%)))", re.ASCII)
_ATTRIBUTE = re.compile(
    r"""@attribute[ \t]++(?:'(?P<single>(?:[^'\\]|\\.)*+)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<bare>[^ \t'"{},%]++))"""
    r"""[ \t]*+(?P<type>\{.*|[^ \t%]++)""",
    re.IGNORECASE,
)
_NEEDS_CARE = re.compile(r"""['"%{}?]""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, eq=False)
class Table:
    """What a file of rows and columns holds.

    Attributes:
        path: of the file.
        names: of the numeric columns, N, each once.
        numbers: [rows, N]; NaN where the file has no value.
        texts: the other columns by name, one text per row; empty where the file has no value.
    """

    path: Path
    names: tuple[str, ...]
    numbers: NDArray[np.float64]
    texts: Mapping[str, tuple[str, ...]]

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the numeric column [rows] of a name.

        Raises:
            CorpusError: there is none; the message names those that are there.
        """
        if name not in self.names:
            there = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
            raise CorpusError(f"{self.path} has no numeric column {name!r}, but {there or 'none'}: check the file.")
        return self.numbers[:, self.names.index(name)]


@dataclass(frozen=True)
class _Attribute:
    name: str
    is_number: bool
    values: tuple[str, ...] = ()
    """Of a nominal attribute; a string attribute has none."""


def read_arff(path: Path) -> Table:
    """Read a whole file.

    Raises:
        CorpusError: the file is not ARFF as the module describes it, or beyond its bounds; the line is named, from 1.
    """
    rows = _numbered_lines(path)
    attributes = _header(rows, path)
    numeric = [index for index, each in enumerate(attributes) if each.is_number]
    textual = [index for index, each in enumerate(attributes) if not each.is_number]
    numbers, num_rows = array("d"), 0
    texts: list[list[str]] = [[] for _ in textual]
    for line_number, line in rows:
        if _is_empty(line):
            continue
        num_rows += 1
        if num_rows * len(attributes) > MAX_VALUES:
            raise _refusal(path, line_number, f"more than {MAX_VALUES} values", "Cut the file into smaller ones.")
        try:
            cells = _sparse(line, attributes) if line.startswith("{") else _dense(line, attributes)
            numbers.extend([_number(cells[index], attributes[index]) for index in numeric])
            for column, index in zip(texts, textual, strict=True):
                column.append(_text(cells[index], attributes[index]))
        except ValueError as error:
            raise _refusal(path, line_number, str(error), "Download or export the file again.") from error
    return Table(
        path=path,
        names=tuple(attributes[index].name for index in numeric),
        numbers=np.array(numbers, dtype=np.float64).reshape(num_rows, len(numeric)),
        texts={attributes[index].name: tuple(column) for column, index in zip(texts, textual, strict=True)},
    )


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers from 1, without the white space around them.

    Raises:
        CorpusError: it is no file, it cannot be read, is too large, has too long a line, or is not UTF-8.
    """
    try:
        if not path.is_file():
            raise CorpusError(f"{path} is not a file: check the name, or unpack the corpus again.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CorpusError(f"{path} has {size} bytes; at most {MAX_BYTES} are read. Cut it into smaller ones.")
        with path.open("rb") as file:
            line_number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                line_number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise _refusal(path, line_number, f"more than {MAX_LINE_BYTES} bytes", "Is this a table at all?")
                yield line_number, raw.decode("utf-8-sig" if line_number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise _refusal(path, line_number, "no UTF-8 text", "Save the file as UTF-8.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error}. Check the permissions.") from error


def _refusal(path: Path, line_number: int, found: str, advice: str) -> CorpusError:
    return CorpusError(f"{path}, line {line_number}: {found}. {advice}")


def _is_empty(line: str) -> bool:
    return not line or line.startswith("%")


def _header(rows: Iterator[tuple[int, str]], path: Path) -> list[_Attribute]:
    """Read up to and with @data."""
    attributes: dict[str, _Attribute] = {}
    line_number = 0
    for line_number, line in rows:
        if _is_empty(line):
            continue
        keyword = line.split(maxsplit=1)[0].lower()
        if keyword == "@data":
            if not attributes:
                raise _refusal(path, line_number, "@data before any @attribute", "Download the file again.")
            return list(attributes.values())
        try:
            if keyword == "@attribute":
                attribute = _attribute(line)
                if attribute.name in attributes:
                    raise ValueError(f"a second attribute {attribute.name!r}")
                if len(attributes) == MAX_COLUMNS:
                    raise ValueError(f"more than {MAX_COLUMNS} attributes")
                attributes[attribute.name] = attribute
            elif keyword != "@relation":
                raise ValueError(f"{line[:40]!r}, expected @relation, @attribute or @data")
        except ValueError as error:
            raise _refusal(path, line_number, str(error), "Download or export the file again.") from error
    raise _refusal(path, line_number, "the file ends without @data", "Download the file again.")


def _attribute(line: str) -> _Attribute:
    found = _ATTRIBUTE.match(line)
    if not found:
        raise ValueError(f"{line[:60]!r}, expected @attribute NAME TYPE")
    name, kind = _unquoted(found) or "", found["type"]
    if kind.startswith("{"):
        inside, closed, _ = kind[1:].rpartition("}")
        if not closed:
            raise ValueError(f"the values of attribute {name!r} do not end with a brace")
        values = tuple(value or "" for value in _cells(inside))
        return _Attribute(name, is_number=False, values=values)
    if kind.lower() not in (*_NUMERIC, "string"):
        raise ValueError(f"attribute {name!r} is of type {kind[:20]!r}, expected numeric, string or {{values}}")
    return _Attribute(name, is_number=kind.lower() in _NUMERIC)


def _unquoted(found: re.Match[str]) -> str | None:
    """Return a value without its quotes; None for a question mark that is not quoted."""
    if found["bare"] is not None:
        bare = found["bare"].strip()
        return None if bare == "?" else bare
    quoted = found["single"] if found["single"] is not None else found["double"]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted)


def _cells(line: str) -> list[str | None]:
    if not _NEEDS_CARE.search(line):
        return [cell.strip() for cell in line.split(",")]
    cells: list[str | None] = []
    place = 0
    while found := _CELL.match(line, place):
        cells.append(_unquoted(found))
        place = found.end()
        if found["end"] != ",":
            return cells
    raise ValueError(f"no value can be read from {line[place : place + 40]!r}")


def _dense(line: str, attributes: Sequence[_Attribute]) -> list[str | None]:
    cells = _cells(line)
    if len(cells) != len(attributes):
        raise ValueError(f"{len(cells)} values, expected {len(attributes)}")
    return cells


def _sparse(line: str, attributes: Sequence[_Attribute]) -> list[str | None]:
    """Read {index value, ...}: what is left out is 0, or the first of the nominal values."""
    cells: list[str | None] = ["0" if each.is_number else (*each.values, "")[0] for each in attributes]
    if re.fullmatch(r"\{[ \t]*+\}[ \t]*+(?:%.*)?", line):
        return cells
    place = 1
    while found := _PAIR.match(line, place):
        index = int(found["index"])
        if index >= len(attributes):
            raise ValueError(f"a value for column {index}, but the columns end at {len(attributes) - 1}")
        cells[index] = _unquoted(found)
        place = found.end()
        if found["end"] != ",":
            return cells
    raise ValueError(f"no index and value can be read from {line[place : place + 40]!r}")


def _number(cell: str | None, attribute: _Attribute) -> float:
    if cell is None:
        return math.nan
    try:
        return float(cell)
    except ValueError as error:
        raise ValueError(f"{cell[:40]!r} in column {attribute.name!r}, expected a number") from error


def _text(cell: str | None, attribute: _Attribute) -> str:
    if cell is not None and attribute.values and cell not in attribute.values:
        raise ValueError(f"{cell[:40]!r} in column {attribute.name!r}, which is none of its values")
    return cell or ""
