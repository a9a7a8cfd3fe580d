"""The plain data that flows between stages, with axes and units.

Axes used in the whole project: T ticks of the label clock, N audio samples, F face crops, W voice windows,
H and W pixels of an image (where an image is meant, written out), E emotions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Image = NDArray[np.uint8]
"""[height, width] grey or [height, width, 3] RGB, 0..255."""
NOBODY = -1
"""Number in place of a person's: a voice that comes from none of the visible faces, or a tick without any face."""


@dataclass(frozen=True)
class AudioChunk:
    """Consecutive mono samples.

    Attributes:
        start_seconds: media time of the first sample.
        samples: [N] in [-1, 1], at the sample rate that was asked for, quantised to 16 bit.
    """

    start_seconds: float
    samples: FloatArray


@dataclass(frozen=True)
class Face:
    """One detected face in pixels of the upright frame.

    Attributes:
        x: left edge; may lie outside the frame.
        y: top edge; may lie outside the frame.
        width: of the detector's box.
        height: of the detector's box.
        confidence: 0..1; 1 where the detector gives none.
        landmarks: [5, 2] x and y of the eye, eye, nose tip, mouth corner, mouth corner, each pair in image order from
            left to right; None where the detector gives none.
    """

    x: float
    y: float
    width: float
    height: float
    confidence: float
    landmarks: FloatArray | None = None


@dataclass(frozen=True)
class Features:
    """What `extract` makes of a stretch of media: network inputs and what is known at every tick.

    Attributes:
        times: [T] seconds of media time, on the label clock.
        voice_inputs: [W, ...] inputs of the voice network, one per analysis window, in order of time.
        voice_index: [T] which row of `voice_inputs` is the latest at the tick; -1 where none is yet.
        voice_valid: [T] whether there was speech within the recipe's hold time.
        speech: [T] whether the endpoint detection finds speech at the tick.
        speech_energy: [T] m of eq. 31 in 0..1; NaN where there is no audio.
        face_crops: [F, size, size] grey face crops, in order of time.
        face_index: [T] which crop is the latest at the tick; -1 where no face is known.
        face_detected: [T] n of eq. 31.
        face_confidence: [T] 0..1 of the detector; NaN without a face.
        face_box: [T, 4] x, y, width, height in pixels of the upright frame; NaN without a face.
        person: [T] number of the followed person, from 0; grows when another person is followed.
    """

    times: NDArray[np.float64]
    voice_inputs: FloatArray
    voice_index: IntArray
    voice_valid: BoolArray
    speech: BoolArray
    speech_energy: FloatArray
    face_crops: Image
    face_index: IntArray
    face_detected: BoolArray
    face_confidence: FloatArray
    face_box: FloatArray
    person: IntArray
