"""Cells of a user's labels.csv -> files inside the folder, and arousal and valence over time at 25 Hz.

docs/your-own-data.md shows the tables of labels over time.
"""

import re
from array import array
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import num_ticks, tick_times
from emotrace.corpora.label_table import Row, read_table, shown
from emotrace.corpora.rated import DIMENSIONS
from emotrace.errors import CorpusError
from emotrace.ratings import plain_mean
from emotrace.types import FloatArray

LABEL_RATE_HZ = 25.0
MAX_RATERS = 100

_MAX_NAME_BYTES = 200
_MIN_SLACK_SECONDS = 1.0
_SLACK_SHARE = 0.05


def is_filled(rows: Sequence[Row], column: str) -> bool:
    """Tell whether a column is there.

    Raises:
        CorpusError: it is filled in some rows and empty in others.
    """
    empty = [row for row in rows if not row.cells.get(column)]
    if 0 < len(empty) < len(rows):
        raise CorpusError(
            f"{empty[0].place}: {column} is empty, but not in all rows: fill the column in all rows or in none."
        )
    return not empty


def name_of(row: Row, path: PurePosixPath) -> str:
    """Return a name that is fit to be a file's, of a path without its suffix.

    Raises:
        CorpusError: it is too long.
    """
    name = re.sub(r"[^\w-]+", "-", path.as_posix())
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise CorpusError(f"{row.place}: the path is longer than {_MAX_NAME_BYTES} bytes: use shorter names.")
    return name


def inside(root: Path, text: str, place: str) -> Path:
    """Return the file that a path relative to the folder leads to, links followed, still inside the folder.

    Args:
        root: the folder.
        text: the path.
        place: where it stands, for the message.

    Raises:
        CorpusError: it is missing, or leads out of the folder.
    """
    relative = PurePosixPath(text)
    if relative.is_absolute() or ".." in relative.parts:
        raise CorpusError(f"{place}: {text[:200]!r} leads out of the folder: give a path relative to it, without '..'.")
    try:
        path = (root / relative).resolve()
        is_file, is_inside = path.is_file(), path.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as problem:  # a loop of links, a name that no file can have
        raise CorpusError(f"{place}: {text[:200]!r} cannot be found: {problem}.") from problem
    if not is_inside:
        raise CorpusError(f"{place}: {text[:200]!r} leads out of the folder through a link: copy the file into it.")
    if not is_file:
        raise CorpusError(f"{place}: {text[:200]!r} is missing in {root}: check the name, or copy the file there.")
    return path


def labels_in(root: Path, row: Row, duration: float, what: str) -> tuple[FloatArray, FloatArray | None]:
    """Return labels [T, 2] and, of several raters, ratings [R, T, 2], over the length of a recording at 25 Hz.

    Args:
        root: the folder, for the table that the cell `labels` names.
        row: with `arousal` and `valence`, or `labels`.
        duration: of the recording in seconds.
        what: names the recording in messages.

    Raises:
        CorpusError: there is no label or two, one is out of range, or a table of labels does not fit.
    """
    ticks = tick_times(0, max(1, num_ticks(duration, LABEL_RATE_HZ)), LABEL_RATE_HZ)
    table = row.cells.get("labels", "")
    has_numbers = any(row.cells.get(dimension) for dimension in DIMENSIONS)
    if bool(table) == has_numbers:
        found = "both numbers and a file of labels" if table else "no label"
        raise CorpusError(
            f"{row.place}: there is {found}: expected arousal and valence, or the name of a CSV file in labels."
        )
    if has_numbers:
        values = [row.label_in(dimension) for dimension in DIMENSIONS]
        return np.tile(np.asarray(values, dtype=np.float32), (len(ticks), 1)), None
    times, ratings, has_raters = trace_in(root, row)
    slack = max(_MIN_SLACK_SECONDS, _SLACK_SHARE * duration)
    if abs(times[0]) > slack or abs(times[-1] - duration) > slack:
        raise CorpusError(
            f"{row.place}: the labels in {table!r} run from {times[0]:g} to {times[-1]:g} s, but {what!r} "
            f"from 0 to {duration:.2f} s; expected the same within {slack:.1f} s: check both files, and that the times "
            "are seconds."
        )
    resampled = np.stack([[np.interp(ticks, times, trace) for trace in rater.T] for rater in ratings])
    traces = resampled.transpose(0, 2, 1).astype(np.float32)
    if not has_raters:
        return traces[0], None
    means = [plain_mean(traces[:, :, dimension]) for dimension in range(len(DIMENSIONS))]
    return np.stack(means, axis=1), traces


def trace_in(root: Path, row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return what the table holds that the cell `labels` names.

    Args:
        root: the folder.
        row: whose cell is filled.

    Returns:
        Times [N] in seconds, values [R, N, 2], and whether the columns name raters.

    Raises:
        CorpusError: the table is missing, outside the folder, or not as docs/your-own-data.md says.
    """
    path = inside(root, row.cells["labels"].replace("\\", "/"), row.place)
    columns, rows = read_table(path)
    # In order of their names, so that a rater has the same place in all recordings.
    raters = sorted(column.removeprefix("arousal") for column in columns if re.fullmatch(r"arousal(_.+)?", column))
    chosen = [dimension + rater for rater in raters for dimension in DIMENSIONS]
    if not raters or ("" in raters and len(raters) > 1) or set(columns) != {"time", *chosen}:
        raise CorpusError(
            f"{path} has the columns {shown(columns)}: expected time, arousal and valence, or time and a pair "
            "arousal_NAME and valence_NAME for every rater."
        )
    if len(raters) > MAX_RATERS:
        raise CorpusError(f"{path} has {len(raters)} raters: expected {MAX_RATERS} at most.")
    times, values = array("d"), array("d")
    for label in rows:
        time = label.number_in("time")
        if times and time <= times[-1]:
            raise CorpusError(
                f"{label.place}: time is {time:g} after {times[-1]:g}: expected times that rise from row to row."
            )
        times.append(time)
        values.extend(label.label_in(column) for column in chosen)
    if not times:
        raise CorpusError(f"{path} has no row of labels: export them again.")
    stacked = np.asarray(values).reshape(len(times), len(raters), len(DIMENSIONS))
    return np.asarray(times), stacked.transpose(1, 0, 2), raters != [""]
