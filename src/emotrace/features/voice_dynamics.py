"""Mel bands and pitch of a window -> how they move within it: modulation, course, agreement of bands.

Ours, like `voice_statistics`: what mean and spread over a window do not say. The bands lose their mean over the window
first, so that microphone and speaker weigh less.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from emotrace.features.audio_signal import HOP_LENGTH
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

BANDS_PER_GROUP = 4
QUARTERS = 4
MODULATION_HZ = (0.5, 1.5, 3.0, 6.0, 12.0, 20.0)
"""Edges of the ranges in which the power of a band's changes is measured; syllables come at about 4 Hz."""
MODULATION_FFT = 512
FLOOR = 1e-4


class Contours(NamedTuple):
    """What dynamics are made of; frames every 10 ms.

    Attributes:
        bands: [frames, B] natural-log mel bands, B a multiple of 4.
        f0_hz: [voicing frames], 0 where unvoiced.
        periodicity: [voicing frames] in 0..1.
    """

    bands: FloatArray
    f0_hz: FloatArray
    periodicity: FloatArray


def dynamics_names(num_bands: int) -> tuple[str, ...]:
    """Return [D] names, in the order of `voice_dynamics`."""
    groups = range(num_bands // BANDS_PER_GROUP)
    ranges = [f"{low:g}_{high:g}_hz" for low, high in pairwise(MODULATION_HZ)]
    return (
        *(f"modulation_{name}_{group}" for name in ranges for group in groups),
        *(f"course_{quarter}_{group}" for quarter in range(QUARTERS) for group in groups),
        *(f"agreement_{one}_{other}" for one in groups for other in groups if one < other),
        *(f"voiced_excess_{group}" for group in range(num_bands // 2)),
        "level_rise",
        "level_jump",
        *(f"pitch_course_{quarter}" for quarter in range(QUARTERS)),
        *(f"voiced_share_{quarter}" for quarter in range(QUARTERS)),
        "voicing_changes",
        "voiced_periodicity",
    )


def voice_dynamics(contours: Contours) -> FloatArray:
    """Return [D]: the dynamics of a window, never NaN; `dynamics_names` says which is which."""
    return np.concatenate([_of_bands(contours), _of_voicing(contours)]).astype(np.float32)


def _of_bands(contours: Contours) -> FloatArray:
    bands = contours.bands.astype(np.float64)
    frames, num_bands = bands.shape
    moving = bands - bands.mean(axis=0)
    groups = moving.reshape(frames, num_bands // BANDS_PER_GROUP, BANDS_PER_GROUP).mean(axis=2)
    quarters = np.stack([part.sum(axis=0) / max(1, len(part)) for part in np.array_split(groups, QUARTERS)])
    excess = _excess(moving, contours.f0_hz).reshape(-1, 2).mean(axis=1)
    level = np.log(np.exp(bands).sum(axis=1) + FLOOR)
    change = np.diff(level)
    movement = [np.maximum(change, 0).mean(), np.abs(change).max()]
    return np.concatenate([_modulation(groups).reshape(-1), quarters.reshape(-1), _agreement(groups), excess, movement])


def _modulation(groups: FloatArray) -> FloatArray:
    """Return [ranges, G]: the logarithm of the mean power of each contour's changes, by their frequency."""
    frame_rate = SAMPLE_RATE / HOP_LENGTH
    size = max(MODULATION_FFT, 1 << (len(groups) - 1).bit_length())
    power = np.abs(np.fft.rfft(groups, size, axis=0)) ** 2 / len(groups)
    frequency = np.fft.rfftfreq(size, 1 / frame_rate)
    edges = np.searchsorted(frequency, MODULATION_HZ)
    parts = [power[low:high].mean(axis=0) for low, high in pairwise(edges)]
    return np.asarray(np.log(np.stack(parts) + FLOOR))


def _agreement(groups: FloatArray) -> FloatArray:
    """Return [G (G - 1) / 2]: correlation of every two contours."""
    covariance = groups.T @ groups / len(groups)
    spread = np.sqrt(np.maximum(np.diag(covariance), FLOOR))
    correlation = covariance / spread / spread[:, None]
    return np.asarray(correlation[np.triu_indices(len(spread), 1)])


def _excess(moving: FloatArray, f0_hz: FloatArray) -> FloatArray:
    """Return [B]: by how much voiced frames lie above the window's mean."""
    shared = min(len(moving), len(f0_hz))
    voiced = f0_hz[:shared] > 0
    return np.asarray(moving[:shared][voiced].mean(axis=0) if voiced.any() else np.zeros(moving.shape[1]))


def _of_voicing(contours: Contours) -> FloatArray:
    voiced = contours.f0_hz > 0
    pitch = np.zeros(len(voiced))
    pitch[voiced] = np.log(contours.f0_hz[voiced])
    pitch[voiced] -= pitch[voiced].mean() if voiced.any() else 0
    parts = np.array_split(np.arange(len(voiced)), QUARTERS)
    course = [pitch[part].sum() / max(1, voiced[part].sum()) for part in parts]
    share = [voiced[part].mean() if len(part) else 0 for part in parts]
    changes = np.abs(np.diff(voiced.astype(np.float64))).sum() / len(voiced)
    periodicity = contours.periodicity[voiced].mean() if voiced.any() else 0
    return np.array([*course, *share, changes, periodicity])
