"""Windows of a stretch of sound -> the descriptors of all of them at once: `describe` and `voice_statistics`, faster.

The numbers are those of the one window that `audio_features`, `voice_statistics` and `voice_dynamics` describe, up to
rounding; tests compare them. What each number means is told there.
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emotrace.features.audio_features import FAINTEST_POWER, beat_of, dct, harmonics_to_noise, pause_share
from emotrace.features.audio_signal import HOP_LENGTH, WindowLevels, detect_in_windows
from emotrace.features.shared_frames import (
    PitchFrames,
    SpectralFrames,
    Stretch,
    pitch_frames,
    spectral_frames,
    window_levels,
)
from emotrace.features.spectrogram import POWER_FLOOR
from emotrace.features.voice_dynamics import BANDS_PER_GROUP, FLOOR, MODULATION_FFT, MODULATION_HZ, QUARTERS
from emotrace.features.voice_statistics import FEWEST_VOICED, LEVELS, PITCH_LEVELS
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import BoolArray, FloatArray, IntArray

Wide = NDArray[np.float64]
LONGEST_SAMPLES = MODULATION_FFT * HOP_LENGTH
"""Of a window that can be described here: a longer one has its modulation measured otherwise."""
_AT_ONCE = 8
"""Windows described at once: what they need stays in the processor's cache."""
_FRAME_SECONDS = HOP_LENGTH / SAMPLE_RATE


class _Rows(NamedTuple):
    """Which rows of [W, frames] count: all frames of a window, or its voiced ones.

    Attributes:
        chosen: [W, frames].
        share: [W, frames] 1 over the number of the chosen, 0 elsewhere.
    """

    chosen: BoolArray
    share: Wide

    @classmethod
    def of(cls, chosen: BoolArray) -> "_Rows":
        return cls(chosen, chosen / np.maximum(1, chosen.sum(axis=1))[:, None])

    def mean(self, values: Wide) -> Wide:
        """Return [W, K] of [W, frames, K]."""
        return np.asarray((self.share[:, None] @ values)[:, 0])


def describe_windows(stretch: Stretch, gain: FloatArray, crossings: FloatArray) -> FloatArray:
    """Return [W, 560]: `describe` and `voice_statistics` of each window, multiplied by its gain.

    Args:
        stretch: the windows.
        gain: [W].
        crossings: [W, frames] zero-crossing rate of each window's frames of 25 ms.
    """
    spectral, pitch, levels = spectral_frames(stretch), pitch_frames(stretch), window_levels(stretch, gain)
    parts = [slice(first, first + _AT_ONCE) for first in range(0, len(gain), _AT_ONCE)]
    described = [
        _of_windows(
            spectral.part(part), pitch.part(part), levels.part(part), crossings[part], gain[part], stretch.length[part]
        )
        for part in parts
    ]
    return np.concatenate(described)


def _of_windows(
    spectral: SpectralFrames,
    pitch: PitchFrames,
    levels: WindowLevels,
    crossings: FloatArray,
    gain: FloatArray,
    length: IntArray,
) -> FloatArray:
    squared = gain[:, None] ** 2
    loud = pitch.power * squared > FAINTEST_POWER
    inside = np.arange(loud.shape[1]) < pitch.num_frames[:, None]
    f0_hz = np.where(loud & inside, pitch.f0_hz, 0)
    pitch = pitch._replace(f0_hz=f0_hz, periodicity=np.where(loud & inside, pitch.periodicity, 0))
    frames = _Rows.of(np.arange(spectral.flux.shape[1]) < spectral.num_frames[:, None])
    voicing, voiced = _Rows.of(inside), _Rows.of(f0_hz > 0)
    level = np.sqrt(spectral.mean_square.astype(np.float64) * squared)
    pauses = [pause_share(speech) for speech in detect_in_windows(levels)]
    bands = np.log(spectral.bands * squared[:, :, None] + np.float32(POWER_FLOOR))
    parts = [
        _described(spectral, crossings, squared, frames, pitch, voiced),
        voicing.mean((f0_hz > 0)[:, :, None].astype(np.float64)),
        [beat_of(row[:count]) for row, count in zip(level, spectral.num_frames.tolist(), strict=True)],
        np.array(pauses)[:, None],
        _of_bands(bands, frames),
        _of_pitch(pitch, voicing, voiced),
        length[:, None] / SAMPLE_RATE,
        _dynamics_of_bands(bands, spectral.bands * squared[:, :, None], frames, voiced),
        _dynamics_of_voicing(pitch, voiced),
    ]
    return np.concatenate([np.asarray(part) for part in parts], axis=1).astype(np.float32)


