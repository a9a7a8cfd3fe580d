"""labels.csv of a folder of features -> its clips with their files, speakers and classes. See `feature_tables.py`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal

from emotrace.corpora.label_table import Row, read_table, shown
from emotrace.corpora.own_labels import inside, is_filled, name_of
from emotrace.corpora.rated import DIMENSIONS
from emotrace.corpora.splits import split_in
from emotrace.errors import CorpusError

TABLE = "labels.csv"
Modality = Literal["voice", "face"]
MODALITIES: tuple[Modality, ...] = ("voice", "face")
COLUMNS = ("clip", *MODALITIES, "emotion", *DIMENSIONS, "labels", "speaker", "split", "dialogue")
"""What `labels.csv` may have."""
MAX_CLIPS = 100_000
MAX_CLASSES = 100

_WORD = re.compile(r"\w[\w -]{0,39}")


@dataclass(frozen=True)
class Entry:
    """One row of `labels.csv`, its files found.

    Attributes:
        row: of the table.
        name: of the clip, fit to be a file's name.
        subject: the speaker, or the clip itself.
        split: None where none is given.
        label: the class; None where arousal and valence are rated.
        dialogue: None where the clip is a turn of none.
        files: of features.
    """

    row: Row
    name: str
    subject: str
    split: str | None
    label: str | None
    dialogue: str | None
    files: dict[Modality, Path]


def entries_in(root: Path) -> list[Entry]:
    """Read `labels.csv` and look whether its files are there.

    Raises:
        CorpusError: the table is not as `feature_tables.py` says; the row is named.
    """
    table = inside(root, TABLE, f"--root {root}")
    columns, found = read_table(table)
    _check_columns(table, columns)
    rows = list(islice(found, MAX_CLIPS + 1))
    if not 0 < len(rows) <= MAX_CLIPS:
        raise CorpusError(f"{table} has {'no' if not rows else 'too many'} rows: expected 1 to {MAX_CLIPS}.")
    has_speaker, has_split, has_class = (is_filled(rows, column) for column in ("speaker", "split", "emotion"))
    entries = [_entry(root, row, has_speaker=has_speaker, has_split=has_split, has_class=has_class) for row in rows]
    _check_unique(entries)
    labels = {entry.label for entry in entries}
    if has_class and not 2 <= len(labels) <= MAX_CLASSES:
        raise CorpusError(f"{table} has {len(labels)} classes in emotion: expected 2 to {MAX_CLASSES}, one word each.")
    return entries


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise CorpusError(
            f"{table} has the unknown column(s) {shown(unknown)}: known are {', '.join(COLUMNS)}. Rename or cut them."
        )
    pair = set(DIMENSIONS) & set(columns)
    has_files = any(modality in columns for modality in MODALITIES)
    has_labels = pair or "labels" in columns or "emotion" in columns
    if "clip" not in columns or not has_files or len(pair) == 1 or not has_labels:
        raise CorpusError(
            f"{table} has the columns {shown(columns)}: expected clip; voice, face or both; and emotion, or arousal "
            "and valence, or labels. docs/feature-tables.md shows the layout."
        )


def _check_unique(entries: Sequence[Entry]) -> None:
    names: dict[str, Entry] = {}
    files: dict[Path, Entry] = {}
    for entry in entries:
        same = names.setdefault(entry.name.casefold(), entry)
        if same is not entry:
            raise CorpusError(
                f"{entry.row.place}: {entry.row.cells['clip']!r} and {same.row.cells['clip']!r} of row "
                f"{same.row.number} would both be called {entry.name!r} in the results: rename one of the two clips."
            )
        for modality, path in entry.files.items():
            if path in files:
                raise CorpusError(
                    f"{entry.row.place}: {entry.row.cells[modality]!r} also stands in row {files[path].row.number}: "
                    "give every clip and modality a file of its own."
                )
            files[path] = entry


def _entry(root: Path, row: Row, *, has_speaker: bool, has_split: bool, has_class: bool) -> Entry:
    if not row.cells["clip"]:
        raise CorpusError(f"{row.place}: clip is empty: name the clip, or cut the row.")
    name = name_of(row, PurePosixPath(row.cells["clip"]))
    files: dict[Modality, Path] = {
        modality: inside(root, row.cells[modality].replace("\\", "/"), row.place)
        for modality in MODALITIES
        if row.cells.get(modality)
    }
    if not files:
        raise CorpusError(f"{row.place}: voice and face are empty: name a file of features, or cut the row.")
    has_ratings = any(row.cells.get(column) for column in (*DIMENSIONS, "labels"))
    if has_class == has_ratings:
        found = "an emotion and arousal, valence or labels" if has_class else "no label"
        raise CorpusError(
            f"{row.place}: there is {found}: expected an emotion in all rows, or arousal and valence (or labels) in "
            "all rows, and nothing of the other."
        )
    label = row.cells["emotion"].lower() if has_class else None
    if label is not None and not _WORD.fullmatch(label):
        raise CorpusError(f"{row.place}: emotion is {label[:60]!r}: expected a word of letters, 40 at most.")
    return Entry(
        row=row,
        name=name,
        subject=row.cells["speaker"] if has_speaker else name,
        split=split_in(row) if has_split else None,
        label=label,
        dialogue=row.cells.get("dialogue") or None,
        files=files,
    )


def drawn_together(entries: Sequence[Entry]) -> list[str]:
    """Return per clip the first in the alphabet of all speakers whom dialogues link to its speaker.

    A turn must not be learnt from where another of its dialogue is judged.
    """
    linked = {entry.subject: entry.subject for entry in entries}

    def first_of(speaker: str) -> str:
        while linked[speaker] != speaker:
            linked[speaker] = linked[linked[speaker]]
            speaker = linked[speaker]
        return speaker

    heard: dict[str, str] = {}
    for entry in entries:
        if entry.dialogue is not None:
            pair = first_of(entry.subject), first_of(heard.setdefault(entry.dialogue, entry.subject))
            linked[max(pair)] = min(pair)
    return [first_of(entry.subject) for entry in entries]
