"""A folder of features per clip with labels.csv -> clips with a class each, or with arousal and valence over time.

For those who hold features and no video. `labels.csv` has one row per clip: `clip` names it; `voice` and `face` name
its files of features, relative to the folder (empty where a modality is missing). Either every clip has an `emotion`, a
word, or every one has `arousal` and `valence`, one number each, or `labels`, a table of them over time as in
docs/your-own-data.md. `speaker` and `split` are optional, but stand in all rows or in none; `dialogue` names what a
clip is a turn of, its turns in order of time. `feature_files.py` tells what the files may be. Nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotrace.clock import num_ticks
from emotrace.corpora.feature_files import MAX_SECONDS, TableReport, on_clock, read_features
from emotrace.corpora.feature_rows import MODALITIES, Entry, Modality, drawn_together, entries_in
from emotrace.corpora.own_labels import LABEL_RATE_HZ, labels_in, trace_in
from emotrace.corpora.splits import Placed, check_shares, drawn_splits, given_splits
from emotrace.errors import CorpusError
from emotrace.types import BoolArray, FloatArray, IntArray

LICENCE = "your own: what the people in the recordings, and those who made the features, have agreed to"
CITATION = "your own features, in the layout of docs/feature-tables.md"
HOMEPAGE = "docs/feature-tables.md"
LAYOUT = """\
labels.csv   a line per clip: clip, voice and face, then emotion, or arousal and valence, or labels;
             speaker, split and dialogue if wanted
