"""Windows that overlap -> what short-time analysis says of their frames, each frame analysed once.

Frames lie at places in the whole stretch, and a window is rows of a table of frames. Alone stands what a window's own
start makes different: before its first sample there is nothing. All is said of sound at the gain that it has; what a
window's gain changes is put in later. Every number of a window is the same whatever other windows stand beside it.
"""

from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emotrace.features.audio_features import NUM_MFCC_BANDS, PITCH_FRAME, periods, spectral_centroid
from emotrace.features.audio_signal import (
    FRAME_LENGTH,
    HOP_LENGTH,
    TICK_LENGTH,
    WindowLevels,
    hamming,
    short_term_energy,
    zero_crossing_rate,
)
from emotrace.features.spectrogram import FFT_LENGTH, mel_bands
from emotrace.features.voice_statistics import NUM_BANDS
from emotrace.types import FloatArray, IntArray

_ROWS = 64
"""Rows of one matrix product: always as many, since a product of another size may round otherwise."""
_BLOCK_ROWS = 4 * _ROWS
"""Frames analysed at once: what they need stays in the processor's cache."""
_TAIL = FRAME_LENGTH - HOP_LENGTH
"""Samples before a window that the endpoint detection takes for silence."""


class Stretch(NamedTuple):
    """Windows in a stretch of sound.

    Attributes:
        samples: [N] at 16 kHz, pre-emphasised as one.
        plain: [N] the same, not pre-emphasised.
        first: [W] first sample of each window.
        length: [W] samples, at least 1600.
        longest: samples that a window may have at most.
    """

    samples: FloatArray
    plain: FloatArray
    first: IntArray
    length: IntArray
    longest: int


class SpectralFrames(NamedTuple):
    """Frames of 25 ms; the last of a window stands again in all rows beyond it.

    Attributes:
        num_frames: [W] of each window.
        mfcc_bands: [W, frames, 26] mel-band power.
        bands: [W, frames, 32] mel-band power.
        centroid_hz: [W, frames].
        flux: [W, frames].
        energy: [W, frames] as in eq. 5.
        mean_square: [W, frames].
    """

    num_frames: IntArray
    mfcc_bands: FloatArray
    bands: FloatArray
    centroid_hz: FloatArray
    flux: FloatArray
    energy: FloatArray
    mean_square: FloatArray

    def part(self, of: slice) -> Self:
        """Return what is known of some of the windows."""
        bands = self.mfcc_bands[of], self.bands[of]
        return type(self)(
            self.num_frames[of], *bands, self.centroid_hz[of], self.flux[of], self.energy[of], self.mean_square[of]
        )


class PitchFrames(NamedTuple):
    """Frames of 50 ms, laid out likewise.

    Attributes:
        num_frames: [W] of each window.
        f0_hz: [W, frames], however faint.
        periodicity: [W, frames], however faint.
        power: [W, frames].
    """

    num_frames: IntArray
    f0_hz: FloatArray
    periodicity: FloatArray
    power: FloatArray

    def part(self, of: slice) -> Self:
        """Return what is known of some of the windows."""
        return type(self)(self.num_frames[of], self.f0_hz[of], self.periodicity[of], self.power[of])


