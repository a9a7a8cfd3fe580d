"""The hidden course of a generated recording -> what six raters make of it, late and each in an own way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.synthetic_story import LABEL_RATE_HZ, NUM_DIMENSIONS, slow
from emotrace.types import FloatArray

RATERS = ("FM1", "FM2", "FM3", "FF1", "FF2", "FF3")
DECIMALS = 4
_DELAY_SECONDS = 2.8
_DELAY_SPREAD = 0.5
_SHORTEST_DELAY = 0.5
_LONGEST_DELAY_SHARE = 0.1
"""Of the recording: in a short one a longer delay would leave little of what is rated."""
_BIAS_SPREAD = 0.1
_SCALE_SPREAD = 0.15
_SMALLEST_SCALE = 0.5
_ERROR_SPREAD = 0.08
_ERROR_PERIODS = (2.0, 15.0)
_SMOOTHING_TICKS = 15
"""Odd: the hand evens out what is faster than about half a second."""


@dataclass(frozen=True, eq=False)
class Raters:
    """The habits of the six, the same in every recording of a corpus.

    Attributes:
        delays: [6] reaction times in seconds.
        biases: [6, 2] added to arousal and valence.
        scales: [6, 2] by which arousal and valence are multiplied.
    """

    delays: NDArray[np.float64]
    biases: NDArray[np.float64]
    scales: NDArray[np.float64]

    @staticmethod
    def draw(rng: np.random.Generator) -> "Raters":
        """Return six raters."""
        count = len(RATERS)
        return Raters(
            delays=np.maximum(rng.normal(_DELAY_SECONDS, _DELAY_SPREAD, count), _SHORTEST_DELAY),
            biases=rng.normal(0, _BIAS_SPREAD, (count, NUM_DIMENSIONS)),
            scales=np.maximum(rng.normal(1, _SCALE_SPREAD, (count, NUM_DIMENSIONS)), _SMALLEST_SCALE),
        )

    def rate(self, mood: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return ratings [6, T, 2] in [-1, 1] of a mood [T, 2], rounded to `DECIMALS`."""
        half = _SMOOTHING_TICKS // 2
        padded = np.pad(mood.astype(np.float64), ((half, half), (0, 0)), mode="edge")
        smooth = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHING_TICKS, axis=0).mean(axis=-1)
        longest = _LONGEST_DELAY_SHARE * len(mood) / LABEL_RATE_HZ
        ticks = np.arange(len(mood))
        rows = []
        for delay, bias, scale in zip(self.delays.tolist(), self.biases, self.scales, strict=True):
            late = ticks - min(delay, longest) * LABEL_RATE_HZ
            seen = np.stack([np.interp(late, ticks, smooth[:, axis]) for axis in range(NUM_DIMENSIONS)], axis=-1)
            rows.append(scale * seen + bias + _ERROR_SPREAD * slow(len(mood), _ERROR_PERIODS, rng))
        return np.asarray(np.clip(np.stack(rows), -1, 1).round(DECIMALS), dtype=np.float32)
