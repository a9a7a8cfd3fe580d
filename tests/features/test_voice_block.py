"""Many windows at once: the numbers of each window by itself, whatever stands beside it."""

from typing import Literal

import numpy as np
import pytest

from emotrace.features.audio_features import functional_names, fundamental_frequency
from emotrace.features.audio_signal import (
    TICK_LENGTH,
    EndpointState,
    crossing_rates,
    detect_in_windows,
    detect_speech,
    frame_signal,
    zero_crossing_rate,
)
from emotrace.features.shared_frames import Stretch, pitch_frames, window_levels
from emotrace.features.voice_input import context_samples, input_shape, voice_input, voice_inputs
from emotrace.features.voice_statistics import statistic_names
from emotrace.recipe import AudioRecipe
from emotrace.types import FloatArray

RECIPE = AudioRecipe()
NAMES = (*functional_names(), *statistic_names())
HOP = 6_400


def speech(seconds: float = 12.0, seed: int = 0) -> FloatArray:
    """Return voiced stretches that glide, hiss and pauses over faint noise, quantised to 16 bit."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16_000)
    time = np.arange(count) / 16_000
    pitch = 140 + 50 * np.sin(2 * np.pi * 0.4 * time) + 20 * np.sin(2 * np.pi * 1.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 1.1 * time) + 0.3, 0, None)
    syllables[(time % 5) > 3.6] = 0
    hiss = rng.standard_normal(count) * (np.sin(2 * np.pi * 1.1 * time + 2.5) > 0.9) * ((time % 5) < 3.6)
    sound = 0.12 * syllables * voiced + 0.05 * hiss + 0.002 * rng.standard_normal(count)
    return (np.rint(np.clip(sound, -1, 1) * 32_767) / 32_768).astype(np.float32)


def ends_of(sound: FloatArray, recipe: AudioRecipe = RECIPE, hop: int = HOP) -> np.ndarray:
    return np.arange(context_samples(recipe), len(sound) + 1, hop)


def one_by_one(sound: FloatArray, ends: np.ndarray, recipe: AudioRecipe = RECIPE) -> FloatArray:
    return np.stack([voice_input(sound[end - context_samples(recipe) : end], recipe) for end in ends])


def assert_same(made: FloatArray, expected: FloatArray) -> None:
    """Compare up to rounding: 1e-5 of a number, or 2e-4 of how much its descriptor varies.

    Descriptors whose mean is near 0, and bands as faint as the rounding of a transform, are as uncertain as this in the
    plain path too.
    """
    allowed = np.maximum(1e-5 * np.abs(expected), 2e-4 * expected.std(axis=0)) + 1e-6
    wrong = (np.abs(made - expected) > allowed).any(axis=0)
    assert not wrong.any(), [NAMES[place] for place in np.flatnonzero(wrong)]


def test_windows_together_say_what_each_says_alone() -> None:
    sound = np.concatenate([np.zeros(20_000, np.float32), speech(), np.zeros(9_001, np.float32)])
    ends = ends_of(sound)
    assert_same(voice_inputs(sound, ends, RECIPE), one_by_one(sound, ends))


@pytest.mark.parametrize("hop", [HOP, 1_237])
def test_windows_that_share_no_frame_say_the_same_too(hop: int) -> None:
    sound = speech(5.0, seed=1)
    ends = ends_of(sound, hop=hop)
    assert_same(voice_inputs(sound, ends, RECIPE), one_by_one(sound, ends))


@pytest.mark.parametrize(("window_seconds", "hop_seconds"), [(1.0, 0.4), (0.15, 0.04), (5.0, 1.0), (6.0, 1.0)])
def test_other_windows_say_the_same_too(window_seconds: float, hop_seconds: float) -> None:
    recipe = AudioRecipe(window_seconds=window_seconds, hop_seconds=hop_seconds)
    sound = speech(window_seconds + 8 * hop_seconds, seed=2)
    ends = ends_of(sound, recipe, round(hop_seconds * 16_000))
    assert_same(voice_inputs(sound, ends, recipe), one_by_one(sound, ends, recipe))


def test_silence_a_click_and_a_tone_say_the_same_too() -> None:
    silence = np.zeros(64_000, np.float32)
    click = silence.copy()
    click[50_000] = 0.5
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(64_000) / 16_000)).astype(np.float32)
    faint = (np.random.default_rng(3).integers(-1, 2, 64_000) / 32_768).astype(np.float32)
    sounds: tuple[FloatArray, ...] = (silence, click, tone, faint)
    for sound in sounds:
        ends = ends_of(sound)
        made, expected = voice_inputs(sound, ends, RECIPE), one_by_one(sound, ends)
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-3)


def test_an_input_does_not_depend_on_those_beside_it() -> None:
    sound = np.concatenate([np.zeros(40_000, np.float32), speech(26.0, seed=4)])
    ends = ends_of(sound)
    whole = voice_inputs(sound, ends, RECIPE)
    assert len(ends) > 40
    for cut in (1, 7, 33):
        parts = [voice_inputs(sound, part, RECIPE) for part in (ends[:cut], ends[cut:])]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    later = sound[3 * HOP :]
    np.testing.assert_array_equal(voice_inputs(later, ends_of(later), RECIPE), whole[3:])


@pytest.mark.parametrize("front_end", ["spectrum", "log-mel", "log-spectrogram"])
def test_other_front_ends_say_what_they_say_alone(
    front_end: Literal["spectrum", "log-mel", "log-spectrogram"],
) -> None:
    seconds = (3.0, 0.4) if front_end == "spectrum" else (0.2, 0.2)
    emphasis = 0.94 if front_end == "spectrum" else 0.0
    recipe = AudioRecipe(front_end=front_end, window_seconds=seconds[0], hop_seconds=seconds[1], pre_emphasis=emphasis)
    sound = speech(9.0)
    ends = ends_of(sound, recipe)
    np.testing.assert_array_equal(voice_inputs(sound, ends, recipe), one_by_one(sound, ends, recipe))


def test_no_window_gives_no_input() -> None:
    assert voice_inputs(speech(1.0), np.zeros(0, np.int64), RECIPE).shape == (0, *input_shape(RECIPE))


def test_speech_in_windows_is_what_each_window_says_as_the_start_of_a_recording() -> None:
    sound, longest = speech(8.0, seed=5), 48_000
    first, length = np.array([0, 6_400, 9_000, 20_001]), np.array([48_000, 48_000, 30_007, 1_600])
    stretch = Stretch(sound, sound, first, length, longest)
    found = detect_in_windows(window_levels(stretch, np.ones(4, np.float32)))
    for begin, size, speaking in zip(first, length // TICK_LENGTH * TICK_LENGTH, found, strict=True):
        alone = detect_speech(EndpointState(), sound[begin : begin + size])[1].speech
        np.testing.assert_array_equal(speaking, alone)
    assert found[0].any()
    assert not found[0].all()


def test_pitch_of_a_window_ends_with_its_last_sample() -> None:
    sound, size = speech(1.0, seed=7), 4_799  # odd, and its last frame ends with it
    sound[size - 1] = 0.9
    window = sound[:size]
    later = sound.copy()
    later[size:] = 100  # far too loud to be missed
    f0_hz, periodicity = fundamental_frequency(window)
    for stretch in (sound, later):
        found = pitch_frames(Stretch(stretch, window, np.array([0]), np.array([size]), size))
        np.testing.assert_allclose(found.f0_hz[0], f0_hz, rtol=1e-5)
        np.testing.assert_allclose(found.periodicity[0], periodicity, rtol=1e-5)
    assert periodicity[-1] > 0.1


def test_crossing_rates_of_windows_are_those_of_their_frames() -> None:
    windows = [speech(1.0), speech(1.0, seed=6)[:5_003], speech(1.0)[:400]]
    rates = crossing_rates(windows, 16_000)
    for row, window in zip(rates, windows, strict=True):
        expected = zero_crossing_rate(frame_signal(window))
        np.testing.assert_array_equal(row[: len(expected)], expected)
        assert (row[len(expected) :] == expected[-1]).all()
