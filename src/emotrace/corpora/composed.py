"""Real faces and real utterances -> composed recordings whose emotion is known at every tick.

No open corpus at hand has voice, face and continuous labels, so recordings are put together: several segments, each
with utterances of one emotion and faces that the raters gave the same emotion, with stretches in which the face or the
voice is missing, disturbed, or contradicts the other. The truth is the segment's emotion, and its published circumplex
coordinates as arousal and valence: a proxy, see `labels.py`.

A composed recording is read like a media file (`extract` cannot tell them apart), so its features are made by the
same steps. No torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.face_disturbance import disturb as disturb_face
from emotrace.corpora.voice_disturbance import disturb as disturb_voice
from emotrace.errors import CorpusError
from emotrace.labels import CIRCUMPLEX, EMOTIONS
from emotrace.media import ClipInfo, VideoFrame
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.types import AudioChunk, Face, FloatArray, Image, IntArray

Rng = np.random.Generator

SECONDS = 16.0
"""Length of every composed recording."""
_CHUNK_SECONDS = 0.5
_FACE_SECONDS = (0.4, 2.5)
"""Shortest and longest time for which one face is shown."""


@dataclass(frozen=True)
class Material:
    """What recordings are composed of; of one split, so that no person and no image stands in two.

    Attributes:
        voices: per emotion, utterances [N] at 16 kHz.
        faces: per emotion, grey images [N, 48, 48].
    """

    voices: Mapping[str, Sequence[FloatArray]]
    faces: Mapping[str, Image]

    def emotions(self) -> tuple[str, ...]:
        """Return the emotions of which there are both voices and faces."""
        return tuple(each for each in EMOTIONS if len(self.voices.get(each, ())) and len(self.faces.get(each, ())))


@dataclass(frozen=True)
class Conditions:
    """How much of a recording is made hard: shares of time in 0..1.

    `missing` leaves a modality out, `disturbed` makes it worse, `contradicting` gives it another emotion (half of the
    disturbed time at most, since what contradicts is usually also badly seen or heard: another person, a false find).
    """

    face_missing: float = 0.15
    voice_missing: float = 0.15
    face_disturbed: float = 0.4
    voice_disturbed: float = 0.4
    contradicting: float = 0.1


@dataclass(frozen=True)
class Composition:
    """A composed recording, readable like a clip.

    Attributes:
        samples: [N] of the whole recording.
        frame_times: [F] seconds.
        frames: [F, 48, 48] grey faces; a black one stands for "no face".
        emotion: [T] index into `labels.EMOTIONS` at every tick.
    """

    samples: FloatArray
    frame_times: NDArray[np.float64]
    frames: Image
    emotion: IntArray

    @property
    def info(self) -> ClipInfo:
        """What a media file would say of itself."""
        size = self.frames.shape[1]
        return ClipInfo(Path("composed"), SECONDS, True, True, size, size, None)

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield sound and pictures in order of time."""
        step = round(_CHUNK_SECONDS * sample_rate)
        shown = 0
        for start in range(0, len(self.samples), step):
            yield AudioChunk(start / sample_rate, self.samples[start : start + step])
            while shown < len(self.frames) and self.frame_times[shown] < (start + step) / sample_rate:
                picture = np.repeat(self.frames[shown][:, :, None], 3, axis=2)
                yield VideoFrame.from_rgb(float(self.frame_times[shown]), picture)
                shown += 1

    def arousal_valence(self) -> FloatArray:
        """Return [T, 2]: the circumplex coordinates of the emotion, arousal first."""
        table = np.array([(CIRCUMPLEX[each].arousal, CIRCUMPLEX[each].valence) for each in EMOTIONS])
        return table[self.emotion].astype(np.float32)


class KnownFace:
    """Finds the face of a composed recording: it fills the picture, and a black picture has none."""

    name: Literal["haar"] = "haar"
    is_free: Literal[True] = True

    def __init__(self, recipe: Recipe) -> None:
        self._geometry = recipe.video.haar_geometry

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """Return the box from which the recipe's geometry cuts out exactly the picture."""
        if not frame.grey().any():
            return []
        # Rounded up, the crop would be larger than the picture, and be cut out at twice the size and blurred.
        side = frame.width / self._geometry.scale * (1 - 1e-9)
        top = frame.height / 2 - side / 2 - self._geometry.shift_y * side
        return [Face(frame.width / 2 - side / 2, top, side, side, confidence=1.0)]


