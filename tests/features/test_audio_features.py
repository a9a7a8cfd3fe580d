"""Every descriptor against librosa, openSMILE or a case worked out by hand."""

from typing import Any

import librosa
import numpy as np
import pytest

from emotrace.features.audio_features import (
    DESCRIPTOR_NAMES,
    NUM_MFCC_BANDS,
    Normaliser,
    beat,
    delta,
    describe,
    functional_names,
    functionals,
    fundamental_frequency,
    harmonics_to_noise,
    mfcc,
    pause_share,
    spectral_centroid,
    spectral_flux,
)
from emotrace.features.audio_signal import frame_signal
from emotrace.features.spectrogram import power_spectrum
from emotrace.types import FloatArray

RATE = 16_000
WINDOW = 48_000


def noise(length: int = WINDOW, level: float = 0.1) -> FloatArray:
    return (level * np.random.default_rng(0).standard_normal(length)).astype(np.float32)


def harmonics(f0_hz: float, length: int = RATE) -> FloatArray:
    """A buzz with all harmonics up to 4 kHz."""
    phase = 2 * np.pi * f0_hz * np.arange(length) / RATE
    return np.asarray(0.1 * sum(np.sin(k * phase) / k for k in range(1, int(4_000 / f0_hz) + 1)), dtype=np.float32)


def vowel(f0_hz: float, length: int = WINDOW) -> FloatArray:
    """Pulses through the first three resonances of an open vowel."""
    samples = np.zeros(length)
    samples[np.round(np.arange(0, length, RATE / f0_hz)).astype(int).clip(max=length - 1)] = 1
    seconds = np.arange(800) / RATE
    for resonance_hz in (700, 1_200, 2_600):
        response = np.exp(-250 * seconds) * np.sin(2 * np.pi * resonance_hz * seconds)
        samples = samples + np.convolve(samples, response)[:length]
    return np.asarray(0.3 * samples / np.abs(samples).max(), dtype=np.float32)


def named(window: FloatArray, **options: Any) -> dict[str, float]:
    return dict(zip(functional_names(), describe(window, **options).tolist(), strict=True))


def test_mfcc_equals_librosa() -> None:
    samples = noise() + np.tile(harmonics(150), 3)
    pad = (512 - 400) // 2  # librosa puts a short window in the middle of the transform
    mel_power = librosa.feature.melspectrogram(
        y=np.pad(samples, pad),
        sr=RATE,
        n_fft=512,
        hop_length=160,
        win_length=400,
        window=np.hamming(400),
        center=False,
        n_mels=NUM_MFCC_BANDS,
        fmin=60,
        fmax=7_600,
        norm=None,
    )
    expected = librosa.feature.mfcc(S=np.log(mel_power + 1e-8), n_mfcc=13, dct_type=2, norm="ortho").T
    np.testing.assert_allclose(mfcc(power_spectrum(samples, 400, 160, 512)), expected, atol=2e-3)


def test_delta_equals_librosa() -> None:
    rows = np.random.default_rng(1).standard_normal((40, 3)).astype(np.float32)
    expected = librosa.feature.delta(rows, width=5, axis=0, mode="nearest")
    np.testing.assert_allclose(delta(rows), expected, atol=1e-6)


def test_delta_of_a_ramp_is_its_slope() -> None:
    ramp = np.arange(10, dtype=np.float32)[:, None] * 3
    np.testing.assert_allclose(delta(ramp)[2:-2], 3)


def test_centroid_equals_librosa() -> None:
    magnitude = np.sqrt(power_spectrum(noise(), 400, 160, 512))
    expected = librosa.feature.spectral_centroid(S=magnitude.T, sr=RATE, n_fft=512)[0]
    np.testing.assert_allclose(spectral_centroid(magnitude), expected, rtol=1e-4)


def test_flux_by_hand() -> None:
    magnitude = np.array([[3, 4], [6, 8], [4, 3], [0, 0]], dtype=np.float32)
    np.testing.assert_allclose(spectral_flux(magnitude), [0, 0, 0.2**2 + 0.2**2, 1], atol=1e-6)


@pytest.mark.parametrize("f0_hz", [62.0, 80.0, 123.4, 177.0, 251.0, 333.0, 400.0, 490.0])
@pytest.mark.parametrize("sound", ["sine", "harmonics", "noisy"])
def test_f0_is_within_one_percent(f0_hz: float, sound: str) -> None:
    sine = (0.1 * np.sin(2 * np.pi * f0_hz * np.arange(RATE) / RATE)).astype(np.float32)
    samples = {"sine": sine, "harmonics": harmonics(f0_hz), "noisy": harmonics(f0_hz) + noise(RATE, 0.01)}[sound]
    found, _ = fundamental_frequency(samples)
    np.testing.assert_allclose(found, f0_hz, rtol=0.01)


def test_f0_follows_a_glide() -> None:
    expected = np.linspace(100, 200, WINDOW)
    samples = np.sin(np.cumsum(2 * np.pi * expected / RATE)).astype(np.float32)
    found, _ = fundamental_frequency(samples)
    middles = 400 + 160 * np.arange(len(found))
    np.testing.assert_allclose(found, expected[middles], rtol=0.01)


def test_noise_and_silence_are_unvoiced() -> None:
    assert (fundamental_frequency(noise())[0] > 0).mean() < 0.02
    assert not fundamental_frequency(np.zeros(WINDOW, dtype=np.float32))[0].any()


