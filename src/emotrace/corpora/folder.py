"""A folder of a user's own recordings with labels.csv -> recordings with arousal and valence over time.

Layout: `labels.csv` has one row per recording. `file` names it, relative to the folder. `arousal` and `valence` hold
one number each for the whole recording, or `labels` names a table of them over time (time, arousal, valence; several
raters: arousal_NAME, valence_NAME). `subject` and `split` are optional, but stand in all rows or in none.
docs/your-own-data.md explains it with an example. Nothing is written.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from emotrace.corpora.label_table import LAYOUT as _SEE_LAYOUT
from emotrace.corpora.label_table import Row, read_table, shown
from emotrace.corpora.own_labels import LABEL_RATE_HZ, inside, is_filled, labels_in, name_of
from emotrace.corpora.rated import DIMENSIONS, RatedRecording
from emotrace.corpora.splits import Placed, check_shares, drawn_splits, given_splits, split_in
from emotrace.errors import CorpusError, MediaError
from emotrace.media import ClipInfo, open_clip

LICENCE = "your own: what the people in the recordings have agreed to"
CITATION = "your own recordings, in the layout of docs/your-own-data.md"
HOMEPAGE = "docs/your-own-data.md"
LAYOUT = """\
labels.csv   a line per recording: file, then arousal and valence, or labels; subject and split if wanted
the files that it names, video or sound, and the tables of labels over time"""
TABLE = "labels.csv"
COLUMNS = ("file", "arousal", "valence", "labels", "subject", "split")
"""What `labels.csv` may have; `file` and either `arousal` and `valence` or `labels` are needed."""
MAX_RECORDINGS = 100_000
MAX_SECONDS = 24 * 3600.0
"""Of one recording: a damaged header may declare years, and a constant trace would be made for all of them."""


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
    check_shares(validation_share, test_share)
    entries = _entries(root)
    placed = [Placed(entry.row, entry.subject, entry.split) for entry in entries if entry.split is not None]
    if placed:
        splits = given_splits(placed)
    else:
        subjects = [entry.subject for entry in entries]
        splits = drawn_splits(subjects, validation_share=validation_share, test_share=test_share, seed=seed)
    return [_recording(root, entry, splits[entry.subject]) for entry in entries]


def _entries(root: Path) -> list[_Entry]:
    table = inside(root, TABLE, f"--root {root}")
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
    has_subject, has_split = is_filled(rows, "subject"), is_filled(rows, "split")
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


def _entry(root: Path, row: Row, *, has_subject: bool, has_split: bool) -> _Entry:
    file = row.cells["file"].replace("\\", "/")
    if not file:
        raise CorpusError(f"{row.place}: file is empty: name a recording, or cut the row.")
    path = inside(root, file, row.place)
    name = name_of(row, PurePosixPath(file).with_suffix(""))
    split = split_in(row) if has_split else None
    subject = row.cells["subject"] if has_subject else name
    return _Entry(row, name, path, subject, split)


def _recording(root: Path, entry: _Entry, split: str) -> RatedRecording:
    info = _media(entry)
    duration = info.duration_seconds
    if duration is None or not 0 < duration <= MAX_SECONDS:
        found = "no length" if duration is None else f"a length of {duration:g} s"
        raise CorpusError(
            f"{entry.row.place}: {entry.path.name} declares {found}, expected up to {MAX_SECONDS:g} s: "
            "convert it to mp4 or wav."
        )
    labels, ratings = labels_in(root, entry.row, duration, entry.row.cells["file"])
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
