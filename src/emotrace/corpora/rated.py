"""What every corpus of continuous ratings gives: recordings with arousal and valence over time. No torch.

Axes: T ticks of the corpus's own label clock, R raters; the last axis of two is arousal, then valence.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emotrace.corpora.excerpt import Excerpt, Half
from emotrace.corpora.paired import PairedClip
from emotrace.errors import CorpusError
from emotrace.features.extract import Source
from emotrace.media import open_clip
from emotrace.types import FloatArray

SPLITS = ("train", "validation", "test")
Dimension = Literal["arousal", "valence"]
DIMENSIONS: tuple[Dimension, ...] = ("arousal", "valence")


@dataclass(frozen=True, eq=False)
class RatedRecording:
    """One recording with ratings over time.

    Attributes:
        name: unique in its corpus, and fit to be a file's name.
        subject: who speaks; no subject stands in two splits.
        split: one of `SPLITS`.
        video: the file with the pictures; None where there are none.
        audio: the file with the sound; the same as `video` where that holds it, None where there is none.
        label_rate_hz: ticks per second of the labels; tick k is at k / label_rate_hz seconds.
        labels: [T, 2] in [-1, 1]; None where the corpus withholds them.
        ratings: [R, T, 2] of the individual raters; None where they are not there.
        half: which side of the pictures shows the subject, where two people sit side by side; None for all of it.
    """

    name: str
    subject: str
    split: str
    video: Path | None
    audio: Path | None
    label_rate_hz: float
    labels: FloatArray | None
    ratings: FloatArray | None = None
    half: Half | None = None

    @contextmanager
    def open(self) -> Iterator[Source]:
        """Give what `extract` reads: the file, or sound and pictures of two files together.

        Raises:
            CorpusError: there is neither sound nor picture.
            MediaError: a file cannot be read.
        """
        with ExitStack() as stack:
            if self.video is None and self.audio is None:
                raise CorpusError(f"{self.name} has neither sound nor picture: check the folder.")
            source: Source
            if self.video is None or self.audio is None or self.video == self.audio:
                path = self.video or self.audio
                assert path is not None
                source = stack.enter_context(open_clip(path))
            else:
                sound = stack.enter_context(open_clip(self.audio))
                source = PairedClip(sound=sound, pictures=stack.enter_context(open_clip(self.video)))
            yield source if self.half is None else Excerpt(source, half=self.half)


def check_labels(values: FloatArray, source: str) -> None:
    """Refuse labels that are no arousal or valence.

    Args:
        values: [T] or [T, 2].
        source: names file and column in the message.

    Raises:
        CorpusError: no row, a NaN or infinite row, or a value outside [-1, 1]; the first such row is named, from 0.
    """
    if not len(values):
        raise CorpusError(f"{source} holds no row of labels: export them again.")
    rows = values.reshape(len(values), -1)
    unknown = ~np.isfinite(rows).all(axis=1)
    if unknown.any():
        raise CorpusError(
            f"{source} has no number in row {int(unknown.argmax())} ({int(unknown.sum())} such rows): fill or cut them."
        )
    outside = (np.abs(rows) > 1).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise CorpusError(
            f"{source} holds {rows[row].tolist()} in row {row}, expected numbers in [-1, 1]: rescale the labels."
        )


def of_split(recordings: Sequence[RatedRecording], split: str) -> list[RatedRecording]:
    """Return the recordings of one split that have labels.

    Raises:
        CorpusError: there are fewer than two: nothing can be said of a spread over recordings then.
    """
    chosen = [each for each in recordings if each.split == split]
    labelled = [each for each in chosen if each.labels is not None]
    if len(labelled) < 2:
        withheld = f", {len(chosen) - len(labelled)} more without labels" if len(chosen) > len(labelled) else ""
        raise CorpusError(
            f"The {split} split holds {len(labelled)} labelled recording(s){withheld}; expected two at least: "
            "choose another split or protocol."
        )
    return labelled
