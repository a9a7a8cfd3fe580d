"""Statistics of a window: known for any sound, right for a tone, and the bands those of `log_mel`."""

import numpy as np
import pytest

from emotrace.features.spectrogram import log_mel
from emotrace.features.voice_input import sounding_span
from emotrace.features.voice_statistics import NUM_BANDS, statistic_names, voice_statistics
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray


def tone(f0_hz: FloatArray | float, seconds: float = 1.0) -> FloatArray:
    """Return a voice-like sum of ten harmonics."""
    phase = np.cumsum(np.broadcast_to(2 * np.pi * np.asarray(f0_hz) / SAMPLE_RATE, round(seconds * SAMPLE_RATE)))
    harmonics = [np.sin(number * phase) / number for number in range(1, 11)]
    return np.asarray(0.1 * np.sum(harmonics, axis=0), dtype=np.float32)


def described(window: FloatArray) -> dict[str, float]:
    return dict(zip(statistic_names(), voice_statistics(window).tolist(), strict=True))


def test_every_statistic_has_a_name_of_its_own() -> None:
    assert len(set(statistic_names())) == len(statistic_names()) == 331


@pytest.mark.parametrize("seconds", [0.05, 0.1, 3.0])
@pytest.mark.parametrize("level", [0.0, 1e-8, 1.0])
def test_silence_noise_and_short_windows_give_no_nan(seconds: float, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE)) * level
    found = voice_statistics(noise.astype(np.float32))
    assert found.shape == (331,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_the_pitch_of_a_steady_tone_is_its_frequency() -> None:
    found = described(tone(220.0))
    for level in (10, 25, 50, 75, 90):
        assert np.exp(found[f"log_f0_p{level}"]) == pytest.approx(220, rel=0.01)
    assert found["log_f0_std"] < 0.01
    assert found["log_f0_mean_change"] < 0.01
    assert found["periodicity_mean"] > 0.9


def test_the_percentiles_of_a_gliding_tone_are_those_of_the_glide() -> None:
    glide = np.exp(np.linspace(np.log(120), np.log(240), SAMPLE_RATE)).astype(np.float32)
    found = described(tone(glide))
    for level in (10, 25, 50, 75, 90):
        assert np.exp(found[f"log_f0_p{level}"]) == pytest.approx(np.quantile(glide, level / 100), rel=0.03)
    assert found["log_f0_std"] == pytest.approx(np.log(2) / np.sqrt(12), rel=0.1)


def test_without_a_pitch_the_contour_is_zero() -> None:
    found = described(np.zeros(SAMPLE_RATE, dtype=np.float32))
    assert [found[name] for name in found if name.startswith("log_f0")] == [0.0] * 8


def test_the_bands_are_those_of_the_spectrogram() -> None:
    window = np.random.default_rng(1).standard_normal(SAMPLE_RATE).astype(np.float32)
    window *= np.linspace(0, 1, SAMPLE_RATE, dtype=np.float32)
    bands, found = log_mel(window, num_bands=NUM_BANDS), described(window)
    for band in (0, 7, NUM_BANDS - 1):
        column = bands[:, band]
        expected = {
            "mean": column.mean(),
            "std": column.std(),
            "p10": np.quantile(column, 0.1),
            "p50": np.quantile(column, 0.5),
            "p90": np.quantile(column, 0.9),
            "mean_change": np.abs(np.diff(column)).mean(),
        }
        for statistic, value in expected.items():
            assert found[f"log_mel_{band}_{statistic}"] == pytest.approx(value, rel=1e-4)


def test_one_statistic_is_the_length() -> None:
    assert described(np.zeros(SAMPLE_RATE // 2, dtype=np.float32))["seconds"] == 0.5


def test_sound_begins_and_ends_with_the_first_and_last_sample_above_3_percent_of_the_peak() -> None:
    samples = np.zeros(1000, dtype=np.float32)
    samples[[100, 200, 500, 900]] = (0.02, 0.04, -1.0, 0.029)
    assert sounding_span(samples) == (200, 501)
    assert sounding_span(5e-4 * samples) == (200, 501)  # whatever the level


def test_silence_and_nothing_at_all_are_taken_whole() -> None:
    assert sounding_span(np.zeros(50, dtype=np.float32)) == (0, 50)
    assert sounding_span(np.zeros(0, dtype=np.float32)) == (0, 0)
