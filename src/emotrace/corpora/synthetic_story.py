"""Seconds and a random generator -> the hidden course of one generated recording: moods, their signs, disturbances.

Everything slow here is a sum of sinusoids with random periods and phases, brought to mean 0 and deviation 1 within the
recording, so that a recording of a few seconds has as clear a change as one of minutes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrace.types import FloatArray

LABEL_RATE_HZ = 25
TICKS_PER_PICTURE = 2
PICTURE_RATE_HZ = LABEL_RATE_HZ / TICKS_PER_PICTURE
NUM_DIMENSIONS = 2
"""Arousal, then valence, in every array [..., 2] here."""

_MOOD_SPREAD = 0.45
"""Deviation of a hidden mood before it is bent into [-1, 1]."""
_PERSON_SPREAD = 0.1
"""Deviation between people of their mean mood."""
_MOOD_PERIODS = (5.0, 20.0)
_ERROR_PERIODS = (3.0, 15.0)
"""Shortest and longest period in seconds; no period is longer than the recording."""
_VOICE_ERROR = (0.06, 0.35)
"""Deviation from the mood of what the voice says of arousal, and of valence."""
_FACE_ERROR = (0.35, 0.06)
"""The same of the face, which tells more of valence."""

_STRETCH_SECONDS = 6.0
"""About how long a disturbance lasts; shorter in a recording too short for that."""
_MISSING_SHARE = 0.12
"""Of the time in which nothing is said, and of the time in which no face is there."""
_POOR_SHARE = 0.12
"""Of the time with noise in the sound, and of the time with dark and noisy pictures."""
POOR_RELIABILITY = 0.3


@dataclass(frozen=True, eq=False)
class Story:
    """The hidden course of a recording; T ticks at `LABEL_RATE_HZ`.

    Attributes:
        mood: [T, 2] arousal and valence in [-1, 1], the truth.
        voice: [T, 2] what the voice expresses, likewise.
        face: [T, 2] what the face expresses, likewise.
        voice_reliability: [T] 0 where nothing is said, `POOR_RELIABILITY` where there is noise, 1 elsewhere.
        face_reliability: [T] 0 where no face is there, `POOR_RELIABILITY` where the pictures are poor, 1 elsewhere.
    """

    mood: FloatArray
    voice: FloatArray
    face: FloatArray
    voice_reliability: FloatArray
    face_reliability: FloatArray


def tick_times(seconds: float) -> NDArray[np.float64]:
    """Return the times [T] in seconds of the ticks of a recording."""
    return np.arange(round(seconds * LABEL_RATE_HZ)) / LABEL_RATE_HZ


def tell(seconds: float, rng: np.random.Generator) -> Story:
    """Return the course of one recording."""
    ticks = len(tick_times(seconds))
    mean = rng.normal(scale=_PERSON_SPREAD, size=NUM_DIMENSIONS)
    mood = np.tanh(mean + _MOOD_SPREAD * slow(ticks, _MOOD_PERIODS, rng))
    return Story(
        mood=mood.astype(np.float32),
        voice=_expressed(mood, _VOICE_ERROR, rng),
        face=_expressed(mood, _FACE_ERROR, rng),
        voice_reliability=_reliability(ticks, rng),
        face_reliability=_reliability(ticks, rng),
    )


def slow(ticks: int, periods: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a slow random course [T, 2] of mean 0 and deviation 1.

    Args:
        ticks: T.
        periods: shortest and longest in seconds.
        rng: of periods, phases and heights.
    """
    num_waves = 5
    seconds = ticks / LABEL_RATE_HZ
    shortest, longest = (min(period, seconds) for period in periods)
    lengths = np.exp(rng.uniform(np.log(shortest), np.log(longest), (num_waves, NUM_DIMENSIONS)))
    phases = rng.uniform(0, 2 * np.pi, (num_waves, NUM_DIMENSIONS))
    heights = rng.uniform(0.5, 1, (num_waves, NUM_DIMENSIONS))
    times = tick_times(seconds)[:, None, None]
    course = (heights * np.sin(2 * np.pi * times / lengths + phases)).sum(axis=1)
    return np.asarray((course - course.mean(axis=0)) / course.std(axis=0))


def _expressed(mood: NDArray[np.float64], error: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    return np.clip(mood + np.array(error) * slow(len(mood), _ERROR_PERIODS, rng), -1, 1).astype(np.float32)


def _reliability(ticks: int, rng: np.random.Generator) -> FloatArray:
    """Return [T]: stretches of 0 and of `POOR_RELIABILITY` in turns drawn at random, each in a slot of its own."""
    reliability = np.ones(ticks, np.float32)
    pairs = max(1, round(_MISSING_SHARE * ticks / LABEL_RATE_HZ / _STRETCH_SECONDS))
    slot = ticks / (2 * pairs)
    kinds = rng.permutation([0.0, POOR_RELIABILITY] * pairs)
    for index, kind in enumerate(kinds.tolist()):
        share = _POOR_SHARE if kind else _MISSING_SHARE
        length = share * ticks / pairs
        start = index * slot + rng.uniform(0, slot - length)
        # Whole pictures, so that no picture stands for two kinds of ticks.
        first, last = (TICKS_PER_PICTURE * round(tick / TICKS_PER_PICTURE) for tick in (start, start + length))
        reliability[first:last] = kind
    return reliability
