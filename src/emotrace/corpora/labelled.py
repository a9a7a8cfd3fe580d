"""What every corpus of clips with one class each gives, for systems of voice and face. No torch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.excerpt import Excerpt, Half
from emotrace.corpora.paired import PairedClip
from emotrace.errors import CorpusError
from emotrace.features.extract import Source
from emotrace.media import open_clip
from emotrace.types import FloatArray

BACKGROUND = "background"
"""The class of a clip with an event, before and after it."""


@dataclass(frozen=True)
class LabelledClip:
    """One clip with one class.

    Attributes:
        name: unique in its corpus, and fit to be a file's name.
        subject: who is seen and heard, unique in the corpus; the clip's own name where the corpus does not say.
        split: "train", "validation" or "test", by the corpus's usual protocol; no subject stands in two.
        label: the class, one of the corpus's classes.
        video: the file with the pictures; None where there are none.
        audio: the file with the sound; the same as `video` where that holds it, None where there is none.
        fold: of the corpus's usual cross-validation, from 0; None where there is none. No subject stands in two.
        votes: how many raters chose each class, in the order of the classes; empty where they are not known.
        start_seconds: where the clip begins in its file: that of the pictures, where the sound has one of its own,
            which holds the clip alone.
        end_seconds: where it ends; None for the end of the file.
        half: which side of the pictures shows the subject, where two people sit side by side; None for all of it.
        dialogue: of which the clip is a turn, the turns standing in order of time; None where it is none.
        event_start_seconds: from when on the class holds, counted from the beginning of the clip; elsewhere in the clip
            it is "background". None where the class holds throughout.
        event_end_seconds: until when it holds; None as above.
        whole_picture: whether the whole picture is looked at instead of a face.
    """

    name: str
    subject: str
    split: str
    label: str
    video: Path | None
    audio: Path | None
    fold: int | None = None
    votes: tuple[int, ...] = ()
    start_seconds: float = 0.0
    end_seconds: float | None = None
    half: Half | None = None
    dialogue: str | None = None
    event_start_seconds: float | None = None
    event_end_seconds: float | None = None
    whole_picture: bool = False

    @contextmanager
    def open(self) -> Iterator[Source]:
        """Give what `extract` reads: the file, or sound and pictures of two files together, cut to the clip.

        Raises:
            CorpusError: there is neither sound nor picture, or the clip ends before it begins.
            MediaError: a file cannot be read.
        """
        with ExitStack() as stack:
            if self.video is None and self.audio is None:
                raise CorpusError(f"{self.name} has neither sound nor picture: check the folder.")
            path = self.video or self.audio
            assert path is not None
            source: Source = stack.enter_context(open_clip(path))
            if self.start_seconds or self.end_seconds is not None or self.half is not None:
                source = Excerpt(source, start_seconds=self.start_seconds, end_seconds=self.end_seconds, half=self.half)
            if self.video is not None and self.audio is not None and self.video != self.audio:
                source = PairedClip(sound=stack.enter_context(open_clip(self.audio)), pictures=source)
            yield source


def class_at(clip: LabelledClip, times: FloatArray | NDArray[np.float64]) -> list[str]:
    """Return the class at each time: that of the clip while its event lasts, "background" elsewhere.

    Args:
        clip: with an event.
        times: [T] seconds from the beginning of the clip; the event's start belongs to it, its end does not.

    Raises:
        CorpusError: the clip has no event with a start and an end.
    """
    start, end = clip.event_start_seconds, clip.event_end_seconds
    if start is None or end is None:
        raise CorpusError(f"{clip.name} has no event with a start and an end: its class holds throughout.")
    return [clip.label if inside else BACKGROUND for inside in ((times >= start) & (times < end)).tolist()]
