"""A small colour picture and the faces in it -> how each looks: colours of face, hair and clothes, shading of the face.

It tells the people of one recording apart, by clothing and colouring; it is no biometric template. There is no trained
network, nothing is kept beyond the recording, and the same person in another shirt on another day looks like somebody
else.
"""

import numpy as np
from numpy.typing import NDArray

from emotrace.types import Face, FloatArray, Image, IntArray

_GRID = 12
"""Pixels sampled along each side of a region."""
_REGIONS = np.array(
    [
        [0.1, 0.1, 0.9, 0.95],  # face
        [0.1, -0.2, 0.9, 0.15],  # hair
        [-0.2, 1.25, 1.2, 1.85],  # clothes
    ]
)
"""Left, top, right and bottom in widths and heights of the box."""
_WEIGHTS = (0.2, 0.25, 0.4, 0.15)
"""Of face, hair, clothes and shading in the likeness of two looks."""
_NUM_HUES = 12
_NUM_SHADES = 6
_PALE = 0.15
"""Saturation at which a colour counts half as grey."""
_SHADES_PER_OCTAVE = 1.5
_NUM_CELLS = 4
_NUM_DIRECTIONS = 6
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_NUM_COLOURS = 2 * _NUM_HUES + _NUM_SHADES
NUM_NUMBERS = len(_REGIONS) * _NUM_COLOURS + _NUM_CELLS * _NUM_CELLS * _NUM_DIRECTIONS
"""Length D of a look."""


def looks(picture: Image, scale: float, faces: list[Face]) -> FloatArray:
    """Return [F, `NUM_NUMBERS`] of length 1, not negative; the product of two is their likeness, 0..1.

    The likeness is a weighted mean of Bhattacharyya coefficients (A. Bhattacharyya, Bulletin of the Calcutta
    Mathematical Society 35 (1943) 99-109) of histograms: hue by saturation and shades of grey in three regions, and
    directions of the gradient in the cells of the face. Brightness is taken relative to the face, so that
    exposure does not matter; the colour of the light does.

    Args:
        picture: [h, w, 3] RGB, such as `frame.rgb(max_side=320)`.
        scale: pixels of the picture per pixel of the frame.
        faces: boxes in pixels of the frame; may lie partly outside.
    """
    if not faces:
        return np.zeros((0, NUM_NUMBERS), np.float32)
    colours, inside = _samples(picture, scale, faces)
    luma = colours @ _LUMA
    reference = np.median(luma[:, 0], axis=1)[:, None, None] + 1.0
    # Middle columns of a region count more: at its sides the background shows.
    across = np.tile(1 - 0.8 * np.abs(np.linspace(-1, 1, _GRID)), _GRID).astype(np.float32)
    parts = _colour_histograms(colours, luma / reference, inside * across)
    shading = _shading(luma[:, 0].reshape(-1, _GRID, _GRID))
    weights = np.sqrt(np.array(_WEIGHTS, np.float32))
    blocks = [weights[region] * _rooted(parts[:, region]) for region in range(len(_REGIONS))]
    joined = np.concatenate([*blocks, weights[-1] * _rooted(shading)], axis=1)
    return np.asarray(joined / np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _rooted(histograms: FloatArray) -> FloatArray:
    """Return the square roots of shares; nothing seen stays 0."""
    total = histograms.sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(histograms / np.maximum(total, 1e-6)), dtype=np.float32)


