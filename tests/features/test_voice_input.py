"""A stretch of sound -> one input, for every front end that needs nothing extra."""

from typing import Literal

import numpy as np
import pytest

from emotrace.features.voice_input import context_samples, input_shape, voice_input
from emotrace.recipe import SLICE_FRONT_ENDS, AudioRecipe

FRONT_ENDS: tuple[Literal["spectrum", "descriptors"], ...] = ("spectrum", "descriptors")
SLICES = {
    (front_end, hop): AudioRecipe(front_end=front_end, window_seconds=hop, hop_seconds=hop, pre_emphasis=0.0)
    for front_end in SLICE_FRONT_ENDS
    for hop in (0.04, 0.2)
}


def noise(recipe: AudioRecipe, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(context_samples(recipe))).astype(np.float32)


@pytest.mark.parametrize(
    ("front_end", "window_seconds"),
    [("descriptors", 0.11), ("descriptors", 1.0), ("spectrum", 3.0)],
)
def test_the_input_is_finite_and_of_the_shape_that_is_told_for_sound_and_for_silence(
    front_end: Literal["spectrum", "descriptors"], window_seconds: float
) -> None:
    recipe = AudioRecipe(front_end=front_end, window_seconds=window_seconds)
    for samples in (noise(recipe), np.zeros(context_samples(recipe), dtype=np.float32)):
        made = voice_input(samples, recipe)
        assert made.dtype == np.float32
        assert made.shape == input_shape(recipe)
        assert np.isfinite(made).all()


def test_the_default_front_end_knows_neither_level_nor_silence_at_the_ends() -> None:
    recipe = AudioRecipe(window_seconds=1.0)
    samples = noise(recipe)
    samples[:4_000] = samples[-4_000:] = 0
    later = np.roll(samples, 2_000)
    expected = voice_input(samples, recipe)
    np.testing.assert_allclose(voice_input(later, recipe), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(voice_input(samples * np.float32(0.5), recipe), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(voice_input(noise(recipe, seed=1), recipe) - expected).max() > 0.01


def test_the_spectrum_looks_back_four_seconds_beyond_its_window() -> None:
    recipe = AudioRecipe(front_end="spectrum", window_seconds=3.0)
    assert context_samples(recipe) == 7 * 16_000
    assert input_shape(recipe) == (120, 120)
    samples = noise(recipe)
    other = samples.copy()
    other[: 16_000 - 2] = 0  # what the oldest of five spectra alone is made of
    changed = (voice_input(samples, recipe) != voice_input(other, recipe)).any(axis=1)
    assert changed[:24].any()
    assert not changed[24:].any()


@pytest.mark.parametrize(
    ("recipe", "shape", "context"),
    [
        (SLICES["log-mel", 0.04], (4, 64), 640 + 240),
        (SLICES["log-mel", 0.2], (20, 64), 3_200 + 240),
        (SLICES["log-spectrogram", 0.04], (4, 200), 640 + 480),
        (SLICES["log-spectrogram", 0.2], (20, 200), 3_200 + 480),
    ],
)
def test_a_slice_has_a_frame_for_every_10_ms_and_reaches_back_as_far_as_its_first_one(
    recipe: AudioRecipe, shape: tuple[int, int], context: int
) -> None:
    assert input_shape(recipe) == shape
    assert context_samples(recipe) == context
    samples = noise(recipe)
    made = voice_input(samples, recipe)
    for changed, rows in ((0, [0]), (context - 1, [shape[0] - 1])):
        other = samples.copy()
        other[max(0, changed - 10) : changed + 10] += 1
        apart = (voice_input(other, recipe) != made).any(axis=1)
        assert np.flatnonzero(apart).tolist() == rows


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_an_input_does_not_depend_on_what_was_asked_before(
    front_end: Literal["spectrum", "descriptors"],
) -> None:
    recipe = AudioRecipe(front_end=front_end, window_seconds=3.0)
    first = voice_input(noise(recipe), recipe)
    voice_input(noise(recipe, seed=1), recipe)
    np.testing.assert_array_equal(voice_input(noise(recipe), recipe), first)
