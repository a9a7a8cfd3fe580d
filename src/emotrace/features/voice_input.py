"""A stretch of sound that ends at a tick -> one input of the voice network, by the recipe's front end.

Front ends: "descriptors" (the paper's H: functionals of low-level descriptors; with more statistics of ours it is the
default bundle's), "spectrum" (the paper's S: five 24x120 spectra, 1 s apart), "egemaps" and "compare" (O: openSMILE),
"log-mel" and "log-spectrogram" (slices of a spectrogram, see `slices`).
"""

import math
from functools import cache
from typing import Literal

import numpy as np

from emotrace.features.audio_features import describe
from emotrace.features.audio_signal import HOP_LENGTH, crossing_rates, pre_emphasise
from emotrace.features.opensmile import OpenSmile
from emotrace.features.shared_frames import Stretch
from emotrace.features.slices import (
    MEL_FRAME_LENGTH,
    SPECTROGRAM_FRAME_LENGTH,
    log_magnitude_frames,
    log_mel_frames,
)
from emotrace.features.spectrogram import spectrum_24x120, stack_five
from emotrace.features.voice_block import LONGEST_SAMPLES, describe_windows
from emotrace.features.voice_statistics import voice_statistics
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.types import FloatArray, IntArray

_QUIET_SHARE = 0.03
_MARGIN_SAMPLES = SAMPLE_RATE // 10
_SHORTEST_SAMPLES = SAMPLE_RATE // 10
_LEVEL = 0.1
"""Root mean square to which sound is brought before it is described."""
_AT_ONCE = 32
"""Windows described at once: bounds the memory."""
_SPECTRA = 5
_SPECTRUM_SHIFT_SECONDS = 1.0


def context_samples(recipe: AudioRecipe) -> int:
    """Return how many samples up to a tick one input is made of."""
    window = round(recipe.window_seconds * SAMPLE_RATE)
    if recipe.front_end == "spectrum":
        return window + round((_SPECTRA - 1) * _SPECTRUM_SHIFT_SECONDS * SAMPLE_RATE)
    if recipe.front_end == "log-mel":
        return window + MEL_FRAME_LENGTH - HOP_LENGTH
    if recipe.front_end == "log-spectrogram":
        return window + SPECTROGRAM_FRAME_LENGTH - HOP_LENGTH
    return window


@cache
def input_shape(recipe: AudioRecipe) -> tuple[int, ...]:
    """Return the shape of one input."""
    return voice_input(np.zeros(context_samples(recipe), dtype=np.float32), recipe).shape


def voice_input(samples: FloatArray, recipe: AudioRecipe) -> FloatArray:
    """Return the network's input for [context_samples] samples at 16 kHz, zeros where there was no sound yet.

    Shapes: "spectrum" [120, 120], "log-mel" [frames, 64], "log-spectrogram" [frames, 200], the others [descriptors].
    A slice has a frame for every 10 ms of its window; the last one ends with the samples.
    """
    if recipe.front_end == "log-mel":
        return log_mel_frames(samples)
    if recipe.front_end == "log-spectrogram":
        return log_magnitude_frames(samples)
    if recipe.front_end == "egemaps":
        return _opensmile("eGeMAPSv02").describe(samples)
    if recipe.front_end == "compare":
        return _opensmile("ComParE_2016").describe(samples)
    if recipe.front_end == "descriptors":
        samples = _sounding_part(samples)
    emphasised = pre_emphasise(samples, recipe.pre_emphasis, previous=0.0)[0]
    if recipe.front_end == "spectrum":
        length = round(recipe.window_seconds * SAMPLE_RATE)
        shift = round(_SPECTRUM_SHIFT_SECONDS * SAMPLE_RATE)
        segments = [emphasised[first * shift : first * shift + length] for first in range(_SPECTRA)]
        return stack_five(np.stack([spectrum_24x120(segment) for segment in segments]))
    return np.concatenate([describe(emphasised), voice_statistics(emphasised)])


def voice_inputs(sound: FloatArray, ends: IntArray, recipe: AudioRecipe) -> FloatArray:
    """Return [W, ...] inputs: `voice_input` of the samples before each end, up to rounding, in less time.

    What overlapping windows share is analysed once. An input does not depend on the others that are asked for.

    Args:
        sound: [N] samples at 16 kHz.
        ends: [W] rising, in context_samples..N.
        recipe: of the front end.
    """
    context = context_samples(recipe)
    if recipe.front_end == "descriptors" and recipe.hop_seconds < recipe.window_seconds and context <= LONGEST_SAMPLES:
        parts = [_described(sound, ends[start : start + _AT_ONCE], recipe) for start in range(0, len(ends), _AT_ONCE)]
    else:
        parts = [voice_input(sound[end - context : end], recipe)[None] for end in ends]
    return np.concatenate(parts) if parts else np.zeros((0, *input_shape(recipe)), dtype=np.float32)


def sounding_span(samples: FloatArray) -> tuple[int, int]:
    """Return where sound begins and ends: the first and the last sample above 3 % of the peak."""
    level = np.abs(samples)
    loud = level > _QUIET_SHARE * level.max(initial=1e-9)
    return (int(loud.argmax()), len(loud) - int(loud[::-1].argmax())) if loud.any() else (0, len(samples))


def _sounding_part(samples: FloatArray) -> FloatArray:
    """Cut off silence at both ends and bring the rest to one level.

    Functionals over the silence before and after speech, or before the start of a file, would say more about the
    recording than about the voice; so would its level.
    """
    first, last = sounding_span(samples)
    part = samples[max(0, first - _MARGIN_SAMPLES) : last + _MARGIN_SAMPLES]
    part = np.pad(part, (0, max(0, _SHORTEST_SAMPLES - len(part))))
    return (part * _gain(part)).astype(np.float32)


def _gain(part: FloatArray) -> float:
    return _LEVEL / math.sqrt(float(np.mean(part.astype(np.float64) ** 2)) + 1e-12)


def _described(sound: FloatArray, ends: IntArray, recipe: AudioRecipe) -> FloatArray:
    """Return [W, D] descriptors; a window that is nearly empty is described by itself."""
    context = context_samples(recipe)
    spans = [sounding_span(sound[end - context : end]) for end in ends]
    first = np.array([max(0, begin - _MARGIN_SAMPLES) for begin, _ in spans])
    stop = np.array([min(context, last + _MARGIN_SAMPLES) for _, last in spans])
    out = np.empty((len(ends), *input_shape(recipe)), dtype=np.float32)
    whole = np.flatnonzero(stop - first >= _SHORTEST_SAMPLES)
    for window in np.flatnonzero(stop - first < _SHORTEST_SAMPLES):
        out[window] = voice_input(sound[ends[window] - context : ends[window]], recipe)
    if len(whole):
        first, length = (ends - context + first)[whole], (stop - first)[whole]
        emphasised = pre_emphasise(sound, recipe.pre_emphasis, previous=0.0)[0]
        stretch = Stretch(emphasised, sound, first, length, context)
        parts = [sound[begin : begin + size] for begin, size in zip(first.tolist(), length.tolist(), strict=True)]
        gains = np.array([_gain(part) for part in parts], dtype=np.float32)
        scaled = [
            pre_emphasise(part * gain, recipe.pre_emphasis, 0.0)[0] for part, gain in zip(parts, gains, strict=True)
        ]
        out[whole] = describe_windows(stretch, gains, crossing_rates(scaled, context))
    return out


@cache
def _opensmile(feature_set: Literal["eGeMAPSv02", "ComParE_2016"]) -> OpenSmile:
    return OpenSmile(feature_set)  # starting it takes longer than a window
