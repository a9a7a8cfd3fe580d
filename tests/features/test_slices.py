"""Frames of the two spectrograms, against plain loops and librosa; and slices of them, joined."""

import math

import librosa
import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from emotrace.features.slices import log_magnitude_frames, log_mel_frames
from emotrace.types import FloatArray


def sound(length: int, seed: int = 0) -> FloatArray:
    """Return a tone in noise that gets louder, so that every frame differs and floors matter at the start."""
    rng = np.random.default_rng(seed)
    tone = 0.2 * np.sin(2 * np.pi * 700 * np.arange(length) / 16_000)
    made = (tone + 0.1 * rng.standard_normal(length)) * np.linspace(0, 1, length) ** 3
    return (np.round(made * 32768) / 32768).astype(np.float32)


def mel_of(hz: float) -> float:
    return 1127 * math.log(1 + hz / 700)


def log_mel_by_loops(samples: FloatArray) -> NDArray[np.float64]:
    window = scipy.signal.get_window("hann", 400, fftbins=True)
    edges = np.linspace(mel_of(125), mel_of(7500), 66)
    rows = []
    for first in range(0, len(samples) - 399, 160):
        magnitudes = np.abs(scipy.fft.rfft(samples[first : first + 400].astype(np.float64) * window, 512))
        bands = np.zeros(64)
        for bin_number, magnitude in enumerate(magnitudes):
            mel = mel_of(bin_number * 16_000 / 512)
            for band in range(64):
                rising = (mel - edges[band]) / (edges[band + 1] - edges[band])
                falling = (edges[band + 2] - mel) / (edges[band + 2] - edges[band + 1])
                bands[band] += max(0.0, min(rising, falling)) * magnitude
        rows.append([math.log(value + 0.01) for value in bands])
    return np.array(rows)


def test_log_mel_frames_equal_plain_loops() -> None:
    samples = sound(400 + 9 * 160 + 100)
    made = log_mel_frames(samples)
    assert made.shape == (10, 64)
    assert made.dtype == np.float32
    # Single precision loses at most 1e-6 of a magnitude of up to 50 in loud frames, of the offset 0.01 in silence.
    np.testing.assert_allclose(made, log_mel_by_loops(samples), atol=1e-5)


def test_log_mel_frames_are_near_those_of_librosa_whose_triangles_are_straight_in_hz() -> None:
    samples = sound(16_000)
    pad = (512 - 400) // 2  # librosa puts a short window in the middle of the transform
    expected = librosa.feature.melspectrogram(
        y=np.pad(samples, pad),
        sr=16_000,
        n_fft=512,
        hop_length=160,
        win_length=400,
        window="hann",
        center=False,
        power=1.0,
        n_mels=64,
        fmin=125,
        fmax=7_500,
        htk=True,
        norm=None,
    )
    apart = np.abs(log_mel_frames(samples) - np.log(expected.T + 0.01))
    # From corner to corner f + 700 grows by 1.037, so a side that is straight in Hz bends by ln(1.037) / 8 = 0.0046.
    assert apart.max() < 0.02
    assert apart.mean() < 0.002


def test_log_magnitude_frames_equal_the_short_time_transform_of_scipy() -> None:
    samples = sound(640 + 19 * 160)
    made = log_magnitude_frames(samples)
    assert made.shape == (20, 200)
    assert made.dtype == np.float32
    window = scipy.signal.get_window("hamming", 640, fftbins=False)
    frames = [samples[first : first + 640].astype(np.float64) * window for first in range(0, 20 * 160, 160)]
    expected = np.log(np.abs(scipy.fft.rfft(frames, 800))[:, :200] + 1e-4)
    np.testing.assert_allclose(made, expected, atol=1e-4)  # single precision; most differ by 1e-7


@pytest.mark.parametrize("hz", [100, 700, 1_000, 3_980])
def test_a_tone_lies_in_its_bin_of_20_hz(hz: int) -> None:
    tone = (0.3 * np.cos(2 * np.pi * hz * np.arange(4_000) / 16_000)).astype(np.float32)
    assert (log_magnitude_frames(tone).argmax(axis=1) == hz // 20).all()


def test_a_tone_lies_in_its_mel_band() -> None:
    edges = np.linspace(mel_of(125), mel_of(7500), 66)
    for band in (10, 30, 60):
        hz = 700 * (math.exp(edges[band + 1] / 1127) - 1)
        tone = (0.3 * np.cos(2 * np.pi * hz * np.arange(4_000) / 16_000)).astype(np.float32)
        assert (log_mel_frames(tone).argmax(axis=1) == band).all()


def test_digital_silence_is_the_logarithm_of_the_offset() -> None:
    silence = np.zeros(1_000, dtype=np.float32)
    np.testing.assert_allclose(log_mel_frames(silence), math.log(0.01), rtol=1e-6)
    np.testing.assert_allclose(log_magnitude_frames(silence), math.log(1e-4), rtol=1e-6)


def test_quantisation_noise_lies_a_little_above_digital_silence() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000) / 32768
    above = log_magnitude_frames(noise.astype(np.float32)) - math.log(1e-4)
    assert 0.5 < above.mean() < 1.5


def test_less_than_a_frame_gives_no_frames() -> None:
    assert log_mel_frames(sound(399)).shape == (0, 64)
    assert log_magnitude_frames(sound(639)).shape == (0, 200)