def _described(
    spectral: SpectralFrames,
    crossings: FloatArray,
    squared: FloatArray,
    frames: _Rows,
    pitch: PitchFrames,
    voiced: _Rows,
) -> Wide:
    """Return [W, 225]: the functionals."""
    floor = np.float32(POWER_FLOOR)
    last = spectral.num_frames - 1
    coefficients = np.log(spectral.mfcc_bands * squared[:, :, None] + floor) @ dct()
    change = _delta(coefficients, last)
    energy = np.log(spectral.energy * squared + floor)
    by_frame = np.concatenate(
        [
            coefficients,
            change,
            _delta(change, last),
            np.stack([spectral.centroid_hz, spectral.flux, crossings, energy], axis=2),
        ],
        axis=2,
    )
    by_voiced = np.stack([pitch.f0_hz, harmonics_to_noise(pitch.periodicity)], axis=2)
    varying = np.concatenate([_functionals(by_frame, frames), _functionals(by_voiced, voiced)], axis=2)
    return varying.reshape(len(varying), -1)


def _delta(rows: FloatArray, last: IntArray) -> FloatArray:
    """Return [W, frames, K] as `delta` does of one window; the last row stands again behind it, as it did in `rows`."""
    padded = np.concatenate([rows[:, :1], rows[:, :1], rows, rows[:, -1:], rows[:, -1:]], axis=1)
    change: FloatArray = ((padded[:, 3:-1] - padded[:, 1:-3] + 2 * (padded[:, 4:] - padded[:, :-4])) / 10).astype(
        np.float32, copy=False
    )
    for window in np.flatnonzero(last < rows.shape[1] - 1):
        change[window, last[window] + 1 :] = change[window, last[window]]
    return change


def _functionals(rows: FloatArray, counted: _Rows) -> Wide:
    """Return [W, 5, K]."""
    values = rows.astype(np.float64)
    mean = counted.mean(values)
    centred = values - mean[:, None]
    chosen = counted.chosen[:, :, None]
    seconds = np.arange(rows.shape[1]) * _FRAME_SECONDS
    weights = counted.share * seconds
    since_middle = counted.chosen * (seconds - weights.sum(axis=1)[:, None])
    spread = (since_middle**2).sum(axis=1)[:, None]
    slope = (since_middle[:, None] @ centred)[:, 0] / np.where(spread > 0, spread, 1)
    lowest = np.where(chosen, rows, np.inf).min(axis=1)
    highest = np.where(chosen, rows, -np.inf).max(axis=1)
    std = np.sqrt(counted.mean(centred**2))
    known = counted.chosen.sum(axis=1)[:, None, None] > 0
    return np.where(known, np.stack([mean, std, lowest, highest, slope], axis=1), 0)


def _of_bands(bands: FloatArray, frames: _Rows) -> Wide:
    values = bands.astype(np.float64)
    mean = frames.mean(values)
    std = np.sqrt(frames.mean((values - mean[:, None]) ** 2))
    only_frames = np.asarray(np.where(frames.chosen[:, :, None], bands, np.inf))
    ordered = np.sort(only_frames.swapaxes(1, 2), axis=2)
    count = frames.chosen.sum(axis=1)
    levels = [_quantile(ordered, count[:, None], level) for level in LEVELS]
    change = np.abs(values[:, 1:] - values[:, :-1])  # nothing changes behind the last frame, which is repeated
    return np.concatenate([mean, std, *levels, change.sum(axis=1) / (count - 1)[:, None]], axis=1)


def _quantile(ordered: NDArray[np.floating], count: IntArray, level: float) -> Wide:
    """Return [...]: the quantile of the first `count` [...] of the last axis, which rises."""
    place = level * (np.maximum(1, count) - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(1, count) - 1)
    below, above = (_at(ordered, index) for index in (low, high))
    return below + (above - below) * (place - low)


def _at(values: NDArray[np.floating], index: IntArray) -> Wide:
    index = np.broadcast_to(index, values.shape[:-1])[..., None]
    found = np.take_along_axis(values, index, axis=-1)[..., 0].astype(np.float64)
    return np.where(np.isfinite(found), found, 0)  # infinite where there is nothing to take


def _of_pitch(pitch: PitchFrames, voicing: _Rows, voiced: _Rows) -> Wide:
    count = voiced.chosen.sum(axis=1)
    known = (count >= FEWEST_VOICED)[:, None]
    contour = np.log(np.where(voiced.chosen, pitch.f0_hz, 1))
    wide = contour.astype(np.float64)[:, :, None]
    std = np.sqrt(voiced.mean((wide - voiced.mean(wide)[:, None]) ** 2))
    # Voiced frames come first, in their order, so that the next one is the next voiced one.
    gathered = np.take_along_axis(contour, np.argsort(~voiced.chosen, axis=1, kind="stable"), axis=1)
    change = np.abs(np.diff(gathered, axis=1))
    is_change = np.arange(change.shape[1]) < (count - 1)[:, None]
    mean_change = np.where(is_change, change, 0).sum(axis=1, dtype=np.float64) / np.maximum(1, count - 1)
    large = _quantile(np.sort(np.where(is_change, change, np.inf), axis=1), count - 1, 0.9)
    ordered = np.sort(np.where(voiced.chosen, contour, np.inf), axis=1)
    summary = np.stack(
        [*(_quantile(ordered, count, level) for level in PITCH_LEVELS), std[:, 0], mean_change, large], 1
    )
    periodicity = pitch.periodicity.astype(np.float64)[:, :, None]
    mean = voicing.mean(periodicity)
    spread = np.sqrt(voicing.mean((periodicity - mean[:, None]) ** 2))
    return np.concatenate([np.where(known, summary, 0), mean, spread], axis=1)


