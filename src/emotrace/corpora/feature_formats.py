"""A file of numbers as tools and people write them (CSV, Parquet, npz, npy) -> names of columns and cells.

Files come from strangers: sizes are checked before anything large is read, and nothing is unpickled.
"""

import csv
import math
import re
import warnings
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from emotrace.corpora.label_table import shown
from emotrace.errors import CorpusError, SettingsError

MAX_BYTES = 2**30
"""Of a file, and of what a packed one unpacks to."""
MAX_COLUMNS = 100_000
MAX_CELLS = 2**25
"""Rows times columns: OpenFace's 714 columns at 30 Hz for 26 minutes."""

_MAX_LINE = 4 * 2**20
_MISSING = frozenset(("", "nan", "-nan", "-nan(ind)", "na", "n/a", "null", "none", "?"))
_TEXT_COLUMN = "name"
"""openSMILE puts the name of the sound file or `'unknown'` there."""
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")

Cells = tuple[tuple[str, ...], NDArray[np.float64]]
"""Names of C columns, as written but for blanks around them, and cells [N, C], NaN where there is no value."""


def read_cells(path: Path) -> Cells:
    """Read a file by its suffix: .csv, .parquet, .npz (`features`, and `time` if wanted) or .npy (one row).

    A column `name` is left out; the columns of arrays are called "0", "1" and so on, beside "time".

    Raises:
        CorpusError: the file is missing, of another kind, damaged, beyond the bounds above, has no row, or a column
            without a name, a second one of the same name, or one that holds no numbers.
        SettingsError: it is Parquet, and pyarrow is not installed.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CorpusError(f"{path} ends in {path.suffix!r}: expected one of {', '.join(_READERS)}. Save it as such.")
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise CorpusError(f"{path} is not a file: check the name.")
        if size > MAX_BYTES:
            raise CorpusError(f"{path} has {size / 2**20:.0f} MB, expected {MAX_BYTES // 2**20} MB at most: cut it.")
        names, cells = reader(path)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {_line(error)}. Check the permissions, or copy it again.") from error
    if not len(cells):
        raise CorpusError(f"{path} has no row: export it again, or leave its cell in the table empty.")
    return names, cells


def _line(error: Exception) -> str:
    """Return a library's message as one line that stays short, whatever it quotes of the file."""
    return " ".join(str(error).split())[:200].rstrip(".")


def _check_size(path: Path, rows: int, columns: int) -> None:
    if columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise CorpusError(
            f"{path} has {rows} rows of {columns} columns, expected {MAX_COLUMNS} columns and {MAX_CELLS} values at "
            "most: cut the clip into shorter ones, or average neighbouring rows."
        )


def _check_names(path: Path, names: Sequence[str]) -> None:
    if "" in names:
        raise CorpusError(
            f"{path}: column {names.index('') + 1} has no name: name it, or cut it if it only counts the rows."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CorpusError(f"{path} has column(s) {shown(twice)} more than once: rename or cut them.")


def _csv(path: Path) -> Cells:
    values = array("d")
    rows = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline(_MAX_LINE)
            delimiter = ";" if line.count(";") > line.count(",") else ","
            header = _split(path, 1, line, delimiter)
            names = _header(path, header)
            places = [place for place, name in enumerate(header) if name.lower() != _TEXT_COLUMN]
            is_whole = len(places) == len(header)
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), ""), start=2):
                if not line.strip():
                    continue
                cells = _split(path, number, line, delimiter)
                if len(cells) != len(header):
                    raise CorpusError(
                        f"{path}, row {number}: found {len(cells)} cells, expected {len(header)} as in the first row: "
                        "export the file again."
                    )
                rows += 1
                _check_size(path, rows, len(names))
                kept = cells if is_whole else [cells[place] for place in places]
                try:
                    values.extend(list(map(float, kept)))
                except ValueError:
                    values.extend(_careful(path, number, names, kept, delimiter))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 text: save it as 'CSV UTF-8'.") from error
    return names, np.asarray(values).reshape(rows, len(names))


def _split(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    if len(line) >= _MAX_LINE:
        raise CorpusError(f"{path}, row {number}: longer than {_MAX_LINE} characters: is it a table of features?")
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)] if number == 1 else line.split(delimiter)
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise CorpusError(f"{path}, row {number}: not a row of a table: {error}. Export the file again.") from error


def _header(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name for name in header if name.lower() != _TEXT_COLUMN)
    if not any(header):
        raise CorpusError(f"{path} is empty: expected a first row with the names of the columns.")
    if all(map(_is_number, names)) and not all(name.isdecimal() for name in names):
        raise CorpusError(f"{path} begins with a row of numbers: expected the names of the columns. Add them.")
    _check_size(path, 1, len(names))
    _check_names(path, names)
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _careful(path: Path, number: int, names: Sequence[str], cells: Sequence[str], delimiter: str) -> list[float]:
    """Read a row in which a cell is empty, or written by a spreadsheet that puts a comma before decimals."""
    values = []
    for name, cell in zip(names, cells, strict=True):
        text = cell.strip().lower()
        try:
            number_text = text.replace(",", ".") if delimiter == ";" else text
            values.append(math.nan if text in _MISSING else float(number_text))
        except ValueError as error:
            raise CorpusError(
                f"{path}, row {number}: column {name[:60]!r} is {cell.strip()[:40]!r}, expected a number: "
                "cut the column if it is no feature (times are seconds in a column time)."
            ) from error
    return values


