"""FER+ on disk -> face images with vote distributions, in the corpus's published splits.

Official layout: `FER2013Train`, `FER2013Valid`, `FER2013Test`, each with `label.csv` (file, box, ten vote counts)
and the 48x48 grey PNG files it names.

Labels: E. Barsoum, C. Zhang, C. Canton Ferrer, Z. Zhang, "Training deep networks for facial expression recognition
with crowd-sourced label distribution", ICMI 2016 (labels under MIT). The images were collected from the web by the
makers of FER2013; their rights are unclear. Some images stand in more than one split.
"""

import csv
import hashlib
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace import images
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError
from emotrace.labels import EMOTIONS, FERPLUS_COLUMNS

LICENCE = "labels MIT; the rights in the images, collected from the web, are unclear"
CITATION = "Barsoum et al., ICMI 2016, arXiv 1608.01041"
HOMEPAGE = "https://github.com/microsoft/FERPlus"
LAYOUT = """\
FER2013Train/label.csv   a line per image: file, box, ten counts of votes
FER2013Train/fer0000000.png ...   48x48 pixels, grey
FER2013Valid/ and FER2013Test/ likewise"""
CLASSES = EMOTIONS
FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
IMAGE_SIZE = 48
"""Pixels, of both sides."""
_MAX_TABLE_BYTES = 2**25
_COUNT = re.compile("[0-9]{1,4}")
_COLUMN_ORDER = (*(FERPLUS_COLUMNS.index(emotion) for emotion in EMOTIONS), 8, 9)


@dataclass(frozen=True)
class FaceImages:
    """Face images of one split.

    Attributes:
        pixels: [N, 48, 48] grey, uint8.
        votes: [N, 10] how many of the ten raters chose each emotion of `labels.EMOTIONS` (the first eight columns),
            "unknown" and "not a face".
    """

    pixels: NDArray[np.uint8]
    votes: NDArray[np.float32]

    def subset(self, chosen: NDArray[np.bool_]) -> "FaceImages":
        """Return the images where `chosen` [N] is true."""
        return FaceImages(self.pixels[chosen], self.votes[chosen])

    def distribution(self) -> NDArray[np.float32]:
        """Return [N, 8]: the votes for emotions as probabilities, single votes taken for slips and dropped.

        A row whose emotion votes are all single keeps them; a row without any vote for an emotion is all zero.
        """
        emotion_votes = self.votes[:, : len(EMOTIONS)]
        steady = np.where(emotion_votes > 1, emotion_votes, 0)
        kept = np.where(steady.sum(axis=1, keepdims=True) > 0, steady, emotion_votes)
        return np.asarray(kept / np.maximum(kept.sum(axis=1, keepdims=True), 1), dtype=np.float32)

    def majority(self) -> NDArray[np.int64]:
        """Return [N]: the emotion that more than half of the raters chose, -1 where there is none.

        This is the test protocol of the FER+ paper: single votes are dropped first, an image whose majority is
        "unknown" or "not a face" is left out.
        """
        steady = np.where(self.votes > 1, self.votes, 0)
        winner = steady.argmax(axis=1)
        clear = steady.max(axis=1) > 0.5 * steady.sum(axis=1)
        return np.where(clear & (winner < len(EMOTIONS)), winner, -1)


def read(root: Path, split: str) -> FaceImages:
    """Read one split; from "train", whatever also stands in validation or test is left out by exact content.

    Raises:
        CorpusError: the layout is not the official one, or a named file is missing or unreadable.
    """
    if split not in FOLDERS:
        raise CorpusError(f"FER+ has no split {split!r}: expected one of {', '.join(FOLDERS)}.")
    faces = _read_folder(root, FOLDERS[split])
    if split != "train":
        return faces
    held_out = {
        digest for other in ("validation", "test") for digest in _digests(_read_folder(root, FOLDERS[other]).pixels)
    }
    return faces.subset(np.array([digest not in held_out for digest in _digests(faces.pixels)]))


def _rows(table: Path) -> list[list[str]]:
    try:
        return list(csv.reader(StringIO(read_text(table, _MAX_TABLE_BYTES))))
    except csv.Error as error:
        raise CorpusError(f"{table} is not a table: {error}. Copy the corpus again.") from error


def _votes(fields: list[str], place: str) -> list[int]:
    """Return the votes for `labels.EMOTIONS`, "unknown" and "not a face"."""
    if not all(_COUNT.fullmatch(field.strip()) for field in fields):
        raise CorpusError(f"{place}: found {','.join(fields)[:100]}, expected ten vote counts.")
    return [int(fields[column]) for column in _COLUMN_ORDER]


def _digests(pixels: NDArray[np.uint8]) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in pixels]


def _read_folder(root: Path, folder: str) -> FaceImages:
    table = root / folder / "label.csv"
    if not table.is_file():
        raise CorpusError(
            f"{table} is missing: --root must name the FER+ folder that holds {', '.join(FOLDERS.values())}."
        )
    pixels, votes = [], []
    for number, row in enumerate(_rows(table), start=1):
        if len(row) != 12:
            raise CorpusError(f"{table}, line {number}: found {len(row)} fields, expected 12.")
        if not row[0]:  # FER2013 images that the FER+ raters could not use have no file
            continue
        image = images.read_grey(root / folder / Path(row[0]).name)
        if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
            raise CorpusError(f"{table}, line {number}: {row[0]} is {image.shape}, expected 48x48.")
        pixels.append(image)
        votes.append(_votes(row[2:], f"{table}, line {number}"))
    if not pixels:
        raise CorpusError(f"{table} names no image: copy the corpus again.")
    return FaceImages(np.stack(pixels), np.array(votes, dtype=np.float32))
