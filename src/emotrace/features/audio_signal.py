"""Samples -> pre-emphasised samples, analysis frames, and their short-term energy and zero-crossing rate.

Liu & Tang 2021, section 4.1, equations 1-6. Sample rate: 16 kHz everywhere in this package.
"""

import math

import numpy as np

from emotrace.types import FloatArray

FRAME_LENGTH = 400
"""Samples of an analysis frame: 25 ms at 16 kHz."""
HOP_LENGTH = 160
"""Samples from one analysis frame to the next: 10 ms at 16 kHz."""


def pre_emphasise(samples: FloatArray, coefficient: float, previous: float) -> tuple[FloatArray, float]:
    """Return y[n] = x[n] - a x[n-1] and the last sample, to be the next block's `previous` (eq. 1-2).

    Args:
        samples: [N] of one block.
        coefficient: a, in 0..1.
        previous: the sample before the block; 0 at the start of a recording.
    """
    if len(samples) == 0:
        return samples.astype(np.float32), previous
    delayed = np.empty(len(samples), dtype=np.float32)
    delayed[0] = previous
    delayed[1:] = samples[:-1]
    return samples.astype(np.float32) - np.float32(coefficient) * delayed, float(samples[-1])


def hamming(length: int) -> FloatArray:
    """Return [length]: the symmetric Hamming window 0.54 - 0.46 cos(2 pi n / (N - 1)) (eq. 4)."""
    if length == 1:
        return np.ones(1, dtype=np.float32)
    phase = 2 * math.pi * np.arange(length) / (length - 1)
    window: FloatArray = (0.54 - 0.46 * np.cos(phase)).astype(np.float32)
    return window


def frame_signal(
    samples: FloatArray, frame_length: int = FRAME_LENGTH, hop_length: int = HOP_LENGTH
) -> FloatArray:
    """Return [frames, frame_length]: a read-only view of overlapping frames, without padding.

    There are 1 + (N - frame_length) // hop_length frames, none if N < frame_length.
    """
    if len(samples) < frame_length:
        return np.empty((0, frame_length), dtype=samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, frame_length)[::hop_length]


def short_term_energy(frames: FloatArray, window: FloatArray) -> FloatArray:
    """Return [frames]: the sum of squares of each windowed frame (eq. 5)."""
    windowed = frames * window
    return np.sum(windowed * windowed, axis=1, dtype=np.float32)


def zero_crossing_rate(frames: FloatArray) -> FloatArray:
    """Return [frames]: sign changes per sample, 0..1; zero counts as positive (eq. 6, rectangular window)."""
    negative = frames < 0
    changes = np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)
    rate: FloatArray = (changes / frames.shape[1]).astype(np.float32)
    return rate