def _samples(picture: Image, scale: float, faces: list[Face]) -> tuple[FloatArray, FloatArray]:
    """Return [F, regions, pixels, 3] colours, and [F, regions, pixels] 1 inside of the picture, 0 outside."""
    height, width = picture.shape[:2]
    boxes = np.array([(face.x, face.y, face.width, face.height) for face in faces]) * scale
    steps = (np.arange(_GRID) + 0.5) / _GRID

    def places(axis: int, length: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        start, stop = _REGIONS[:, axis], _REGIONS[:, axis + 2]
        shares = start[:, None] + (stop - start)[:, None] * steps
        place = np.floor(boxes[:, axis, None, None] + boxes[:, axis + 2, None, None] * shares).astype(np.intp)
        return np.clip(place, 0, length - 1), (place >= 0) & (place < length)

    columns, in_columns = places(0, width)
    rows, in_rows = places(1, height)
    colours = picture[rows[..., :, None], columns[..., None, :]]
    inside = in_rows[..., :, None] & in_columns[..., None, :]
    flat = (*inside.shape[:2], _GRID * _GRID)
    return colours.reshape(*flat, 3).astype(np.float32), inside.reshape(flat).astype(np.float32)


def _colour_histograms(colours: FloatArray, brightness: FloatArray, weight: FloatArray) -> FloatArray:
    """Return [F, regions, colours of the histogram]; each pixel is shared between its nearest bins.

    Args:
        colours: [F, regions, pixels, 3] RGB.
        brightness: [F, regions, pixels], 1 as the face.
        weight: [F, regions, pixels] of each pixel.
    """
    red, green, blue = np.moveaxis(colours, -1, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    chroma = highest - np.minimum(np.minimum(red, green), blue)
    saturation = chroma / (highest + 16)  # noise in the dark is no colour
    vivid = weight * np.clip((saturation - 0.5 * _PALE) / _PALE, 0, 1)
    strong = vivid * np.clip((saturation - 0.25) / 0.35, 0, 1)
    turn = np.arctan2(np.float32(np.sqrt(3)) * (green - blue), 2 * red - green - blue) / np.float32(2 * np.pi)
    hue, next_hue = _shared((turn % 1) * _NUM_HUES)
    shade = np.clip(_NUM_SHADES - 2 + _SHADES_PER_OCTAVE * np.log2(brightness + 0.03), 0, _NUM_SHADES - 1)
    grey, next_grey = _shared(shade)
    first_strong, first_grey = _NUM_HUES, 2 * _NUM_HUES
    hues, next_hues = hue % _NUM_HUES, (hue + 1) % _NUM_HUES
    greys = first_grey + grey
    parts = [
        (hues, (vivid - strong) * (1 - next_hue)),
        (next_hues, (vivid - strong) * next_hue),
        (first_strong + hues, strong * (1 - next_hue)),
        (first_strong + next_hues, strong * next_hue),
        (greys, (weight - vivid) * (1 - next_grey)),
        (np.minimum(greys + 1, _NUM_COLOURS - 1), (weight - vivid) * next_grey),
    ]
    histograms = np.arange(colours.shape[0] * colours.shape[1]).reshape(*colours.shape[:2], 1) * _NUM_COLOURS
    places = np.stack([histograms + place for place, _ in parts]).reshape(-1)
    shares = np.stack([share for _, share in parts]).reshape(-1)
    counts = np.bincount(places, shares, minlength=histograms.size * _NUM_COLOURS)
    return counts.reshape(*colours.shape[:2], _NUM_COLOURS).astype(np.float32)


def _shared(place: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the bin below a place between bins, and the share of the bin above."""
    below = place.astype(np.int64)
    return below, np.asarray(place - below, dtype=np.float32)


def _shading(face: FloatArray) -> FloatArray:
    """Return [F, cells x directions]: strength of the gradient by direction, whichever side is the lighter."""
    down, across = np.gradient(face, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = (np.arctan2(down, across) / np.float32(np.pi) % 1) * _NUM_DIRECTIONS
    below, above = _shared(direction)
    side = _GRID // _NUM_CELLS
    cell = np.arange(_GRID) // side
    cells = np.arange(len(face))[:, None, None] * _NUM_CELLS**2 + cell[:, None] * _NUM_CELLS + cell
    places = np.stack([cells * _NUM_DIRECTIONS + (below + step) % _NUM_DIRECTIONS for step in (0, 1)])
    shares = np.stack([strength * (1 - above), strength * above])
    counts = np.bincount(places.reshape(-1), shares.reshape(-1), minlength=len(face) * _NUM_CELLS**2 * _NUM_DIRECTIONS)
    return counts.reshape(len(face), -1).astype(np.float32)
