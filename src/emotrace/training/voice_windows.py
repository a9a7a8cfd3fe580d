"""An utterance -> inputs of the voice network for several of its windows, clean and disturbed.

No torch: processes that do nothing else start in a moment.
"""

from pathlib import Path

import numpy as np

from emotrace.corpora.voice_disturbance import change_speed, disturb
from emotrace.features.voice_input import context_samples, sounding_span, voice_input
from emotrace.inference.recordings import decode
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.types import FloatArray

CLEAN_WINDOWS = 2
SPEED_WINDOWS = 3
DISTURBED_WINDOWS = 4
"""Windows made of every utterance: as recorded (the first ends with the speech), played faster or slower as other
speakers would sound, and disturbed."""
_EARLIEST_SECONDS = 0.75
"""A window may end this long after speech has begun: the first answers of a recording come from little sound."""
_LATEST_SECONDS = 0.5
"""A window may end this long after speech has ended."""


def windows_of(job: tuple[Path, AudioRecipe, tuple[int, int]]) -> FloatArray:
    """Return [V, ...] inputs for the sound file, the recipe and the seed of a job."""
    path, recipe, seed = job
    rng = np.random.default_rng(seed)
    samples = decode(path)
    clean = [window_input(samples, recipe, None if place == 0 else rng) for place in range(CLEAN_WINDOWS)]
    speed = [
        window_input(change_speed(samples, rng), recipe, None if place == 0 else rng) for place in range(SPEED_WINDOWS)
    ]
    # Voices in the background are the speaker's own, backwards: no other speaker gets into an utterance.
    disturbed = [window_input(disturb(samples, [samples], rng), recipe, rng) for _ in range(DISTURBED_WINDOWS)]
    return np.stack(clean + speed + disturbed)


def window_input(samples: FloatArray, recipe: AudioRecipe, rng: np.random.Generator | None) -> FloatArray:
    """Return the input for a window that ends with the speech, or somewhere in it."""
    first, last = sounding_span(samples)
    end = last + SAMPLE_RATE // 10
    if rng is not None:
        earliest = min(first + round(_EARLIEST_SECONDS * SAMPLE_RATE), last)
        end = int(rng.integers(earliest, last + round(_LATEST_SECONDS * SAMPLE_RATE)))
    context = context_samples(recipe)
    window = np.zeros(context, dtype=np.float32)
    part = samples[max(0, end - context) : end]
    window[context - len(part) :] = part
    return voice_input(window, recipe)