def _parquet(path: Path) -> Cells:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SettingsError(
            f"{path} is Parquet, which needs pyarrow: run pip install 'emotrace[parquet]', or save CSV or npz."
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            names = tuple(
                name for name in schema.names if name.lower() != _TEXT_COLUMN and not _PANDAS_INDEX.fullmatch(name)
            )
            _check_names(path, names)
            _check_size(path, metadata.num_rows, len(names))
            unpacked = sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
            if unpacked > MAX_BYTES:
                raise CorpusError(f"{path} unpacks to {unpacked} bytes, expected {MAX_BYTES} at most: cut it.")
            for name in names:
                kind = schema.field(name).type
                if not any(is_kind(kind) for is_kind in _number_kinds(pyarrow.types)):
                    raise CorpusError(
                        f"{path}: column {name[:60]!r} holds {kind}, expected numbers: cut the column if it is no "
                        "feature (times are seconds in a column time)."
                    )
            table = file.read(columns=list(names))
            columns = [table[name].cast(pyarrow.float64(), safe=False).to_numpy() for name in names]
    except (pyarrow.ArrowException, ValueError) as error:
        raise CorpusError(f"{path} cannot be read as Parquet: {_line(error)}. Save it again.") from error
    stripped = tuple(name.strip() for name in names)
    _check_names(path, stripped)
    return stripped, np.stack(columns, axis=1) if columns else np.zeros((metadata.num_rows, 0))


def _number_kinds(types: Any) -> tuple[Callable[[Any], bool], ...]:
    return types.is_floating, types.is_integer, types.is_boolean


def _npz(path: Path) -> Cells:
    arrays: dict[str, NDArray[np.float64]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {each.filename: each for each in archive.infolist()}
            wanted = [name for name in ("features", "time") if f"{name}.npy" in members]
            if "features" not in wanted:
                raise CorpusError(f"{path} holds {shown(list(members))}: expected an array features, [N, D] or [D].")
            total = sum(members[f"{name}.npy"].file_size for name in wanted)
            if total > MAX_BYTES:
                raise CorpusError(f"{path} unpacks to {total} bytes, expected {MAX_BYTES} at most: cut it.")
            for name in wanted:
                member = members[f"{name}.npy"]
                with archive.open(member) as file:
                    # Asked for no more than it declares, a member cannot unpack to more.
                    arrays[name] = _array(path, file.read(member.file_size))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CorpusError(f"{path} cannot be read as npz: {_line(error)}. Save it with numpy again.") from error
    names, features = _numbered(path, arrays["features"])
    time = arrays.get("time")
    if time is None:
        if len(features) > 1:
            raise CorpusError(f"{path} has {len(features)} rows and no array time: add time, [N] seconds.")
        return names, features
    if time.shape != (len(features),):
        raise CorpusError(f"{path}: time has shape {time.shape}, expected ({len(features)},) as features has rows.")
    return ("time", *names), np.column_stack([time, features])


def _npy(path: Path) -> Cells:
    names, features = _numbered(path, _array(path, path.read_bytes()))
    if len(features) > 1:
        raise CorpusError(
            f"{path} has {len(features)} rows and no times, which .npy cannot hold: save an npz with features and "
            "time, [N] seconds."
        )
    return names, features


def _numbered(path: Path, array: NDArray[np.float64]) -> Cells:
    features = np.atleast_2d(array)
    _check_size(path, *features.shape)
    return tuple(map(str, range(features.shape[1]))), features


def _array(path: Path, data: bytes) -> NDArray[np.float64]:
    """Read one array of one or two axes; what its head declares is checked before room is made for it."""
    stream = BytesIO(data)
    try:
        version = npy_format.read_magic(stream)
        heads = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
        if version not in heads:
            raise ValueError(f"version {version} of the format")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a head that Python 2 wrote, or that is damaged so as to look like it
            shape, _, dtype = heads[version](stream)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise ValueError(f"an array of {dtype}, not of numbers")
        if len(shape) not in (1, 2):
            raise ValueError(f"an array of shape {shape}, not [N, D] or [D]")
        if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(f"{len(data) - stream.tell()} bytes for shape {shape}")
        if math.prod(shape) > MAX_CELLS:
            raise ValueError(f"{math.prod(shape)} values, expected {MAX_CELLS} at most")
        stream.seek(0)
        array: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False)
        return array.astype(np.float64)
    except (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError, Warning) as error:
        raise CorpusError(f"{path} holds no array of numbers: {_line(error)}. Save it with numpy again.") from error


_READERS: dict[str, Callable[[Path], Cells]] = {".csv": _csv, ".parquet": _parquet, ".npz": _npz, ".npy": _npy}
