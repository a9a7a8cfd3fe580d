"""A window of samples -> statistics and dynamics of its mel bands and of its pitch, beside the paper's descriptors.

Ours: with them the voice branch measures better than with the descriptors of section 4.1 alone.
"""

import numpy as np

from emotrace.features.audio_features import fundamental_frequency
from emotrace.features.spectrogram import log_mel
from emotrace.features.voice_dynamics import Contours, dynamics_names, voice_dynamics
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

NUM_BANDS = 32
LEVELS = (0.1, 0.5, 0.9)
PITCH_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
FEWEST_VOICED = 3
"""Voiced frames below which a pitch contour says nothing."""


def statistic_names() -> tuple[str, ...]:
    """Return [D] names, in the order of `voice_statistics`."""
    of_bands = ("mean", "std", *(f"p{round(100 * level)}" for level in LEVELS), "mean_change")
    return (
        *(f"log_mel_{band}_{statistic}" for statistic in of_bands for band in range(NUM_BANDS)),
        *(f"log_f0_p{round(100 * level)}" for level in PITCH_LEVELS),
        "log_f0_std",
        "log_f0_mean_change",
        "log_f0_p90_change",
        "periodicity_mean",
        "periodicity_std",
        "seconds",
        *dynamics_names(NUM_BANDS),
    )


def voice_statistics(window: FloatArray) -> FloatArray:
    """Return [331]: the statistics of a window, never NaN.

    Args:
        window: [N] pre-emphasised samples at 16 kHz, at least 50 ms.
    """
    contours = Contours(log_mel(window, num_bands=NUM_BANDS), *fundamental_frequency(window))
    seconds = np.array([len(window) / SAMPLE_RATE])
    parts = (_of_bands(contours.bands), _of_pitch(contours), seconds, voice_dynamics(contours))
    return np.concatenate(parts).astype(np.float32)


def _of_bands(bands: FloatArray) -> FloatArray:
    change = np.abs(np.diff(bands, axis=0)).mean(axis=0)
    levels = np.quantile(bands, LEVELS, axis=0).reshape(-1)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0), levels, change]).astype(np.float32)


def _of_pitch(contours: Contours) -> FloatArray:
    voiced = contours.f0_hz[contours.f0_hz > 0]
    contour = np.log(voiced) if len(voiced) >= FEWEST_VOICED else np.zeros(FEWEST_VOICED)
    change = np.abs(np.diff(contour))
    summary = [contour.std(), change.mean(), np.quantile(change, 0.9)]
    periodicity = [contours.periodicity.mean(), contours.periodicity.std()]
    return np.concatenate([np.quantile(contour, PITCH_LEVELS), summary, periodicity]).astype(np.float32)