def spectral_frames(stretch: Stretch) -> SpectralFrames:
    """Analyse the frames of 25 ms of all windows."""
    count = 1 + (stretch.length - FRAME_LENGTH) // HOP_LENGTH
    size = 1 + (stretch.longest - FRAME_LENGTH) // HOP_LENGTH
    places, rows = _places(stretch.first, count, size, HOP_LENGTH)
    shared = np.empty((len(places), NUM_MFCC_BANDS + NUM_BANDS + 3), dtype=np.float32)
    unit = np.empty((len(places), FFT_LENGTH // 2 + 1), dtype=np.float32)
    flux = np.empty(len(places), dtype=np.float32)
    before = np.searchsorted(places, places - HOP_LENGTH)  # of a window's second frame it may be anything
    for part in _parts(len(places)):
        shared[part], unit[part] = _spectra(_frames(stretch.samples, FRAME_LENGTH, places[part]))
        flux[part] = _squared_distance(unit[part], unit[before[part]])
    beginning = _frames(stretch.samples, FRAME_LENGTH, stretch.first)
    beginning[:, 0] = stretch.plain[stretch.first]
    own, own_unit = _spectra(beginning)
    table = np.concatenate([np.column_stack([shared, flux]), np.pad(own, ((0, 0), (0, 1)))])
    by_frame = table[_with_own(rows, len(places))]
    by_frame[:, 1, -1] = _squared_distance(unit[rows[:, 1]], own_unit)
    stop = NUM_MFCC_BANDS + NUM_BANDS
    rest = (by_frame[:, :, place] for place in (stop, -1, stop + 1, stop + 2))
    return SpectralFrames(count, by_frame[:, :, :NUM_MFCC_BANDS], by_frame[:, :, NUM_MFCC_BANDS:stop], *rest)


def _spectra(frames: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return [frames, 61]: mel bands, centroid, energy, mean square; and [frames, 257] magnitudes of length one."""
    windowed = frames * hamming(FRAME_LENGTH)
    spectrum = np.fft.rfft(windowed, FFT_LENGTH, axis=1)
    power: FloatArray = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    magnitude = np.sqrt(power)
    length = np.sqrt(np.sum(power, axis=1, keepdims=True))
    energy = np.sum(windowed * windowed, axis=1)
    columns = [_product(power, _filters()), spectral_centroid(magnitude), energy, np.mean(frames * frames, axis=1)]
    return np.column_stack(columns), np.asarray(magnitude / np.where(length > 0, length, 1))


def _product(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    whole = np.pad(rows, ((0, -len(rows) % _ROWS), (0, 0))).reshape(-1, _ROWS, rows.shape[1])
    return np.asarray(whole @ matrix).reshape(-1, matrix.shape[1])[: len(rows)]


def _squared_distance(one: FloatArray, other: FloatArray) -> FloatArray:
    change = one - other
    return np.asarray(np.sum(change * change, axis=1))


@cache
def _filters() -> FloatArray:
    return np.concatenate([mel_bands(NUM_MFCC_BANDS), mel_bands(NUM_BANDS)], axis=1)


def pitch_frames(stretch: Stretch) -> PitchFrames:
    """Look for periods in the frames of 50 ms of all windows."""
    hop, reach = HOP_LENGTH // 2, 2 * PITCH_FRAME - 1
    halved = (stretch.length + 1) // 2
    count = 1 + (halved - PITCH_FRAME) // hop
    size = 1 + ((stretch.longest + 1) // 2 - PITCH_FRAME) // hop
    places, rows = _places(stretch.first, count, size, HOP_LENGTH)
    padded = np.pad(stretch.samples, 1)
    low_passed = ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).astype(np.float32)
    parts = [periods(_frames(low_passed, reach, places[part])[:, ::2]) for part in _parts(len(places))]
    beginning = _frames(low_passed, reach, stretch.first)[:, ::2]
    start, after = stretch.plain[stretch.first], stretch.samples[stretch.first + 1]
    beginning[:, 0] = (2 * start + after) / 4
    # The last sample of a window of odd length has nothing after it.
    cut = np.flatnonzero((stretch.length % 2 == 1) & ((halved - PITCH_FRAME) % hop == 0))
    final = stretch.first[cut] + stretch.length[cut] - 1
    ending = _frames(low_passed, reach, final - reach + 1)[:, ::2]
    ending[:, -1] = (stretch.samples[final - 1] + 2 * stretch.samples[final]) / 4

    parts.append(periods(np.concatenate([beginning, ending])))
    found = [np.concatenate(part) for part in zip(*parts, strict=True)]
    rows = _with_own(rows, len(places))
    last = np.arange(size) >= count[cut, None] - 1
    rows[cut] = np.where(last, len(places) + len(rows) + np.arange(len(cut))[:, None], rows[cut])
    return PitchFrames(count, *(values[rows] for values in found))


def window_levels(stretch: Stretch, gain: FloatArray) -> WindowLevels:
    """Measure what the endpoint detection goes by in each window, silence before it."""
    count, size = stretch.length // TICK_LENGTH, stretch.longest // TICK_LENGTH
    squared = gain.astype(np.float64)[:, None] ** 2
    places, rows = _places(stretch.first, count, size, TICK_LENGTH)
    own = _frames(stretch.samples, TICK_LENGTH, stretch.first)
    own[:, 0] = stretch.plain[stretch.first]
    ticks = [_frames(stretch.samples, TICK_LENGTH, places[part]) for part in _parts(len(places))]
    variance = np.concatenate([part.astype(np.float64).var(axis=1) for part in (*ticks, own)])
    tick_energies = variance[_with_own(rows, len(places))]

    frames_per_tick = TICK_LENGTH // HOP_LENGTH
    first, early = stretch.first + 2 * HOP_LENGTH - _TAIL, _TAIL // HOP_LENGTH + 1
    places, rows = _places(first, count * frames_per_tick - early, size * frames_per_tick - early, HOP_LENGTH)
    measured = [_levels(_frames(stretch.samples, FRAME_LENGTH, places[part])) for part in _parts(len(places))]
    for offset in (_TAIL, _TAIL - HOP_LENGTH):
        measured.append(_levels(np.pad(own, ((0, 0), (offset, 0)))[:, :FRAME_LENGTH]))
    energies, crossings = (np.concatenate(values) for values in zip(*measured, strict=True))
    alone = len(places) + np.arange(early * len(first)).reshape(early, -1).T
    rows = np.concatenate([alone, rows], axis=1)
    return WindowLevels(count, tick_energies * squared, energies[rows].astype(np.float64) * squared, crossings[rows])


def _levels(frames: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return [frames] short-term energy and [frames] zero-crossing rate, without the mean."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    return short_term_energy(centred, hamming(FRAME_LENGTH)), zero_crossing_rate(centred)


def _parts(number: int) -> list[slice]:
    return [slice(first, min(first + _BLOCK_ROWS, number)) for first in range(0, number, _BLOCK_ROWS)]


def _places(first: IntArray, count: IntArray, size: int, hop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return [F] where there are frames, rising, and [W, size] which of them are a window's, the last repeated."""
    steps = np.minimum(np.arange(size), count[:, None] - 1)
    wanted = first[:, None] + hop * steps
    places, rows = np.unique(wanted, return_inverse=True)
    return places, rows.reshape(wanted.shape)


def _with_own(rows: IntArray, num_shared: int) -> IntArray:
    """Let each window's first row be its own, which follow the shared ones in the table."""
    rows = rows.copy()
    rows[:, 0] = num_shared + np.arange(len(rows))
    return rows


def _frames(samples: FloatArray, length: int, places: IntArray) -> FloatArray:
    """Return [F, length], a copy."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[places]
