"""Pre-emphasised samples at 16 kHz -> log-mel spectrograms and the 24x120 spectra of Liu & Tang 2021 (front end S)."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotrace.features.audio_signal import FRAME_LENGTH, HOP_LENGTH, frame_signal, hamming
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

FFT_LENGTH = 512
LOW_HZ = 60.0
HIGH_HZ = 7_600.0
POWER_FLOOR = 1e-8
"""Added before the logarithm: about the power of one bin of 16-bit quantisation noise."""

_BLOCK_FRAMES = 1024
"""Frames analysed at once: bounds the memory for long signals and keeps it in the processor's cache."""
_SPECTRUM_SHAPE = (24, 120)


def mel_filters(num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> FloatArray:
    """Return [bands, bins]: triangles with peak 1, spaced evenly on Slaney's mel scale.

    The scale is linear up to 1 kHz (200/3 Hz per mel) and logarithmic above (27 mels per factor 6.4), as in
    M. Slaney, "Auditory Toolbox", 1998. With 64 bands and 512 bins it leaves no band without a bin, where the
    logarithmic formula of HTK crowds the lowest bands into single bins.

    Args:
        num_bands: number of triangles.
        fft_length: samples of the transform; bins are fft_length // 2 + 1.
        sample_rate: Hz.
        low_hz: left foot of the first triangle.
        high_hz: right foot of the last triangle.
    """
    limits = _hz_to_mel(np.array([low_hz, high_hz]))
    corners = _mel_to_hz(np.linspace(limits[0], limits[1], num_bands + 2))
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.fft.rfftfreq(fft_length, 1 / sample_rate)
    rising = (bins - left) / (peak - left)
    falling = (right - bins) / (right - peak)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def power_spectrum(samples: FloatArray, frame_length: int, hop_length: int, fft_length: int) -> FloatArray:
    """Return [frames, fft_length // 2 + 1]: squared magnitudes of Hamming-windowed frames (eq. 3-4)."""
    windowed = frame_signal(samples, frame_length, hop_length) * hamming(frame_length)
    spectrum = np.fft.rfft(windowed, fft_length, axis=1)
    power: FloatArray = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power


def log_mel(samples: FloatArray, *, num_bands: int = 64) -> FloatArray:
    """Return [frames, bands]: the natural logarithm of mel-band power + 1e-8; 25 ms Hamming frames every 10 ms.

    Args:
        samples: [N] pre-emphasised, in about [-1, 1], at 16 kHz; 48000 samples (3 s) give 298 frames.
        num_bands: mel bands from 60 to 7600 Hz.
    """
    samples = samples.astype(np.float32, copy=False)
    num_frames = max(0, 1 + (len(samples) - FRAME_LENGTH) // HOP_LENGTH)
    bands = np.empty((num_frames, num_bands), dtype=np.float32)
    for first in range(0, num_frames, _BLOCK_FRAMES):
        stop = min(first + _BLOCK_FRAMES, num_frames)
        part = samples[first * HOP_LENGTH : (stop - 1) * HOP_LENGTH + FRAME_LENGTH]
        bands[first:stop] = log_bands(power_spectrum(part, FRAME_LENGTH, HOP_LENGTH, FFT_LENGTH), num_bands)
    return bands


def log_bands(power: FloatArray, num_bands: int) -> FloatArray:
    """Return [frames, bands]: the natural logarithm of mel-band power + 1e-8 of [frames, 257] power spectra."""
    logarithm: FloatArray = np.log(power @ mel_bands(num_bands) + np.float32(POWER_FLOOR))
    return logarithm


def spectrum_24x120(window: FloatArray, axes: Literal["band-time", "time-band"] = "band-time") -> FloatArray:
    """Return [24, 120]: the log power spectrum of 3 s that section 6.2 calls a frame.

    Args:
        window: [48000] pre-emphasised samples at 16 kHz.
        axes: the paper does not name the axes. "band-time": 24 mel bands x 120 steps of 25 ms, which fits
            section 4.1 exactly; "time-band": 24 steps of 125 ms x 120 bands of 66.7 Hz.
    """
    bands, steps = _SPECTRUM_SHAPE
    if axes == "band-time":
        frame_length = len(window) // steps
        power = power_spectrum(window, frame_length, frame_length, FFT_LENGTH)
        return log_bands(power, bands).T
    frame_length = len(window) // bands
    bins_per_band = 10
    power = power_spectrum(window, frame_length, frame_length, 2 * bins_per_band * steps)
    banded = power[:, 1:].reshape(bands, steps, bins_per_band).mean(axis=2)
    spectrum: FloatArray = np.log(banded + np.float32(POWER_FLOOR))
    return spectrum


def stack_five(frames: FloatArray) -> FloatArray:
    """Return [120, 120]: five consecutive [24, 120] spectra stacked along the axis of 24 (section 6.2)."""
    if frames.shape != (5, *_SPECTRUM_SHAPE):
        raise ValueError(f"Five spectra of 24x120 make one input, but the shape is {frames.shape}.")
    return frames.reshape(5 * _SPECTRUM_SHAPE[0], _SPECTRUM_SHAPE[1])


@cache
def mel_bands(num_bands: int) -> FloatArray:
    """Return [257, bands]: the filters of `log_bands`, contiguous for the product with the power spectrum."""
    return np.ascontiguousarray(mel_filters(num_bands, FFT_LENGTH, SAMPLE_RATE, LOW_HZ, HIGH_HZ).T)


_KNEE_HZ = 1_000.0
_HZ_PER_MEL = 200 / 3
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _HZ_PER_MEL, logarithmic)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, logarithmic)
