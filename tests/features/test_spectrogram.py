"""The spectrograms, against librosa and against tones whose place is known."""

import librosa
import numpy as np
import pytest

from emotrace.features.spectrogram import log_mel, mel_filters, spectrum_24x120, stack_five
from emotrace.types import FloatArray

WINDOW = 48_000


def noise(length: int, seed: int = 0) -> FloatArray:
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def tone(hz: float, length: int = WINDOW) -> FloatArray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(length) / 16_000)).astype(np.float32)


@pytest.mark.parametrize(("bands", "low", "high"), [(64, 60.0, 7_600.0), (24, 0.0, 8_000.0)])
def test_mel_filters_equal_librosa(bands: int, low: float, high: float) -> None:
    expected = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=bands, fmin=low, fmax=high, htk=False, norm=None)
    np.testing.assert_allclose(mel_filters(bands, 512, 16_000, low, high), expected, atol=1e-5)


def test_every_mel_band_sees_at_least_one_bin() -> None:
    assert (mel_filters(64, 512, 16_000, 60, 7_600).max(axis=1) > 0.1).all()


def test_log_mel_equals_librosa() -> None:
    samples = noise(WINDOW) + tone(700)
    pad = (512 - 400) // 2  # librosa puts a short window in the middle of the transform
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, pad),
        sr=16_000,
        n_fft=512,
        hop_length=160,
        win_length=400,
        window=np.hamming(400),
        center=False,
        n_mels=64,
        fmin=60,
        fmax=7_600,
        norm=None,
    )
    np.testing.assert_allclose(log_mel(samples), np.log(power.T + 1e-8), atol=1e-3)


def test_three_seconds_give_298_frames() -> None:
    assert log_mel(noise(WINDOW)).shape == (298, 64)


def test_less_than_a_frame_gives_no_frames() -> None:
    assert log_mel(noise(399)).shape == (0, 64)


def test_silence_is_the_logarithm_of_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(1_000, dtype=np.float32)), np.log(1e-8), rtol=1e-6)


def test_a_long_signal_equals_its_parts() -> None:
    samples = noise(160 * 2_500 + 400)
    whole = log_mel(samples)
    part = log_mel(samples[160 * 1_000 : 160 * 1_100 + 240])
    np.testing.assert_allclose(whole[1_000:1_100], part, atol=1e-4)


def test_a_tone_lies_in_its_mel_band() -> None:
    filters = mel_filters(24, 512, 16_000, 60, 7_600)
    nearest = int(np.argmax(filters[:, round(1_000 / 31.25)]))
    spectrum = spectrum_24x120(tone(1_000))
    assert spectrum.shape == (24, 120)
    assert (spectrum.argmax(axis=0) == nearest).all()


def test_the_other_axis_reading_has_time_first_and_bands_of_67_hz() -> None:
    spectrum = spectrum_24x120(tone(1_000), axes="time-band")
    assert spectrum.shape == (24, 120)
    assert (np.abs(spectrum.argmax(axis=1) - 14.5) <= 0.5).all()  # 1000 Hz is the edge of bands 14 and 15


def test_both_readings_find_where_the_sound_is() -> None:
    late = np.concatenate([np.zeros(WINDOW // 2, dtype=np.float32), tone(1_000, WINDOW // 2)])
    by_band = spectrum_24x120(late)
    by_time = spectrum_24x120(late, axes="time-band")
    assert by_band[:, :60].max() < by_band[:, 60:].max(axis=0).min()
    assert by_time[:12].max() < by_time[12:].max(axis=1).min()


def test_five_spectra_are_stacked_along_the_axis_of_24() -> None:
    five = np.stack([np.full((24, 120), index, dtype=np.float32) for index in range(5)])
    stacked = stack_five(five)
    assert stacked.shape == (120, 120)
    np.testing.assert_array_equal(stacked[:, 0], np.repeat(np.arange(5), 24))


def test_another_number_of_spectra_is_refused() -> None:
    with pytest.raises(ValueError, match=r"24x120.*\(4, 24, 120\)"):
        stack_five(np.zeros((4, 24, 120), dtype=np.float32))
