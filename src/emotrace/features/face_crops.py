"""A picture and a face in it -> its square grey crop, framed as the training images are."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotrace.features.following import centre
from emotrace.images import resize, sample
from emotrace.media import Box, VideoFrame
from emotrace.recipe import VideoRecipe
from emotrace.types import Face, FloatArray, Image

_MAX_TILT = math.radians(30)
_MAX_WARP_SIDE = 1024
"""Pixels; bounds the work for faces that are much larger than the crop."""


def crop_face(frame: VideoFrame, face: Face, recipe: VideoRecipe, detector_name: Literal["haar", "yunet"]) -> Image:
    """Cut out the square around a face, framed as the training images are.

    The crop's side and centre follow from the box through the recipe's geometry of the detector. With landmarks it is
    turned so that the eyes are level, by 30 degrees at most. Outside the picture its edge goes on.

    Args:
        frame: upright picture.
        face: in pixels of the frame; may lie partly outside.
        recipe: its `crop_size` and geometry.
        detector_name: whose box it is.

    Returns:
        [crop_size, crop_size] grey, 0..255.
    """
    geometry = recipe.yunet_geometry if detector_name == "yunet" else recipe.haar_geometry
    size = recipe.crop_size
    longer = max(face.width, face.height)
    side = geometry.scale * longer
    tilt = _tilt(face.landmarks)
    right = np.array([math.cos(tilt), math.sin(tilt)])
    down = np.array([-math.sin(tilt), math.cos(tilt)])
    middle = np.array(centre(face)) + geometry.shift_y * longer * down
    # Large faces are cut out at a multiple of the crop's size and then averaged: no aliasing.
    multiple = min(max(1, math.ceil(side / size)), max(1, _MAX_WARP_SIDE // size))
    box = _covering(middle, right, down, side, frame)
    grey, origin = frame.grey_part(box), np.array(box[:2], np.float64)
    warped = _warp(grey, middle - origin, right, down, side, size * multiple)
    return resize(warped, size, size) if multiple > 1 else warped


def _covering(
    centre: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64], side: float, frame: VideoFrame
) -> Box:
    """Return the part of the picture that a turned square shows: at its edge the picture ends, or is not seen."""
    reach = side / 2 * (np.abs(right) + np.abs(down)) + 2
    low, high = np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int)
    # A square beside the picture shows the picture's nearest pixels.
    left, top = (
        int(min(max(0, place), size - 1)) for place, size in zip(low, (frame.width, frame.height), strict=True)
    )
    stop_x, stop_y = (int(place) for place in high)
    return left, top, max(left + 1, min(frame.width, stop_x)), max(top + 1, min(frame.height, stop_y))


def _tilt(landmarks: FloatArray | None) -> float:
    """Return the angle of the line through the eyes, clockwise on the screen, in radians."""
    if landmarks is None:
        return 0.0
    across, downward = (landmarks[1] - landmarks[0]).tolist()
    return min(max(math.atan2(downward, across), -_MAX_TILT), _MAX_TILT)


def _warp(
    grey: Image,
    centre: NDArray[np.float64],
    right: NDArray[np.float64],
    down: NDArray[np.float64],
    side: float,
    size: int,
) -> Image:
    """Sample [size, size] pixels of a turned square, bilinearly; coordinates have pixel centres at one half."""
    step = side / size
    corner = centre + (0.5 - size / 2) * step * (right + down) - 0.5
    matrix = np.column_stack([right * step, down * step, corner])
    return sample(grey, matrix, size)
