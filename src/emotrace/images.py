"""Still images: read, resize, encode. The one file, with `features/faces.py`, that imports OpenCV."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotrace.errors import CorpusError

Image = NDArray[np.uint8]
"""[height, width] grey or [height, width, 3] RGB, 0..255."""


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
