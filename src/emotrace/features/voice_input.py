"""A stretch of sound that ends at a tick -> one input of the voice network, by the recipe's front end.

Front ends: "log-mel" (the default bundle's), "spectrum" (the paper's S: five 24x120 spectra, 1 s apart), "descriptors"
(the paper's H: functionals of low-level descriptors), "egemaps" and "compare" (O: openSMILE).
"""

from functools import cache
from typing import Literal

import numpy as np

from emotrace.features.audio_features import describe
from emotrace.features.audio_signal import pre_emphasise
from emotrace.features.opensmile import OpenSmile
from emotrace.features.spectrogram import log_mel, spectrum_24x120, stack_five
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.types import FloatArray

_SPECTRA = 5
_SPECTRUM_SHIFT_SECONDS = 1.0


def context_samples(recipe: AudioRecipe) -> int:
    """Return how many samples up to a tick one input is made of."""
    seconds = recipe.window_seconds
    if recipe.front_end == "spectrum":
        seconds += (_SPECTRA - 1) * _SPECTRUM_SHIFT_SECONDS
    return round(seconds * SAMPLE_RATE)


@cache
def input_shape(recipe: AudioRecipe) -> tuple[int, ...]:
    """Return the shape of one input."""
    return voice_input(np.zeros(context_samples(recipe), dtype=np.float32), recipe).shape


def voice_input(samples: FloatArray, recipe: AudioRecipe) -> FloatArray:
    """Return the network's input for [context_samples] samples at 16 kHz, zeros where there was no sound yet.

    Shapes: "log-mel" [frames, 64], "spectrum" [120, 120], the others [descriptors].
    """
    if recipe.front_end == "egemaps":
        return _opensmile("eGeMAPSv02").describe(samples)
    if recipe.front_end == "compare":
        return _opensmile("ComParE_2016").describe(samples)
    emphasised = pre_emphasise(samples, recipe.pre_emphasis, previous=0.0)[0]
    if recipe.front_end == "log-mel":
        return log_mel(emphasised)
    if recipe.front_end == "spectrum":
        length = round(recipe.window_seconds * SAMPLE_RATE)
        shift = round(_SPECTRUM_SHIFT_SECONDS * SAMPLE_RATE)
        segments = [emphasised[first * shift : first * shift + length] for first in range(_SPECTRA)]
        return stack_five(np.stack([spectrum_24x120(segment) for segment in segments]))
    return describe(emphasised)


@cache
def _opensmile(feature_set: Literal["eGeMAPSv02", "ComParE_2016"]) -> OpenSmile:
    return OpenSmile(feature_set)  # starting it takes longer than a window