def compose(material: Material, recipe: Recipe, rng: Rng, conditions: Conditions) -> Composition:
    """Return a recording of `SECONDS`, drawn by `rng`.

    Raises:
        CorpusError: the material has not both voices and faces of at least two emotions.
    """
    emotions = material.emotions()
    if len(emotions) < 2:
        found = ", ".join(emotions) or "none"
        raise CorpusError(f"Voices and faces of at least two emotions are needed, found {found}: check the corpora.")
    ticks = round(SECONDS * recipe.label_rate_hz)
    emotion = np.zeros(ticks, dtype=np.int64)
    samples = np.zeros(round(SECONDS * SAMPLE_RATE), dtype=np.float32)
    times = np.arange(0, SECONDS, 1 / recipe.video.rate_hz)
    frames = np.zeros((len(times), 48, 48), dtype=np.uint8)

    start = 0.0
    while start < SECONDS:
        chosen = emotions[int(rng.integers(len(emotions)))]
        voice = _voice(material, chosen, rng, conditions)
        stop = min(SECONDS, start + max(1.0, len(voice) / SAMPLE_RATE))
        first = round(start * SAMPLE_RATE)
        voice = voice[: len(samples) - first]
        samples[first : first + len(voice)] = voice
        inside = (times >= start) & (times < stop)
        frames[inside] = _faces(material, chosen, int(inside.sum()), recipe, rng, conditions)
        emotion[round(start * recipe.label_rate_hz) : round(stop * recipe.label_rate_hz)] = EMOTIONS.index(chosen)
        start = stop

    _silence(samples, conditions.voice_missing, rng)
    _hide(frames, times, conditions.face_missing, rng)
    return Composition(samples, times, frames, emotion)


def _other(emotions: Sequence[str], chosen: str, rng: Rng) -> str:
    rest = [each for each in emotions if each != chosen]
    return rest[int(rng.integers(len(rest)))]


def _pick(items: Sequence[FloatArray] | Image, rng: Rng) -> FloatArray | Image:
    return items[int(rng.integers(len(items)))]


def _voice(material: Material, emotion: str, rng: Rng, conditions: Conditions) -> FloatArray:
    """Return one to three utterances of an emotion, disturbed or contradicting by the conditions."""
    disturbed = rng.random() < conditions.voice_disturbed
    if disturbed and rng.random() < conditions.contradicting / max(conditions.voice_disturbed, 1e-9):
        emotion = _other(material.emotions(), emotion, rng)
    voices = material.voices[emotion]
    parts = [np.asarray(_pick(voices, rng), dtype=np.float32) for _ in range(int(rng.integers(1, 4)))]
    voice = np.concatenate(parts)
    if disturbed:
        babble = list(material.voices[_other(material.emotions(), emotion, rng)])
        return disturb_voice(voice, babble, rng)
    return voice * np.float32(10 ** (rng.uniform(-12, 0) / 20))


def _faces(material: Material, emotion: str, count: int, recipe: Recipe, rng: Rng, conditions: Conditions) -> Image:
    """Return [count, 48, 48]: faces of an emotion, each shown for a while."""
    out = np.zeros((count, 48, 48), dtype=np.uint8)
    first = 0
    while first < count:
        stop = min(count, first + max(1, round(rng.uniform(*_FACE_SECONDS) * recipe.video.rate_hz)))
        strength = rng.uniform(0.3, 1.0) if rng.random() < conditions.face_disturbed else rng.uniform(0, 0.2)
        shown = emotion
        if strength > 0.3 and rng.random() < conditions.contradicting / max(conditions.face_disturbed, 1e-9):
            shown = _other(material.emotions(), emotion, rng)
        face = np.asarray(_pick(material.faces[shown], rng), dtype=np.uint8)
        face = face[:, ::-1] if rng.random() < 0.5 else face
        # A few versions of the picture stand for the small changes from frame to frame.
        versions = np.stack([disturb_face(face, rng, strength=strength) for _ in range(3)])
        out[first:stop] = np.maximum(versions[rng.integers(0, 3, size=stop - first)], 1)
        first = stop
    return out


def _silence(samples: FloatArray, share: float, rng: Rng) -> None:
    """Silence stretches that make up the share of the recording, in place, leaving faint noise."""
    for start, stop in _stretches(share, rng):
        first, last = round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE)
        noise = rng.standard_normal(max(0, min(last, len(samples)) - first)) * 10 ** (rng.uniform(-80, -60) / 20)
        samples[first:last] = noise.astype(np.float32)


def _hide(frames: Image, times: NDArray[np.float64], share: float, rng: Rng) -> None:
    for start, stop in _stretches(share, rng):
        frames[(times >= start) & (times < stop)] = 0


def _stretches(share: float, rng: Rng) -> list[tuple[float, float]]:
    """Return stretches of 2 s, or one of the whole length, that cover about the share of a recording."""
    if share >= 1:
        return [(0.0, SECONDS)]
    cells = np.arange(0, SECONDS, 2.0)
    return [(float(cell), float(cell) + 2.0) for cell in cells if rng.random() < share]
