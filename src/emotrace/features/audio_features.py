"""A window of samples -> one vector of speech descriptors: front end H of Liu & Tang 2021 (section 4.1, eqs. 5-9).

Inside the window, short-time analysis in frames of 25 ms every 10 ms; over the frames, functionals. Which functionals
the paper means is not said; these are mean, standard deviation, minimum, maximum and slope.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emotrace.features.audio_signal import (
    FRAME_LENGTH,
    HOP_LENGTH,
    TICK_LENGTH,
    EndpointState,
    detect_speech,
    frame_signal,
    hamming,
    short_term_energy,
    zero_crossing_rate,
)
from emotrace.features.spectrogram import FFT_LENGTH, POWER_FLOOR, log_bands, power_spectrum
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import BoolArray, FloatArray

NUM_MFCC = 13
NUM_MFCC_BANDS = 26
LOWEST_F0_HZ = 60.0
HIGHEST_F0_HZ = 500.0

_FRAME_NAMES = (
    *(f"mfcc_{index}" for index in range(NUM_MFCC)),
    *(f"mfcc_{index}_delta" for index in range(NUM_MFCC)),
    *(f"mfcc_{index}_delta_delta" for index in range(NUM_MFCC)),
    "spectral_centroid_hz",
    "spectral_flux",
    "zero_crossing_rate",
    "log_energy",
)
_VOICED_NAMES = ("f0_hz", "harmonics_to_noise_db")
_WINDOW_NAMES = ("voiced_share", "beat_strength", "beat_period_seconds", "pause_share")
DESCRIPTOR_NAMES = (*_FRAME_NAMES, *_VOICED_NAMES, *_WINDOW_NAMES)
"""Descriptors of a frame, of a voiced frame, and of the whole window."""
FUNCTIONALS = ("mean", "std", "min", "max", "slope")
"""What is made of a descriptor that has a value in every frame; the slope is per second."""

PITCH_FRAME = 400
"""Samples at 8 kHz: 50 ms."""
_PITCH_RATE = SAMPLE_RATE // 2
_PITCH_FFT = 576
_VOICING_THRESHOLD = 0.5
_OCTAVE_COST = 0.03
FAINTEST_POWER = 1e-7 * float(np.sum(np.hanning(PITCH_FRAME).astype(np.float32) ** 2))
"""Of a tapered frame of pitch: below it there is no voice."""


def functional_names() -> tuple[str, ...]:
    """Return [D] names, in the order of `describe`."""
    varying = (*_FRAME_NAMES, *_VOICED_NAMES)
    return (*(f"{name}_{functional}" for functional in FUNCTIONALS for name in varying), *_WINDOW_NAMES)


def describe(window: FloatArray, speech: BoolArray | None = None) -> FloatArray:
    """Return [D]: the functionals of a window, never NaN; `functional_names` says which is which.

    Args:
        window: [N] pre-emphasised samples at 16 kHz, 48000 for the paper's 3 s; at least 50 ms.
        speech: [T] whether there is speech, at any even rate over the window; None: found in the window itself.

    Raises:
        ValueError: the window is shorter than 50 ms.
    """
    shortest = 2 * PITCH_FRAME
    if len(window) < shortest:
        raise ValueError(f"A window of {len(window)} samples is too short: at least {shortest} are needed.")
    window = window.astype(np.float32, copy=False)
    if speech is None:
        speech = detect_speech(EndpointState(), window[: len(window) // TICK_LENGTH * TICK_LENGTH])[1].speech
    frames = frame_signal(window)
    power = power_spectrum(window, FRAME_LENGTH, HOP_LENGTH, FFT_LENGTH)
    magnitude = np.sqrt(power)
    coefficients = mfcc(power)
    change = delta(coefficients)
    by_frame = np.column_stack(
        [
            coefficients,
            change,
            delta(change),
            spectral_centroid(magnitude),
            spectral_flux(magnitude),
            zero_crossing_rate(frames),
            np.log(short_term_energy(frames, hamming(FRAME_LENGTH)) + POWER_FLOOR),
        ]
    )
    f0_hz, periodicity = fundamental_frequency(window)
    voiced = f0_hz > 0
    by_voiced_frame = np.column_stack([f0_hz, harmonics_to_noise(periodicity)])[voiced]
    varying = np.column_stack(
        [
            functionals(by_frame, np.arange(len(by_frame)) * HOP_LENGTH / SAMPLE_RATE),
            functionals(by_voiced_frame, np.flatnonzero(voiced) * HOP_LENGTH / SAMPLE_RATE),
        ]
    )
    whole = [float(voiced.mean()), *beat(frames), pause_share(speech)]
    return np.concatenate([varying.reshape(-1), whole]).astype(np.float32)


def mfcc(power: FloatArray) -> FloatArray:
    """Return [frames, 13]: the orthonormal DCT-II of natural-log mel energies in 26 bands.

    Args:
        power: [frames, 257] as `power_spectrum` makes it.
    """
    return log_bands(power, NUM_MFCC_BANDS) @ dct()


@cache
def dct() -> FloatArray:
    """Return [26, 13]: the matrix of `mfcc`."""
    band = np.arange(NUM_MFCC_BANDS)[:, None] + 0.5
    cosines = np.cos(math.pi / NUM_MFCC_BANDS * band * np.arange(NUM_MFCC)) * math.sqrt(2 / NUM_MFCC_BANDS)
    cosines[:, 0] /= math.sqrt(2)
    rounded: FloatArray = cosines.astype(np.float32)
    return rounded


def delta(rows: FloatArray) -> FloatArray:
    """Return [frames, K]: the regression slope over five frames, per frame; the first and last row are repeated."""
    padded = np.pad(rows, ((2, 2), (0, 0)), mode="edge")
    near = padded[3:-1] - padded[1:-3]
    far = padded[4:] - padded[:-4]
    return ((near + 2 * far) / 10).astype(np.float32)


def spectral_centroid(magnitude: FloatArray) -> FloatArray:
    """Return [frames]: the mean frequency in Hz, weighted by magnitude (eq. 7); 0 in silence.

    Args:
        magnitude: [frames, bins] from 0 Hz to half of the sample rate.
    """
    frequency = np.linspace(0, SAMPLE_RATE / 2, magnitude.shape[1], dtype=np.float32)
    total = magnitude.sum(axis=1)
    return (magnitude @ frequency / np.where(total > 0, total, 1)).astype(np.float32)


def spectral_flux(magnitude: FloatArray) -> FloatArray:
    """Return [frames]: the squared change of the magnitude spectrum scaled to length one (eq. 8), 0..2.

    The first frame has no flux. The paper does not say which norm; the Euclidean one bounds the result.
    """
    length = np.linalg.norm(magnitude, axis=1, keepdims=True)
    normalised = magnitude / np.where(length > 0, length, 1)
    change = np.diff(normalised, axis=0, prepend=normalised[:1])
    flux: FloatArray = np.sum(change * change, axis=1)
    return flux


def fundamental_frequency(window: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return [frames] F0 in Hz, 60..500 and 0 where unvoiced, and [frames] periodicity 0..1, every 10 ms.

    The highest peak of the autocorrelation of 50 ms, divided by that of the window function and refined by a parabola
    (P. Boersma, "Accurate short-term analysis of the fundamental frequency", 1993), with a small cost per octave
    against multiples of the period. Frames of 50 ms are longer than the others: 60 Hz needs three periods.
    """
    padded = np.pad(window, 1)
    low_passed = (padded[:-2:2] + 2 * padded[1:-1:2] + padded[2::2]) / 4
    halved = low_passed.astype(np.float32)  # every second sample
    found = periods(frame_signal(halved, PITCH_FRAME, HOP_LENGTH // 2))
    loud = found.power > FAINTEST_POWER
    return np.where(loud, found.f0_hz, 0), np.where(loud, found.periodicity, 0)


class Periods(NamedTuple):
    """What is periodic in each frame, however faint it is.

    Attributes:
        f0_hz: [frames] in 60..500, 0 where nothing is periodic.
        periodicity: [frames] in 0..1.
        power: [frames] of the tapered frame, in the square of the samples' unit.
    """

    f0_hz: FloatArray
    periodicity: FloatArray
    power: FloatArray


def periods(frames: FloatArray) -> Periods:
    """Look for the period of [frames, 400] low-passed samples at 8 kHz, as `fundamental_frequency` describes it."""
    taper = _taper()
    correlation = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * taper)
    lags, cost = _lags()
    power = correlation[:, 0]
    of_taper = _autocorrelation(taper[None])[0]
    reach = slice(lags[0] - 1, lags[-1] + 2)
    share = correlation[:, reach] / np.where(power > 0, power, 1)[:, None] * (of_taper[0] / of_taper)[reach]
    before, here, after = share[:, :-2], share[:, 1:-1], share[:, 2:]
    is_peak = (here > before) & (here >= after)
    scores = np.where(is_peak, here - cost, -np.inf)
    row = np.arange(len(frames))
    best = scores.argmax(axis=1)
    left, top, right = before[row, best], here[row, best], after[row, best]
    found = is_peak[row, best]
    curvature = np.where(found, left - 2 * top + right, -1)
    # A flat top, as of digital silence, has no curvature and lies where its highest sample lies.
    period = lags[best] + 0.5 * (left - right) / np.where(curvature == 0, -1, curvature)
    voiced = found & (top >= _VOICING_THRESHOLD)
    f0_hz = np.where(voiced, np.clip(_PITCH_RATE / period, LOWEST_F0_HZ, HIGHEST_F0_HZ), 0)
    return Periods(f0_hz.astype(np.float32), np.where(found, np.clip(top, 0, 1), 0).astype(np.float32), power)


@cache
def _lags() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the periods looked at in samples, and the cost of each."""
    shortest, longest = int(_PITCH_RATE / HIGHEST_F0_HZ), math.ceil(_PITCH_RATE / LOWEST_F0_HZ)
    lags = np.arange(shortest, longest + 1)
    return lags, _OCTAVE_COST * np.log2(lags / shortest)


@cache
def _taper() -> FloatArray:
    return np.hanning(PITCH_FRAME).astype(np.float32)


def _autocorrelation(frames: FloatArray) -> FloatArray:
    """Return [frames, lags]: linear up to the longest period looked at."""
    spectrum = np.fft.rfft(frames, _PITCH_FFT, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(spectrum.dtype)  # complex: half the time of a real one
    return np.fft.irfft(power, _PITCH_FFT, axis=1)[:, : _PITCH_FFT - PITCH_FRAME].astype(np.float32)


def harmonics_to_noise(periodicity: FloatArray) -> FloatArray:
    """Return dB: the periodic share of the energy over the rest, -30..30 (Boersma 1993, eq. 4)."""
    share = np.clip(periodicity, 0.001, 0.999)
    decibels: FloatArray = (10 * np.log10(share / (1 - share))).astype(np.float32)
    return decibels


def beat(frames: FloatArray) -> tuple[float, float]:
    """Return strength (0..1) and period in seconds of the main beat: the highest peak of the autocorrelation of RMS.

    Periods from 0.1 to 1.5 s, at most half of the window; 0 and 0 where there is no peak. Of a period and its
    multiples the shorter wins unless the longer is clearly stronger.
    """
    return beat_of(np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1)))


def beat_of(level: NDArray[np.float64]) -> tuple[float, float]:
    """Return what `beat` does, of [frames] root mean squares."""
    level = level - level.mean()
    power = float(np.mean(level**2))
    frame_rate = SAMPLE_RATE // HOP_LENGTH
    shortest, longest = frame_rate // 10, min(3 * frame_rate // 2, len(level) // 2)
    if power < 1e-12 or longest < shortest:
        return 0.0, 0.0
    lags = np.arange(shortest - 1, longest + 2)
    sums = np.correlate(level, level, mode="full")[len(level) - 1 :]
    correlation = sums[lags] / (len(level) - lags) / power
    before, here, after = correlation[:-2], correlation[1:-1], correlation[2:]
    is_peak = (here > before) & (here >= after) & (here > 0)
    if not is_peak.any():
        return 0.0, 0.0
    cost = _OCTAVE_COST * np.log2(np.arange(shortest, longest + 1) / shortest)
    main = int(np.where(is_peak, here - cost, -np.inf).argmax())
    return min(1.0, float(here[main])), (shortest + main) / frame_rate


def pause_share(speech: BoolArray) -> float:
    """Return the share of the window without speech, 0..1; 1 where nothing is known."""
    return 1 - float(speech.mean()) if len(speech) else 1.0


def functionals(rows: FloatArray, seconds: NDArray[np.float64]) -> FloatArray:
    """Return [5, K]: mean, standard deviation, minimum, maximum, and slope per second; 0 where there are no rows.

    Args:
        rows: [frames, K].
        seconds: [frames] when they are.
    """
    if len(rows) == 0:
        return np.zeros((len(FUNCTIONALS), rows.shape[1]), dtype=np.float32)
    values = rows.astype(np.float64)
    since_middle = seconds - seconds.mean()
    spread = float(since_middle @ since_middle)
    slope = since_middle @ values / spread if spread > 0 else np.zeros(rows.shape[1])
    summary = [values.mean(axis=0), values.std(axis=0), values.min(axis=0), values.max(axis=0), slope]
    return np.stack(summary).astype(np.float32)


@dataclass(frozen=True)
class Normaliser:
    """Z-score statistics of the training data (eq. 9); the paper's "mean square error" is the standard deviation.

    Attributes:
        mean: [D].
        std: [D], 1 for a descriptor that never changes.
    """

    mean: FloatArray
    std: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray) -> Self:
        """Take the statistics of [M, D] training rows.

        Raises:
            ValueError: there are no rows.
        """
        if len(rows) == 0:
            raise ValueError("A normaliser needs at least one row to be fitted on, but there is none.")
        values = rows.astype(np.float64)
        constant = values.max(axis=0) == values.min(axis=0)
        std = np.where(constant, 1, values.std(axis=0))
        return cls(mean=values.mean(axis=0).astype(np.float32), std=std.astype(np.float32))

    def apply(self, rows: FloatArray) -> FloatArray:
        """Return [..., D] rows with the training data's mean at 0 and its standard deviation at 1."""
        return (rows - self.mean) / self.std