the files of features that it names (OpenFace, openSMILE or other CSV, Parquet, npz), and tables of labels over time"""
SECONDS_WITHOUT_TIMES = 1.0
"""How long a clip lasts of which nothing tells: all its features are one row per clip."""

_MIN_LATE_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class TabledClip:
    """One clip of which only features are there.

    Attributes:
        name: unique in its corpus, and fit to be a file's name.
        subject: who is seen and heard; the clip's own name where the table does not say.
        split: "train", "validation" or "test"; no subject stands in two.
        label: the class; None where arousal and valence are rated.
        labels: [T, 2] arousal and valence in [-1, 1]; None where there is a class.
        ticks: T, of the label clock at `LABEL_RATE_HZ`.
        dialogue: of which the clip is a turn; None where it is none. Where splits are drawn, a dialogue stands in one
            alone; given splits may part it, and then turns of another split are none of its history.
        voice: the file of features; None where there is none.
        face: the file of features; None where there is none.
        voice_names: of the columns of all voice files of the corpus; empty where it has none.
        face_names: of the columns of all face files of the corpus; empty where it has none.
        voice_report: what was found in the file; None where there is none.
        face_report: what was found in the file; None where there is none.
    """

    name: str
    subject: str
    split: str
    label: str | None
    labels: FloatArray | None
    ticks: int
    dialogue: str | None
    voice: Path | None
    face: Path | None
    voice_names: tuple[str, ...]
    face_names: tuple[str, ...]
    voice_report: TableReport | None
    face_report: TableReport | None


@dataclass(frozen=True, eq=False)
class TabledFeatures:
    """The features of a clip on the label clock.

    Attributes:
        voice: [W, D] rows in order of time; of no rows where there is no file, of width 1 where the corpus has none.
        voice_index: [T] which row is the latest at the tick; -1 where there is none.
        audio_valid: [T] whether there is one.
        face: [F, D], as `voice`.
        face_index: [T], as `voice_index`.
    """

    voice: FloatArray
    voice_index: IntArray
    audio_valid: BoolArray
    face: FloatArray
    face_index: IntArray


def read(root: Path, *, validation_share: float = 0.2, test_share: float = 0.2, seed: int = 0) -> list[TabledClip]:
    """List the clips of `labels.csv` in its order; every file of features is read once and checked.

    A clip lasts as long as its features in time; without such as long as its table of labels; else 1 s. Where the table
    gives no split, it is drawn by speaker, the same for every order of the rows; a clip without a speaker is its own,
    and speakers who share a dialogue are drawn together.

    Args:
        root: the folder that holds `labels.csv`.
        validation_share: of the clips, about; only where splits are drawn, as are the two others.
        test_share: of the clips, about.
        seed: another one draws other splits.

    Raises:
        CorpusError: the table, a table of labels or a file of features is missing, unreadable, beyond the bounds,
            outside the folder, or does not fit the others; some clips have a class and others ratings; the files of a
            modality differ in their columns; a speaker stands in two splits; a split has one clip.
        SettingsError: the shares are not above 0, or leave nothing for training; pyarrow is wanted and not installed.
    """
    check_shares(validation_share, test_share)
    entries = entries_in(root)
    placed = [Placed(entry.row, entry.subject, entry.split) for entry in entries if entry.split is not None]
    if placed:
        given = given_splits(placed, "speaker")
        splits = [given[entry.subject] for entry in entries]
    else:
        groups = drawn_together(entries)
        whose = "speakers" if groups == [entry.subject for entry in entries] else "speakers without a shared dialogue"
        drawn = drawn_splits(groups, validation_share=validation_share, test_share=test_share, seed=seed, whose=whose)
        splits = [drawn[group] for group in groups]
    columns: dict[Modality, tuple[tuple[str, ...], str]] = {}
    reports = [_reports(entry, columns) for entry in entries]
    names = {modality: columns[modality][0] if modality in columns else () for modality in MODALITIES}
    return [
        _clip(root, entry, split, found, names) for entry, split, found in zip(entries, splits, reports, strict=True)
    ]


def load(clip: TabledClip) -> TabledFeatures:
    """Read the features of a clip onto the label clock.

    Raises:
        CorpusError: a file is missing or damaged, or has other columns than when the corpus was read.
        SettingsError: it is Parquet, and pyarrow is not installed.
    """
    voice, voice_index = _on_ticks(clip, clip.voice, clip.voice_names)
    face, face_index = _on_ticks(clip, clip.face, clip.face_names)
    return TabledFeatures(voice, voice_index, voice_index >= 0, face, face_index)


def classes(clips: Sequence[TabledClip]) -> tuple[str, ...]:
    """Return the classes of a corpus in order of the alphabet; none where arousal and valence are rated."""
    return tuple(sorted({clip.label for clip in clips if clip.label is not None}))


def report(clips: Sequence[TabledClip]) -> list[dict[str, str | int | float]]:
    """Return what was found in the files, a row per clip and modality with the same keys; "" where nothing is to say.

    `rows` counts those of the file. Of these, `other_rows` were of another face and `dropped_rows` not in order of
    time: both are left out. `valid_share` of the rest has features.
    """
    return [
        _reported(clip, modality, found)
        for clip in clips
        for modality, found in (("voice", clip.voice_report), ("face", clip.face_report))
    ]


def _reported(clip: TabledClip, modality: str, found: TableReport | None) -> dict[str, str | int | float]:
    return {
        "clip": clip.name,
        "modality": modality,
        "clip_seconds": clip.ticks / LABEL_RATE_HZ,
        "rows": found.rows if found else 0,
        "rate_hz": round(found.rate_hz, 3) if found and found.rate_hz is not None else "",
        "valid_share": round(found.valid_share, 4) if found else 0.0,
        "nan_cells": found.nan_cells if found else 0,
        "dropped_rows": found.dropped_rows if found else 0,
        "invalid_rows": found.invalid_rows if found else 0,
        "faces": found.faces if found else 0,
        "other_rows": found.other_rows if found else 0,
        "longest_gap_seconds": found.longest_gap_seconds if found else "",
    }


def _reports(entry: Entry, columns: dict[Modality, tuple[tuple[str, ...], str]]) -> dict[Modality, TableReport]:
    """Read the files of a clip once; `columns` grows by what the first clip of a modality has."""
    found = {}
    for modality, path in entry.files.items():
        table = read_features(path)
        names, first = columns.setdefault(modality, (table.names, entry.name))
        _check_same(f"{entry.row.place}: clip {entry.name!r}, {modality}", table.names, names, f"as clip {first!r} has")
        found[modality] = table.report
    return found


def _check_same(what: str, names: Sequence[str], expected: Sequence[str], where: str) -> None:
    if names == expected:
        return
    place = next((at for at, pair in enumerate(zip(names, expected, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        difference = f"has {len(names)} columns of features, expected {len(expected)}"
    else:
        difference = f"has {names[place][:60]!r} as column {place + 1} of features, expected {expected[place][:60]!r}"
    raise CorpusError(f"{what}: {difference} {where}: extract all clips with the same tool and settings.")


def _clip(
    root: Path,
    entry: Entry,
    split: str,
    reports: dict[Modality, TableReport],
    names: dict[Modality, tuple[str, ...]],
) -> TabledClip:
    seconds = _seconds(root, entry, list(reports.values()))
    labels = None if entry.label is not None else labels_in(root, entry.row, seconds, entry.name)[0]
    return TabledClip(
        name=entry.name,
        subject=entry.subject,
        split=split,
        label=entry.label,
        labels=labels,
        ticks=max(1, num_ticks(seconds, LABEL_RATE_HZ)),
        dialogue=entry.dialogue,
        voice=entry.files.get("voice"),
        face=entry.files.get("face"),
        voice_names=names["voice"],
        face_names=names["face"],
        voice_report=reports.get("voice"),
        face_report=reports.get("face"),
    )


def _seconds(root: Path, entry: Entry, reports: Sequence[TableReport]) -> float:
    ends = [each.end_seconds for each in reports if each.end_seconds is not None]
    starts = [each.start_seconds for each in reports if each.start_seconds is not None]
    if not ends:
        if entry.row.cells.get("labels"):
            return min(MAX_SECONDS, float(trace_in(root, entry.row)[0][-1]))
        return SECONDS_WITHOUT_TIMES
    start, end = min(starts), max(ends)
    if start > max(_MIN_LATE_SECONDS, 2 * (end - start)):
        raise CorpusError(
            f"{entry.row.place}: the features of {entry.name!r} run from {start:g} to {end:g} s: expected seconds from "
            "the start of the clip, not of a longer recording. Subtract its start."
        )
    return end


def _on_ticks(clip: TabledClip, path: Path | None, names: tuple[str, ...]) -> tuple[FloatArray, IntArray]:
    if path is None:
        return np.zeros((0, max(1, len(names))), dtype=np.float32), np.full(clip.ticks, -1, dtype=np.int64)
    table = read_features(path)
    _check_same(f"{path} of clip {clip.name!r}", table.names, names, "as when the corpus was read")
    return on_clock(table, clip.ticks, LABEL_RATE_HZ)
