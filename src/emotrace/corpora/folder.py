"""A folder of a user's own recordings with labels.csv -> recordings with arousal and valence over time.

Layout: `labels.csv` has one row per recording. `file` names it, relative to the folder. `arousal` and `valence` hold
one number each for the whole recording, or `labels` names a table of them over time (time, arousal, valence; several
raters: arousal_NAME, valence_NAME). `subject` and `split` are optional, but stand in all rows or in none.
docs/your-own-data.md explains it with an example. Nothing is written.
"""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import num_ticks, tick_times
from emotrace.corpora.label_table import LAYOUT as _SEE_LAYOUT
from emotrace.corpora.label_table import Row, read_table, shown
from emotrace.corpora.rated import DIMENSIONS, SPLITS, RatedRecording
from emotrace.errors import CorpusError, MediaError, SettingsError
from emotrace.media import ClipInfo, open_clip
from emotrace.ratings import plain_mean
from emotrace.types import FloatArray

LICENCE = "your own: what the people in the recordings have agreed to"
CITATION = "your own recordings, in the layout of docs/your-own-data.md"
HOMEPAGE = "docs/your-own-data.md"
LAYOUT = """\
labels.csv   a line per recording: file, then arousal and valence, or labels; subject and split if wanted
the files that it names, video or sound, and the tables of labels over time"""
TABLE = "labels.csv"
COLUMNS = ("file", "arousal", "valence", "labels", "subject", "split")
"""What `labels.csv` may have; `file` and either `arousal` and `valence` or `labels` are needed."""
LABEL_RATE_HZ = 25.0
MAX_RECORDINGS = 100_000
MAX_RATERS = 100
MAX_SECONDS = 24 * 3600.0
"""Of one recording: a damaged header may declare years, and a constant trace would be made for all of them."""

_SPLIT_NAMES = {"train": "train", "validation": "validation", "dev": "validation", "test": "test"}
_MAX_NAME_BYTES = 200
_MIN_SLACK_SECONDS = 1.0
_SLACK_SHARE = 0.05


@dataclass(frozen=True)
class _Entry:
    """One row of `labels.csv`, its file found."""

    row: Row
    name: str
    path: Path
    subject: str
    split: str | None


def read(root: Path, *, validation_share: float = 0.2, test_share: float = 0.2, seed: int = 0) -> list[RatedRecording]:
    """List the recordings of `labels.csv` in its order, their labels resampled linearly to 25 Hz.

    Where the table gives no split, it is drawn by subject, the same for every order of the rows; a recording without a
    subject is its own. A given split may leave out one of the three, for instance in a folder that only tests.

    Args:
        root: the folder that holds `labels.csv`.
        validation_share: of the recordings, about; only where splits are drawn, as are the two others.
        test_share: of the recordings, about.
        seed: another one draws other splits.

    Raises:
        CorpusError: the table, a table of labels or a media file is missing, unreadable, beyond the bounds above,
            outside the folder, or does not fit the others; a subject stands in two splits; a split has one recording.
        SettingsError: the shares are not above 0, or leave nothing for training.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise SettingsError(
            f"validation_share and test_share are {validation_share} and {test_share}: "
            "expected numbers above 0 that sum to less than 1."
        )
    entries = _entries(root)
    if entries[0].split is None:
        splits = _drawn_splits(entries, {"test": test_share, "validation": validation_share}, seed)
    else:
        splits = _given_splits(entries)
    return [_recording(root, entry, splits[entry.subject]) for entry in entries]


def _entries(root: Path) -> list[_Entry]:
    table = _inside(root, TABLE, f"--root {root}")
    columns, found = read_table(table)
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise CorpusError(
            f"{table} has the unknown column(s) {shown(unknown)}: known are {', '.join(COLUMNS)}. Rename or cut them."
        )
    pair = set(DIMENSIONS) & set(columns)
    if "file" not in columns or len(pair) == 1 or not (pair or "labels" in columns):
        raise CorpusError(
            f"{table} has the columns {shown(columns)}: expected file, and both arousal and valence, or labels, "
            f"or all three. {_SEE_LAYOUT}."
        )
    rows = list(islice(found, MAX_RECORDINGS + 1))
    if not 0 < len(rows) <= MAX_RECORDINGS:
        raise CorpusError(f"{table} has {'no' if not rows else 'too many'} rows: expected 1 to {MAX_RECORDINGS}.")
    has_subject, has_split = _is_filled(rows, "subject"), _is_filled(rows, "split")
    entries: list[_Entry] = []
    files: dict[Path, _Entry] = {}
    names: dict[str, _Entry] = {}
    for row in rows:
        entry = _entry(root, row, has_subject=has_subject, has_split=has_split)
        same = files.setdefault(entry.path, entry)
        if same is not entry:
            raise CorpusError(
                f"{row.place}: {row.cells['file']!r} is the file of row {same.row.number}: cut one of the two."
            )
        alike = names.setdefault(entry.name.casefold(), entry)
        if alike is not entry:
            raise CorpusError(
                f"{row.place}: {row.cells['file']!r} and {alike.row.cells['file']!r} of row {alike.row.number} would "
                f"both be called {entry.name!r} in the results: rename one of the two files."
            )
        entries.append(entry)
    return entries


def _is_filled(rows: Sequence[Row], column: str) -> bool:
    """Tell whether a column is there: in all rows or in none."""
    empty = [row for row in rows if not row.cells.get(column)]
    if 0 < len(empty) < len(rows):
        raise CorpusError(
            f"{empty[0].place}: {column} is empty, but not in all rows: fill the column in all rows or in none."
        )
    return not empty


def _entry(root: Path, row: Row, *, has_subject: bool, has_split: bool) -> _Entry:
    file = row.cells["file"].replace("\\", "/")
    if not file:
        raise CorpusError(f"{row.place}: file is empty: name a recording, or cut the row.")
    path = _inside(root, file, row.place)
    name = re.sub(r"[^\w-]+", "-", PurePosixPath(file).with_suffix("").as_posix())
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise CorpusError(f"{row.place}: the path is longer than {_MAX_NAME_BYTES} bytes: use shorter names.")
    split = row.cells["split"].lower() if has_split else None
    if split is not None and split not in _SPLIT_NAMES:
        raise CorpusError(f"{row.place}: split is {split[:40]!r}: expected one of {', '.join(_SPLIT_NAMES)}.")
    subject = row.cells["subject"] if has_subject else name
    return _Entry(row, name, path, subject, None if split is None else _SPLIT_NAMES[split])


def _inside(root: Path, text: str, place: str) -> Path:
    """Return the file that a path relative to the folder leads to, links followed, still inside the folder."""
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


def _given_splits(entries: Sequence[_Entry]) -> dict[str, str]:
    """Return the split of every subject."""
    first: dict[str, _Entry] = {}
    splits: dict[str, str] = {}
    for entry in entries:
        other = first.setdefault(entry.subject, entry)
        if other.split != entry.split:
            raise CorpusError(
                f"{entry.row.place}: subject {entry.subject!r} is in {entry.split}, but in row {other.row.number} in "
                f"{other.split}: put all recordings of a subject into one split."
            )
        splits[entry.subject] = str(entry.split)
    counts = Counter(entry.split for entry in entries)
    for split in SPLITS:
        if counts[split] == 1:
            raise CorpusError(f"The split {split} has one recording: expected two at least. Move some to it.")
    return splits


def _drawn_splits(entries: Sequence[_Entry], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of every subject: subjects in an order that only their names and the seed decide."""
    counts = Counter(entry.subject for entry in entries)
    waiting = sorted(counts, key=lambda subject: hashlib.sha256(f"{seed} {subject}".encode()).digest())
    splits: dict[str, str] = {}
    for split, share in shares.items():
        missing = max(2, round(share * len(entries)))
        while waiting and missing > 0:
            subject = waiting.pop()
            splits[subject] = split
            missing -= counts[subject]
    splits |= dict.fromkeys(waiting, "train")
    held = Counter(splits[entry.subject] for entry in entries)
    if any(held[split] < 2 for split in SPLITS):
        raise CorpusError(
            f"{len(entries)} recordings of {len(counts)} subjects gave splits of "
            f"{', '.join(f'{held[split]} ({split})' for split in SPLITS)}: expected two recordings at least in each. "
            "Add recordings of other subjects, or fill the column split yourself."
        )
    return splits


