"""Rating files of RECOLA in the layout of AVEC 2016 -> arousal and valence at 25 Hz, and what each rater said.

`ratings_gold_standard/DIMENSION/NAME.arff` has the columns frameTime and GoldStandard;
`ratings_individual/DIMENSION/NAME.csv` (or .arff) has time and one column per rater. In the challenge both have 7501
rows, from 0 s to 300 s.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.arff import Table, read_arff
from emotrace.corpora.label_table import read_table
from emotrace.corpora.rated import DIMENSIONS, check_labels
from emotrace.errors import CorpusError
from emotrace.ratings import centred_gold_standard, plain_mean
from emotrace.types import FloatArray

LABEL_RATE_HZ = 25.0
RATERS = ("FM1", "FM2", "FM3", "FF1", "FF2", "FF3")
"""Three men and three women, in the order of `RatedRecording.ratings`."""
GOLD_STANDARDS = ("official", "mean", "centred")
"""The challenge's own files, the plain mean of the raters, or the challenge's centring computed here."""

_MAX_EXTRA_ROWS = 25
_TIME_TOLERANCE_SECONDS = 0.01


def labels_of(root: Path, name: str, gold: str) -> tuple[FloatArray, FloatArray | None]:
    """Return labels [T, 2] and ratings [R, T, 2] of one recording, all cut to the shortest of its files.

    Args:
        root: the folder that holds ratings_gold_standard and ratings_individual; without the latter, ratings are None.
        name: such as "train_1".
        gold: one of `GOLD_STANDARDS`.

    Raises:
        CorpusError: a file is missing or damaged, is not at 25 Hz from 0 s on, holds labels that are none, or is
            shorter than another by more than a second.
    """
    golds, individuals, lengths = [], [], {}
    for dimension in DIMENSIONS:
        if gold != "official" or (root / "ratings_individual").is_dir():
            path = root / "ratings_individual" / dimension / f"{name}.csv"
            table = _read_csv(path) if path.is_file() else read_arff(path.with_suffix(".arff"))
            individuals.append(_traces(table, RATERS).T)
            lengths[table.path] = individuals[-1].shape[1]
        if gold == "official":
            path = root / "ratings_gold_standard" / dimension / f"{name}.arff"
            golds.append(_traces(read_arff(path), ("GoldStandard",))[:, 0])
            lengths[path] = len(golds[-1])
        else:
            golds.append(plain_mean(individuals[-1]) if gold == "mean" else centred_gold_standard(individuals[-1]))
    rows = _common_length(lengths)
    ratings = np.stack([each[:, :rows] for each in individuals], axis=2) if individuals else None
    return np.stack([each[:rows] for each in golds], axis=1), ratings


def _common_length(lengths: Mapping[Path, int]) -> int:
    shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    if lengths[longest] - lengths[shortest] > _MAX_EXTRA_ROWS:
        raise CorpusError(
            f"{shortest} has {lengths[shortest]} rows but {longest} has {lengths[longest]}; expected files of the same "
            "recording, one second apart at most: download both again."
        )
    return lengths[shortest]


def _traces(table: Table, names: Sequence[str]) -> FloatArray:
    """Return columns [T, len(names)] from time zero on."""
    columns = [table.column(name).astype(np.float32) for name in names]
    for name, column in zip(names, columns, strict=True):
        check_labels(column, f"{table.path}, column {name},")
    first = _first_tick(table.column("time" if "time" in table.names else "frameTime"), table.path)
    # A file that counts from 0.04 s leaves out the first tick, which takes the value of the second.
    return np.pad(np.stack(columns, axis=1), ((first, 0), (0, 0)), mode="edge")


def _first_tick(times: NDArray[np.float64], path: Path) -> int:
    """Return 0 or 1, the tick of the first row; refuse times that are not those of consecutive ticks."""
    first = 1 if abs(times[0] - 1 / LABEL_RATE_HZ) <= _TIME_TOLERANCE_SECONDS else 0
    expected = (np.arange(len(times)) + first) / LABEL_RATE_HZ
    uneven = ~(np.abs(times - expected) <= _TIME_TOLERANCE_SECONDS)
    if uneven.any():
        row = int(uneven.argmax())
        raise CorpusError(
            f"{path} has row {row} at {times[row]:g} s, expected {expected[row]:g} s: labels at 25 Hz from 0 s on. "
            "Export them again without gaps."
        )
    return first


def _read_csv(path: Path) -> Table:
    columns, rows = read_table(path)
    written = {each.lower(): each for each in RATERS}
    numbers = [[row.number_in(column) for column in columns] for row in rows]
    return Table(
        path=path,
        names=tuple(written.get(column, column) for column in columns),
        numbers=np.array(numbers, np.float64).reshape(len(numbers), len(columns)),
        texts={},
    )
