"""Samples at 16 kHz -> frames of a spectrogram, 10 ms apart: the front ends "log-mel" and "log-spectrogram".

A voice input of these front ends is a slice: the frames that ended within the last hop. The newest ends at the tick,
the oldest reaches back before the hop, and slices joined one after the other are the spectrogram of the recording.
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotrace.features.audio_signal import HOP_LENGTH, frame_signal, hamming
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

MEL_FRAME_LENGTH = 400
"""Samples: 25 ms."""
MEL_BANDS = 64
SPECTROGRAM_FRAME_LENGTH = 640
"""Samples: 40 ms."""
SPECTROGRAM_BINS = 200
"""20 Hz each: 0 to 3980 Hz."""

_MEL_FFT_LENGTH = 512
_MEL_LOW_HZ = 125.0
_MEL_HIGH_HZ = 7_500.0
_MEL_OFFSET = 0.01
_SPECTROGRAM_FFT_LENGTH = 800
_MAGNITUDE_FLOOR = 1e-4
"""Added before the logarithm: about the magnitude that 16-bit quantisation noise has in a bin (rms 1.4e-4), so digital
silence lies as far below real silence as noise moves it, not at minus infinity."""


def log_mel_frames(samples: FloatArray) -> FloatArray:
    """Return [frames, 64]: the input of VGGish (Hershey et al. 2017).

    A periodic Hann window of 25 ms every 10 ms, magnitudes (not powers) of 512 points, 64 triangles in the mel domain
    of HTK from 125 to 7500 Hz, ln(x + 0.01). These numbers are those of the published reference implementation. Its
    frames start with the recording, where ours end at a tick, so the two lie 5 ms apart.

    Args:
        samples: [N] in [-1, 1], not pre-emphasised; there are 1 + (N - 400) // 160 frames, none if N < 400.
    """
    magnitudes = _magnitudes(samples, _hann(), _MEL_FFT_LENGTH)
    logarithm: FloatArray = np.log(magnitudes @ _mel_filters() + np.float32(_MEL_OFFSET))
    return logarithm


def log_magnitude_frames(samples: FloatArray) -> FloatArray:
    """Return [frames, 200]: ln(magnitude + 1e-4) from 0 to 4 kHz in steps of 20 Hz.

    A Hamming window of 40 ms every 10 ms and 800 points, as in a re-implementation of the attention FCN
    (arXiv 1806.01506) that was read; the paper's own grid, remembered only, is 10 Hz. The 1e-4 is ours.

    Args:
        samples: [N] in [-1, 1], not pre-emphasised; there are 1 + (N - 640) // 160 frames, none if N < 640.
    """
    magnitudes = _magnitudes(samples, _hamming(), _SPECTROGRAM_FFT_LENGTH)
    logarithm: FloatArray = np.log(magnitudes[:, :SPECTROGRAM_BINS] + np.float32(_MAGNITUDE_FLOOR))
    return logarithm


def _magnitudes(samples: FloatArray, window: FloatArray, fft_length: int) -> FloatArray:
    """Return [frames, fft_length // 2 + 1]."""
    frames = frame_signal(samples.astype(np.float32, copy=False), len(window), HOP_LENGTH)
    magnitudes: FloatArray = np.abs(np.fft.rfft(frames * window, fft_length, axis=1))
    return magnitudes.astype(np.float32, copy=False)  # numpy before 2.0 transforms in double precision


@cache
def _hann() -> FloatArray:
    phase = 2 * np.pi * np.arange(MEL_FRAME_LENGTH) / MEL_FRAME_LENGTH
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@cache
def _hamming() -> FloatArray:
    return hamming(SPECTROGRAM_FRAME_LENGTH)


@cache
def _mel_filters() -> FloatArray:
    """Return [257, 64]: triangles with straight sides on the mel scale, where other filters have them in Hz."""
    corners = np.linspace(_htk_mel(_MEL_LOW_HZ), _htk_mel(_MEL_HIGH_HZ), MEL_BANDS + 2)
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    mel = _htk_mel(np.fft.rfftfreq(_MEL_FFT_LENGTH, 1 / SAMPLE_RATE))[:, None]
    sides = np.minimum((mel - left) / (peak - left), (right - mel) / (right - peak))
    return np.ascontiguousarray(np.maximum(0, sides), dtype=np.float32)


def _htk_mel(hz: ArrayLike) -> NDArray[np.float64]:
    return 1_127 * np.log1p(np.asarray(hz, dtype=np.float64) / 700)
