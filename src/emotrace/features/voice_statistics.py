"""A window of samples -> statistics of its mel bands and of its pitch contour, beside the paper's descriptors.

Ours: with them the voice branch measures better than with the descriptors of section 4.1 alone.
"""

import numpy as np

from emotrace.features.audio_features import fundamental_frequency
from emotrace.features.spectrogram import log_mel
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

NUM_BANDS = 32
_LEVELS = (0.1, 0.5, 0.9)
_PITCH_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
_FEWEST_VOICED = 3
"""Voiced frames below which a pitch contour says nothing."""


def statistic_names() -> tuple[str, ...]:
    """Return [D] names, in the order of `voice_statistics`."""
    of_bands = ("mean", "std", *(f"p{round(100 * level)}" for level in _LEVELS), "mean_change")
    return (
        *(f"log_mel_{band}_{statistic}" for statistic in of_bands for band in range(NUM_BANDS)),
        *(f"log_f0_p{round(100 * level)}" for level in _PITCH_LEVELS),
        "log_f0_std",
        "log_f0_mean_change",
        "log_f0_p90_change",
        "periodicity_mean",
        "periodicity_std",
        "seconds",
    )


def voice_statistics(window: FloatArray) -> FloatArray:
    """Return [203]: the statistics of a window, never NaN.

    Args:
        window: [N] pre-emphasised samples at 16 kHz, at least 50 ms.
    """
    seconds = len(window) / SAMPLE_RATE
    return np.concatenate([_of_bands(window), _of_pitch(window), [seconds]]).astype(np.float32)


def _of_bands(window: FloatArray) -> FloatArray:
    bands = log_mel(window, num_bands=NUM_BANDS)
    change = np.abs(np.diff(bands, axis=0)).mean(axis=0)
    levels = np.quantile(bands, _LEVELS, axis=0).reshape(-1)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0), levels, change]).astype(np.float32)


def _of_pitch(window: FloatArray) -> FloatArray:
    f0_hz, periodicity = fundamental_frequency(window)
    voiced = f0_hz[f0_hz > 0]
    contour = np.log(voiced) if len(voiced) >= _FEWEST_VOICED else np.zeros(_FEWEST_VOICED)
    change = np.abs(np.diff(contour))
    summary = [contour.std(), change.mean(), np.quantile(change, 0.9), periodicity.mean(), periodicity.std()]
    return np.concatenate([np.quantile(contour, _PITCH_LEVELS), summary]).astype(np.float32)