def _dynamics_of_bands(bands: FloatArray, power: FloatArray, frames: _Rows, voiced: _Rows) -> Wide:
    num_windows, size, _ = bands.shape
    chosen = frames.chosen[:, :, None]
    count = frames.chosen.sum(axis=1)[:, None]
    values = bands.astype(np.float64)
    moving = np.where(chosen, values - frames.mean(values)[:, None], 0)
    groups = moving.reshape(num_windows, size, -1, BANDS_PER_GROUP).mean(axis=3)
    quarters = _quarters(frames.chosen) @ groups
    # A stretch of voicing is looked at in frames of 50 ms, of which there are fewer.
    shared = _Rows.of(voiced.chosen & frames.chosen[:, : voiced.chosen.shape[1]])
    excess = shared.mean(moving[:, : shared.chosen.shape[1]]).reshape(num_windows, -1, 2).mean(axis=2)
    level = np.log(np.sum(power + np.float32(POWER_FLOOR), axis=2, dtype=np.float64) + FLOOR)
    change = np.diff(level, axis=1)  # 0 behind the last frame
    rise = np.maximum(change, 0).sum(axis=1)[:, None] / (count - 1)
    jump = np.abs(change).max(axis=1)[:, None]
    parts = [_modulation(groups, count), quarters, _agreement(groups, count), excess, rise, jump]
    return np.concatenate([part.reshape(num_windows, -1) for part in parts], axis=1)


def _quarters(chosen: BoolArray) -> Wide:
    """Return [W, 4, frames]: weights of the means over four parts, the first ones longer, as `np.array_split` does."""
    count = chosen.sum(axis=1)
    length = count[:, None] // QUARTERS + (np.arange(QUARTERS) < (count % QUARTERS)[:, None])
    stop = np.cumsum(length, axis=1)[:, :, None]
    place = np.arange(chosen.shape[1])
    inside = (place >= stop - length[:, :, None]) & (place < stop)
    return np.asarray(inside / np.maximum(1, length)[:, :, None])


@cache
def _modulation_edges() -> list[int]:
    frequency = np.fft.rfftfreq(MODULATION_FFT, _FRAME_SECONDS)
    return [int(edge) for edge in np.searchsorted(frequency, MODULATION_HZ)]


def _modulation(groups: Wide, count: IntArray) -> Wide:
    """Return [W, ranges, G]."""
    edges = _modulation_edges()
    spectrum = np.fft.rfft(groups.swapaxes(1, 2), MODULATION_FFT, axis=2)[:, :, : edges[-1]]
    power = (spectrum.real**2 + spectrum.imag**2) / count[:, :, None]
    parts = [power[:, :, low:high].mean(axis=2) for low, high in pairwise(edges)]
    return np.asarray(np.log(np.stack(parts, axis=1) + FLOOR))


def _agreement(groups: Wide, count: IntArray) -> Wide:
    """Return [W, G (G - 1) / 2]."""
    covariance = groups.swapaxes(1, 2) @ groups / count[:, :, None]
    spread = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), FLOOR))
    correlation = covariance / spread[:, None] / spread[:, :, None]
    upper = np.triu_indices(groups.shape[2], 1)
    return np.asarray(correlation[:, upper[0], upper[1]])


def _dynamics_of_voicing(pitch: PitchFrames, voiced: _Rows) -> Wide:
    inside = np.arange(voiced.chosen.shape[1]) < pitch.num_frames[:, None]
    logarithm = np.log(np.where(voiced.chosen, pitch.f0_hz, 1)).astype(np.float64)[:, :, None]
    contour = np.where(voiced.chosen[:, :, None], logarithm - voiced.mean(logarithm)[:, None], 0)
    quarters = _quarters(inside)
    share = quarters @ voiced.chosen[:, :, None].astype(np.float64)
    course = quarters @ contour
    # The sum over a quarter by its voiced frames, not by all.
    per_frame = 1 / np.maximum(quarters.max(axis=2, keepdims=True), 1e-9)
    course = course * per_frame / np.maximum(1, np.rint(share * per_frame))
    flips = (np.diff(voiced.chosen, axis=1) & inside[:, 1:]).sum(axis=1)[:, None] / pitch.num_frames[:, None]
    periodicity = voiced.mean(pitch.periodicity.astype(np.float64)[:, :, None])
    return np.concatenate([course[:, :, 0], share[:, :, 0], flips, periodicity], axis=1)
