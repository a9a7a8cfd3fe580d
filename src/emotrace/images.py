"""Still images: read, resize, encode. The one file, with `features/faces.py`, that imports OpenCV."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotrace.errors import CorpusError

Image = NDArray[np.uint8]
"""[height, width] grey or [height, width, 3] RGB, 0..255."""
FloatArray = NDArray[np.float32]
Colour = tuple[int, int, int]
"""RGB, 0..255."""

_FONT = cv2.FONT_HERSHEY_DUPLEX
_CAPITAL = 21.0
"""Pixels of a capital letter at scale 1."""


def read_grey(path: Path) -> Image:
    """Read an image file as grey [height, width].

    Raises:
        CorpusError: the file is missing or is no image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise CorpusError(f"{path} is missing or is not an image.")
    return np.asarray(image, dtype=np.uint8)


def resize(image: Image, width: int, height: int) -> Image:
    """Resize to width x height pixels: area averaging when shrinking, bilinear when growing."""
    shrinking = width < image.shape[1]
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def sample(image: Image, matrix: NDArray[np.float64], size: int) -> Image:
    """Return [size, size] pixels, bilinearly; outside the image its edge goes on.

    Args:
        image: [height, width] grey.
        matrix: [2, 3], the affine map from pixels of the result to pixels of the image.
        size: of the result.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.uint8)


def look_up(image: Image, table: Image) -> Image:
    """Return table[image] of an image [height, width] and a table [256]."""
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def overlay(background: Image, picture: Image, opacity: FloatArray, placement: FloatArray) -> Image:
    """Return the background with a picture moved, turned or scaled onto it.

    Args:
        background: [height, width, 3].
        picture: [h, w, 3].
        opacity: [h, w] of the picture, in 0..1.
        placement: [2, 3], the affine map from pixels of the picture to pixels of the background.
    """
    size = (background.shape[1], background.shape[0])
    moved = cv2.warpAffine(picture, placement, size)
    weight = cv2.warpAffine(opacity, placement, size)
    return np.asarray(cv2.blendLinear(moved, background, weight, 1 - weight), dtype=np.uint8)


def draw_rectangle(image: Image, corners: tuple[int, int, int, int], colour: Colour, thickness: int) -> None:
    """Draw left, top, right and bottom (the last pixel inside) onto the image; thickness -1 fills."""
    left, top, right, bottom = corners
    cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)


def draw_line(image: Image, points: FloatArray, colour: Colour, thickness: int) -> None:
    """Draw a line through points [N, 2] of x and y, smoothed, onto the image."""
    sixteenths = np.round(points * 16).astype(np.int32)
    cv2.polylines(image, [sixteenths], False, colour, thickness, cv2.LINE_AA, shift=4)


def draw_text(image: Image, text: str, position: tuple[int, int], height: float, colour: Colour) -> None:
    """Write ASCII text whose capitals are `height` pixels high; the position is x and y of the line's left end."""
    thickness = max(1, round(height / 9))
    cv2.putText(image, text, position, _FONT, height / _CAPITAL, colour, thickness, cv2.LINE_AA)


def text_width(text: str, height: float) -> int:
    """Return how many pixels `draw_text` takes."""
    return int(cv2.getTextSize(text, _FONT, height / _CAPITAL, max(1, round(height / 9)))[0][0])


def encode_jpeg(image: Image, quality: int = 80) -> bytes:
    """Return the bytes of a JPEG file of an image, grey [height, width] or RGB [height, width, 3]."""
    ordered = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()
