"""What is heard and what is seen at the same ticks -> features."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from emotrace.features.voice_input import voice_inputs
from emotrace.recipe import AudioRecipe
from emotrace.types import BoolArray, Features, FloatArray, Image, IntArray

Describe = Callable[[FloatArray, IntArray, AudioRecipe], Callable[[], FloatArray]]
"""Begins to make inputs of the voice network, as `voice_input.voice_inputs` does, and returns what gives them."""
Pending = Callable[[], Features]
"""Gives the features of somebody in a block."""
OBJECT_BYTES = 256
"""What Python needs around an array, roughly: many tiny ones shall count too."""


def described_here(sound: FloatArray, ends: IntArray, recipe: AudioRecipe) -> Callable[[], FloatArray]:
    """Return what makes the inputs when they are asked for, once for everybody."""
    return cache(partial(voice_inputs, sound, ends, recipe))


@dataclass(frozen=True)
class Heard:
    """What is heard at T ticks.

    Attributes:
        inputs: gives [W, ...] of the voice network, in order of time.
        index: [T] row of them that is the latest at the tick; -1 where none is yet.
        valid: [T] whether there was speech within the recipe's hold time.
        speech: [T] whether the endpoint detection finds speech.
        energy: [T] m of eq. 31 in 0..1; NaN where there is no audio.
    """

    inputs: Callable[[], FloatArray]
    index: IntArray
    valid: BoolArray
    speech: BoolArray
    energy: FloatArray


@dataclass(frozen=True)
class Seen:
    """What is seen of a face at T ticks.

    Attributes:
        crops: [F, size, size] grey, in order of time.
        index: [T] row of `crops` at each tick; -1 where no face is known.
        confidence: [T] of the detector; NaN without a face.
        box: [T, 4] x, y, width, height; NaN without a face.
        person: [T] number; -1 without a face.
    """

    crops: Image
    index: IntArray
    confidence: FloatArray
    box: FloatArray
    person: IntArray


def features_of(ticks: NDArray[np.float64], heard: Heard, seen: Seen) -> Features:
    """Return the features at the ticks [T]."""
    return Features(
        times=ticks,
        voice_inputs=heard.inputs(),
        voice_index=heard.index,
        voice_valid=heard.valid,
        speech=heard.speech,
        speech_energy=heard.energy,
        face_crops=seen.crops,
        face_index=seen.index,
        face_detected=seen.index >= 0,
        face_confidence=seen.confidence,
        face_box=seen.box,
        person=seen.person,
    )