@pytest.mark.parametrize("f0_hz", [110.0, 220.0])
def test_f0_of_a_vowel_equals_opensmile(f0_hz: float) -> None:
    opensmile = pytest.importorskip("opensmile")
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    samples = vowel(f0_hz)
    semitones = smile.process_signal(samples, RATE)["F0semitoneFrom27.5Hz_sma3nz"].to_numpy()
    theirs = 27.5 * 2 ** (np.median(semitones[semitones > 0]) / 12)
    ours, _ = fundamental_frequency(samples)
    assert np.median(ours) == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("snr_db", [0, 10])
def test_harmonics_to_noise_is_the_ratio_that_was_mixed(snr_db: float) -> None:
    sine = np.sin(2 * np.pi * 200 * np.arange(WINDOW) / RATE)
    # Noise inside the pitch analysis' band: its half-rate signal keeps 6/16 of white noise's power.
    deviation = np.sqrt(0.5 * 10 ** (-snr_db / 10) / (6 / 16))
    samples = (sine + deviation * np.random.default_rng(2).standard_normal(WINDOW)).astype(np.float32)
    _, periodicity = fundamental_frequency(0.1 * samples)
    assert np.median(harmonics_to_noise(periodicity)) == pytest.approx(snr_db, abs=1.5)


@pytest.mark.parametrize("period_seconds", [0.2, 0.4, 0.6])
def test_the_beat_of_a_click_train_is_its_tempo(period_seconds: float) -> None:
    clicks = np.zeros(WINDOW, dtype=np.float32)
    for start in np.arange(0.05, 2.9, period_seconds):
        clicks[round(start * RATE) :][:800] = 0.5
    strength, found_seconds = beat(frame_signal(clicks))
    assert found_seconds == pytest.approx(period_seconds, abs=0.01)
    assert strength > 0.8


def test_steady_sound_has_no_strong_beat() -> None:
    assert beat(frame_signal(noise()))[0] < 0.5
    assert beat(frame_signal(np.zeros(WINDOW, dtype=np.float32))) == (0.0, 0.0)


def test_pause_share_by_hand() -> None:
    assert pause_share(np.array([True, False, False, False])) == 0.75
    assert pause_share(np.array([], dtype=np.bool_)) == 1


def test_functionals_by_hand() -> None:
    rows = np.array([[1.0], [2.0], [6.0]], dtype=np.float32)
    found = functionals(rows, np.array([0.0, 0.5, 1.0]))[:, 0]
    np.testing.assert_allclose(found, [3, np.sqrt(14 / 3), 1, 6, 5], rtol=1e-6)


def test_functionals_of_nothing_are_zero() -> None:
    np.testing.assert_array_equal(functionals(np.empty((0, 2), dtype=np.float32), np.empty(0)), np.zeros((5, 2)))


def test_names_and_values_are_as_many_and_all_different() -> None:
    names = functional_names()
    assert len(set(names)) == len(names) == len(describe(noise()))
    assert len(set(DESCRIPTOR_NAMES)) == len(DESCRIPTOR_NAMES) == 13 * 3 + 4 + 2 + 4


def test_a_described_vowel_has_its_pitch_under_the_right_name() -> None:
    found = named(np.tile(harmonics(200), 3))
    assert found["f0_hz_mean"] == pytest.approx(200, rel=0.01)
    assert found["f0_hz_std"] < 1
    assert found["voiced_share"] == 1


def test_a_window_that_grows_louder_has_a_rising_energy_by_hand() -> None:
    seconds = np.arange(WINDOW) / RATE
    window = 0.01 * np.exp(seconds) * np.sqrt(2) * np.sin(2 * np.pi * 1_000 * seconds)
    found = named(window.astype(np.float32))
    assert found["log_energy_slope"] == pytest.approx(2, abs=0.01)  # energy is the square of e^t
    mean_square = (0.01 * np.exp(1.5)) ** 2
    assert found["log_energy_mean"] == pytest.approx(np.log(mean_square * np.sum(np.hamming(400) ** 2)), abs=0.05)
    assert found["zero_crossing_rate_mean"] == pytest.approx(2_000 / RATE, abs=0.003)
    assert found["spectral_centroid_hz_mean"] == pytest.approx(1_000, rel=0.1)


def test_a_given_mask_decides_the_pause() -> None:
    speech = np.arange(75) < 30
    assert named(noise(), speech=speech)["pause_share"] == pytest.approx(0.6)
    assert named(np.zeros(WINDOW, dtype=np.float32))["pause_share"] == 1


@pytest.mark.parametrize("length", [800, 12_345, WINDOW])
@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0])
def test_no_descriptor_is_ever_nan(length: int, level: float) -> None:
    assert np.isfinite(describe(noise(length, level))).all()


def test_a_window_shorter_than_a_pitch_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="799 samples"):
        describe(noise(799))


def test_the_normaliser_makes_training_rows_standard() -> None:
    rows = np.random.default_rng(3).normal(5, 3, (200, 4)).astype(np.float32)
    rows[:, 2] = 7.3
    normaliser = Normaliser.fit(rows)
    normalised = normaliser.apply(rows)
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=0), [1, 1, 0, 1], atol=1e-5)
    assert normaliser.std[2] == 1


def test_the_normaliser_leaves_other_rows_on_the_scale_of_the_training_rows() -> None:
    normaliser = Normaliser.fit(np.array([[1.0], [3.0]], dtype=np.float32))
    np.testing.assert_allclose(normaliser.apply(np.array([[4.0]], dtype=np.float32)), [[2.0]])


def test_a_normaliser_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Normaliser.fit(np.empty((0, 3), dtype=np.float32))