def _recording(root: Path, entry: _Entry, split: str) -> RatedRecording:
    info = _media(entry)
    duration = info.duration_seconds
    if duration is None or not 0 < duration <= MAX_SECONDS:
        found = "no length" if duration is None else f"a length of {duration:g} s"
        raise CorpusError(
            f"{entry.row.place}: {entry.path.name} declares {found}, expected up to {MAX_SECONDS:g} s: "
            "convert it to mp4 or wav."
        )
    labels, ratings = _labels(root, entry.row, duration)
    return RatedRecording(
        name=entry.name,
        subject=entry.subject,
        split=split,
        video=entry.path if info.has_video else None,
        audio=entry.path if info.has_audio else None,
        label_rate_hz=LABEL_RATE_HZ,
        labels=labels,
        ratings=ratings,
    )


def _media(entry: _Entry) -> ClipInfo:
    try:
        return open_clip(entry.path).info
    except MediaError as error:
        raise CorpusError(f"{entry.row.place}: {error}") from error


def _labels(root: Path, row: Row, duration: float) -> tuple[FloatArray, FloatArray | None]:
    """Return labels [T, 2] and, of several raters, ratings [R, T, 2], over the length of the recording."""
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
    path = _inside(root, table.replace("\\", "/"), row.place)
    times, ratings, has_raters = _trace(path)
    slack = max(_MIN_SLACK_SECONDS, _SLACK_SHARE * duration)
    if abs(times[0]) > slack or abs(times[-1] - duration) > slack:
        raise CorpusError(
            f"{row.place}: the labels in {table!r} run from {times[0]:g} to {times[-1]:g} s, but {row.cells['file']!r} "
            f"from 0 to {duration:.2f} s; expected the same within {slack:.1f} s: check both files, and that the times "
            "are seconds."
        )
    resampled = np.stack([[np.interp(ticks, times, trace) for trace in rater.T] for rater in ratings])
    traces = resampled.transpose(0, 2, 1).astype(np.float32)
    if not has_raters:
        return traces[0], None
    means = [plain_mean(traces[:, :, dimension]) for dimension in range(len(DIMENSIONS))]
    return np.stack(means, axis=1), traces


def _trace(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return times [N], values [R, N, 2], and whether the columns name raters."""
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
    for row in rows:
        time = row.number_in("time")
        if times and time <= times[-1]:
            raise CorpusError(
                f"{row.place}: time is {time:g} after {times[-1]:g}: expected times that rise from row to row."
            )
        times.append(time)
        values.extend(row.label_in(column) for column in chosen)
    if not times:
        raise CorpusError(f"{path} has no row of labels: export them again.")
    stacked = np.asarray(values).reshape(len(times), len(raters), len(DIMENSIONS))
    return np.asarray(times), stacked.transpose(1, 0, 2), raters != [""]
