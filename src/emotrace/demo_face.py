"""An expression -> a drawn head and shoulders, for the demonstration clip.

The skin is a relief lit from the upper left: a smooth height map of a head, to which an expression adds bumps (a raised
cheek, a furrow between the brows). Brows, eyes and mouth are bands between curves, drawn with soft edges. Everything is
arithmetic on small patches, so one head takes a few milliseconds and no picture of a person is needed.

Coordinates: face units, x to the right and y down from the point between the eyes; the face is two units wide.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrace.types import Image

_Colour = tuple[float, float, float]
_Array = NDArray[np.floating[Any]]

_Bounds = tuple[float, float, float, float]
"""Left, right, top and bottom in face units."""

_BUST: _Bounds = (-2.3, 2.3, -1.75, 2.75)
_FACE: _Bounds = (-1.08, 1.08, -1.48, 1.48)
"""The part of the bust that moves."""

_SKIN = np.array([232, 188, 160], np.float32)
_LIP = np.array([176, 92, 88], np.float32)
_HAIR = np.array([58, 40, 30], np.float32)
_SHIRT = np.array([52, 78, 112], np.float32)
_LIGHT = (-0.35, -0.45, 0.82)
"""Direction to the lamp: from the left, above, in front; of length 1."""

_Bump = tuple[float, float, float, float, float]
"""Height, centre x and y, width in x and y: a Gaussian hill; mirrored where it is off the axis."""

_HEAD: tuple[_Bump, ...] = (
    (0.08, 0.0, 0.05, 0.09, 0.25),  # bridge of the nose
    (0.17, 0.0, 0.32, 0.13, 0.16),
    (0.20, 0.0, 0.46, 0.14, 0.10),  # tip
    (0.08, 0.18, 0.50, 0.07, 0.07),  # wings
    (-0.17, 0.42, 0.02, 0.24, 0.15),  # eye sockets
    (0.06, 0.40, -0.27, 0.30, 0.10),  # brow ridge
    (0.07, 0.60, 0.32, 0.24, 0.18),  # cheekbones
    (0.09, 0.0, 0.86, 0.36, 0.20),  # lips
    (-0.05, 0.0, 1.07, 0.22, 0.06),
    (0.10, 0.0, 1.22, 0.24, 0.12),  # chin
)
_SMILE: tuple[_Bump, ...] = (
    (0.12, 0.55, 0.40, 0.19, 0.15),
    (-0.06, 0.46, 0.66, 0.06, 0.14),
    (0.05, 0.62, 0.80, 0.10, 0.14),
)
_FURROW: tuple[_Bump, ...] = (
    (-0.07, 0.07, -0.22, 0.028, 0.11),
    (0.06, 0.16, -0.24, 0.06, 0.10),
    (-0.04, 0.30, 0.50, 0.05, 0.16),
)
_FOREHEAD: tuple[_Bump, ...] = tuple((-0.022, 0.0, y, 0.45, 0.025) for y in (-0.62, -0.74, -0.86))


@dataclass(frozen=True)
class Expression:
    """The pose of the features; lengths in face units, 0 = neutral unless a range is given."""

    inner_brow: float = 0.0
    """Rise of the inner ends of the brows; negative = drawn down."""
    outer_brow: float = 0.0
    upper_lid: float = 1.0
    """Opening of the upper lid: 0 shut, 1 relaxed, 1.5 wide."""
    lower_lid: float = 1.0
    """Opening of the lower lid; a smile raises the lid to about 0.4."""
    corners: float = 0.0
    """Rise of the corners of the mouth."""
    mouth_width: float = 0.40
    """Half the width of the mouth."""
    jaw: float = 0.0
    """How far the lower lip is dropped."""
    upper_lip: float = 0.0
    """How far the upper lip is raised, baring teeth."""
    smile: float = 0.0
    """Relief of raised cheeks, 0..1."""
    furrow: float = 0.0
    """Relief of drawn brows, 0..1."""
    forehead: float = 0.0
    """Relief of a wrinkled forehead, 0..1."""


EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression(),
    "happiness": Expression(0.03, 0.04, 0.85, 0.35, 0.16, 0.53, 0.10, 0.06, 0.8, 0.0, 0.0),
    "surprise": Expression(0.25, 0.24, 1.65, 1.25, -0.03, 0.26, 0.28, 0.08, 0.0, 0.0, 1.0),
    "sadness": Expression(0.18, -0.10, 0.55, 0.80, -0.14, 0.34, 0.0, 0.0, 0.0, 0.5, 0.6),
    "anger": Expression(-0.16, 0.10, 0.80, 0.55, -0.10, 0.40, 0.14, 0.07, 0.0, 1.0, 0.0),
}
"""The face that the demonstration gives to each emotion, after the action units of the usual coding manuals."""


def mix(weights: dict[str, float]) -> Expression:
    """Return the mean of `EXPRESSIONS`, weighted; the weights sum to 1."""
    rows = np.array([astuple(EXPRESSIONS[emotion]) for emotion in weights])
    return Expression(*(np.array(list(weights.values())) @ rows).tolist())


class HeadPainter:
    """Paints heads of one size; what does not move is painted once.

    Attributes:
        alpha: [height, width] in 0..1, the opacity of every painted picture.
        origin: pixel x and y of the point between the eyes.
    """

    def __init__(self, pixels_per_unit: float) -> None:
        bust = _Canvas.empty(_BUST, pixels_per_unit)
        self.alpha = _paint_bust(bust)
        self.origin = (-_BUST[0] * pixels_per_unit, -_BUST[2] * pixels_per_unit)
        self._bust = np.clip(bust.pixels, 0, 255).astype(np.uint8)
        self._rows, self._columns = bust.find(_FACE)
        face = bust.window(_FACE)
        self._face = _Canvas(face.pixels.copy(), face.x, face.y, face.pixel)
        self._skin_mask = (_head_mask(face) * _edge(face.y - _hairline(face.x), 0.09))[..., None]
        self._tint = _skin_tint(face)
        self._slopes = np.stack([_slopes(face.x, face.y, bumps) for bumps in (_HEAD, _SMILE, _FURROW, _FOREHEAD)])
        self._slopes[0] += _dome_slopes(face.x, face.y)

    def paint(self, expression: Expression, gaze: float = 0.0) -> Image:
        """Return [height, width, 3] RGB: head and shoulders; where `alpha` is 0 the colour means nothing.

        Args:
            expression: pose of the features.
            gaze: sideways turn of the eyes in face units, about -0.05..0.05.
        """
        behind = self._face
        pixels = behind.pixels + self._skin_mask * (self._skin(expression) - behind.pixels)
        face = _Canvas(pixels, behind.x, behind.y, behind.pixel)
        _paint_mouth(face, expression)
        for side in (-1, 1):
            _paint_eye(face, side, expression, gaze)
            _paint_brow(face, side, expression)
        picture = self._bust.copy()
        picture[self._rows, self._columns] = np.clip(face.pixels, 0, 255)
        return picture

    def _skin(self, expression: Expression) -> _Array:
        """Return [height, width, 3]: the colour of the lit relief."""
        weights = np.array([1.0, expression.smile, expression.furrow, expression.forehead], np.float32)
        slope_x, slope_y = np.tensordot(weights, self._slopes, axes=1)
        towards_x, towards_y, towards_viewer = _LIGHT
        facing = towards_viewer - slope_x * towards_x - slope_y * towards_y
        facing /= np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
        return np.asarray((0.42 + 0.66 * np.maximum(facing, 0))[..., None] * self._tint)


@dataclass(frozen=True)
class _Canvas:
    """Pixels with the coordinates of their centres; a window of it shares its memory.

    Attributes:
        pixels: [height, width, 3] RGB in 0..255, changed in place.
        x: [1, width] in face units.
        y: [height, 1] in face units.
        pixel: side of a pixel in face units.
    """

    pixels: _Array
    x: _Array
    y: _Array
    pixel: float

    @staticmethod
    def empty(bounds: _Bounds, pixels_per_unit: float) -> "_Canvas":
        left, right, top, bottom = bounds
        width, height = round((right - left) * pixels_per_unit), round((bottom - top) * pixels_per_unit)
        x = (left + (np.arange(width) + 0.5) / pixels_per_unit).astype(np.float32)
        y = (top + (np.arange(height) + 0.5) / pixels_per_unit).astype(np.float32)
        return _Canvas(np.zeros((height, width, 3), np.float32), x[None, :], y[:, None], 1 / pixels_per_unit)

    def find(self, bounds: _Bounds) -> tuple[slice, slice]:
        """Return the rows and columns within the bounds."""
        left, right = np.searchsorted(self.x[0], bounds[:2])
        top, bottom = np.searchsorted(self.y[:, 0], bounds[2:])
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def window(self, bounds: _Bounds) -> "_Canvas":
        rows, columns = self.find(bounds)
        return _Canvas(self.pixels[rows, columns], self.x[:, columns], self.y[rows], self.pixel)

    def tint(self, mask: _Array, colour: _Colour | _Array) -> None:
        """Move the pixels towards a colour, or a picture of the same size, by a mask [height, width] in 0..1."""
        self.pixels[...] += mask[..., None] * (np.asarray(colour, np.float32) - self.pixels)


def _paint_eye(face: _Canvas, side: int, expression: Expression, gaze: float) -> None:
    eye = face.window((side * 0.42 - 0.32, side * 0.42 + 0.32, -0.33, 0.26))
    x, y = eye.x - side * 0.42, eye.y
    across = x / 0.225
    bow = np.maximum(1 - across**2, 0)
    level = 0.03 - 0.02 * across * side
    lower = level + 0.075 * expression.lower_lid * bow
    upper = np.minimum(level - 0.135 * expression.upper_lid * bow**0.75, lower)
    sharp = 2 * eye.pixel
    opened = _edge(y - upper, sharp) * _edge(lower - y, sharp) * _edge(1 - np.abs(across), 0.1)
    eye.tint(opened, (236, 232, 228))
    eye.tint(0.35 * opened * _edge(upper + 0.05 - y, 0.08), (90, 70, 70))
    radius = np.hypot(x - gaze, y + 0.005)
    eye.tint(opened * _edge(0.108 - radius, sharp), (74, 54, 40))
    eye.tint(0.6 * opened * _edge(0.085 - radius, 0.03), (112, 82, 56))
    eye.tint(opened * _edge(0.05 - radius, sharp), (14, 10, 10))
    eye.tint(opened * _edge(0.022 - np.hypot(x - gaze + 0.035, y + 0.045), sharp), (255, 255, 255))
    near = _edge(1.08 - np.abs(across), 0.12)
    eye.tint(0.92 * near * _line(y - upper, 0.024), (38, 24, 20))
    eye.tint(0.35 * near * _line(y - lower, 0.016), (96, 56, 46))
    eye.tint(0.35 * near * _line(y - upper + 0.055 + 0.02 * bow, 0.016), (110, 66, 52))


def _paint_brow(face: _Canvas, side: int, expression: Expression) -> None:
    brow = face.window((side * 0.43 - 0.4, side * 0.43 + 0.4, -0.72, 0.0))
    along = np.clip((side * brow.x - 0.14) / 0.60, -0.2, 1.2)  # 0 at the inner end, 1 at the outer end
    rise = expression.inner_brow + (expression.outer_brow - expression.inner_brow) * along
    arch = 0.065 * np.sin(np.pi * np.clip(0.85 * along + 0.05, 0, 1)) - 0.04 * along
    thickness = 0.058 * (1 - 0.55 * np.clip(along, 0, 1) ** 2)
    ends = _edge(along + 0.02, 0.10) * _edge(1 - along, 0.14)
    hairs = 0.9 + 0.1 * np.sin(side * 90 * brow.x + 60 * brow.y)
    brow.tint(ends * hairs * _edge(thickness - np.abs(brow.y + 0.235 + arch + rise), 0.035), _HAIR)


def _paint_mouth(face: _Canvas, expression: Expression) -> None:
    mouth = face.window((-0.75, 0.75, 0.5, 1.42))
    x, y = mouth.x, mouth.y
    across = x / expression.mouth_width
    bow = np.maximum(1 - across**2, 0)
    seam = 0.86 + 0.35 * expression.corners - expression.corners * across**2
    upper = seam - expression.upper_lip * bow**0.8
    lower = seam + expression.jaw * bow**0.65
    sharp = 2 * mouth.pixel
    ends = _edge(1 - np.abs(across), 0.06)
    cupid = 1 - 0.35 * _line(x, 0.07)
    lips = ends * _edge(y - upper + 0.075 * bow**0.7 * cupid, 2 * sharp)
    lips = lips * _edge(lower + 0.105 * bow**0.6 - y, 2 * sharp)
    mouth.tint(0.9 * lips, _LIP)
    mouth.tint(0.35 * lips * _line(y - lower - 0.045, 0.03) * _line(across, 0.6), (240, 190, 180))
    opened = ends * _edge(y - upper, sharp) * _edge(lower - y, sharp)
    mouth.tint(opened, (52, 16, 18))
    mouth.tint(0.8 * opened * _edge(y - lower + 0.12, 0.06), (150, 70, 72))
    gap = lower - upper
    teeth = opened * _edge(upper + np.minimum(0.13, 0.8 * gap) - y, sharp) * _edge(1 - 1.05 * np.abs(across), 0.15)
    mouth.tint(teeth, (240, 236, 226))
    mouth.tint(0.18 * teeth * _line(np.sin(np.pi * x / 0.095), 0.25), (120, 100, 96))
    mouth.tint(0.85 * ends * _line(y - seam, 0.016) * _line(gap, 0.05), (84, 34, 34))
    for side in (-1, 1):
        corner = np.hypot(x - side * expression.mouth_width, y - 0.86 + 0.65 * expression.corners)
        mouth.tint(0.45 * _line(corner, 0.05), (96, 48, 40))


def _paint_bust(bust: _Canvas) -> _Array:
    """Paint the parts that keep still and return the opacity [height, width] of the whole."""
    x, y = bust.x, bust.y
    soft = 3 * bust.pixel
    angle = np.arctan2(x + 0.25, 1.5 - y)
    sheen = _line(np.hypot(x + 0.25, y - 0.3) - 1.55, 0.14)
    strands = 1 + 0.10 * np.sin(70 * angle) + 0.08 * np.sin(113 * angle + 2) + 0.55 * sheen
    bust.pixels[...] = strands[..., None] * _HAIR
    hair = _edge(1 - np.where(y < 0.1, np.hypot(x / 1.13, y / 1.60), np.abs(x) / 1.13 + 3 * (y - 0.1)), 2 * soft)
    neck = _edge(0.54 + 0.25 * np.maximum(y - 1.45, 0) - np.abs(x), soft) * _edge(y - 0.6, soft)
    bust.tint(neck, np.clip(0.42 + 0.5 * (y - 1.2) - 0.18 * x, 0.42, 0.86)[..., None] * _SKIN)
    collar = 1.72 + 0.40 * _line(x, 0.42) + 0.18 * np.maximum(np.abs(x) - 0.6, 0) ** 3.6
    shirt = _edge(y - collar, soft)
    folds = 1 - 0.11 * x + 0.06 * np.sin(5 * x + 2 * y) - 0.35 * _line(y - collar, 0.05)
    bust.tint(shirt, folds[..., None] * _SHIRT)
    ears = np.zeros_like(hair)
    for side in (-1, 1):
        ear = _edge(1 - np.hypot((x - side) / 0.14, (y - 0.15) / 0.27), 0.12)
        hollow = 1 - 0.3 * _line(np.hypot((x - 1.02 * side) / 0.06, (y - 0.14) / 0.14), 1.0)
        bust.tint(ear, ((0.75 - 0.1 * side) * hollow)[..., None] * _SKIN)
        ears = np.maximum(ears, ear)
    return np.asarray(np.max([hair, _head_mask(bust), neck, shirt, ears], axis=0), dtype=np.float32)


def _edge(inside: _Array, softness: float) -> _Array:
    """Return 0 where `inside` is well below 0, 1 well above it, and a smooth step of the given width between."""
    step = np.clip(inside / softness + 0.5, 0, 1)
    return np.asarray(step * step * (3 - 2 * step))


def _line(distance: _Array, width: float) -> _Array:
    """Return 1 where the distance is 0, falling off as a Gaussian."""
    return np.asarray(np.exp(-((distance / width) ** 2)))


def _head_mask(canvas: _Canvas) -> _Array:
    """Return [height, width]: 1 inside the head, 0 outside."""
    x, y = canvas.x, canvas.y
    half_width = np.sqrt(np.maximum(1 - (np.abs(y) / 1.40) ** 2.4, 0)) * (1 - 0.07 * np.maximum(y, 0))
    return _edge(half_width - np.abs(x), 3 * canvas.pixel) * (np.abs(y) < 1.40)


def _hairline(x: _Array) -> _Array:
    """Return the height below which the forehead is free of hair."""
    parting = 0.10 * x + 0.012 * np.sin(31 * x) + 0.008 * np.sin(57 * x + 1)
    return -0.98 + parting + 0.85 * np.abs(x) ** 4


def _slopes(x: _Array, y: _Array, bumps: tuple[_Bump, ...]) -> _Array:
    """Return [2, height, width]: the slopes in x and in y of a sum of bumps."""
    slopes = np.zeros((2, y.shape[0], x.shape[1]), np.float32)
    for height, centre_x, centre_y, width_x, width_y in bumps:
        for side in (-1, 1) if centre_x else (1,):
            across, down = (x - side * centre_x) / width_x, (y - centre_y) / width_y
            hill = height * np.exp(-0.5 * (across**2 + down**2))
            slopes -= hill * across / width_x, hill * down / width_y
    return slopes


def _dome_slopes(x: _Array, y: _Array) -> _Array:
    """Return [2, height, width]: the slopes of a head without features, steep towards its outline."""
    depth = np.sqrt(np.maximum(1 - (x / 1.06) ** 2 - (np.abs(y) / 1.6) ** 2.4, 0.12))
    return np.stack([-0.62 * x / depth, -0.30 * y / depth])


def _skin_tint(face: _Canvas) -> _Array:
    """Return [height, width, 3]: the colour of the skin under white light, with blush, eye shadow and nostrils."""
    tint = _Canvas(np.zeros_like(face.pixels) + _SKIN, face.x, face.y, face.pixel)
    for side in (-1, 1):
        x, y = face.x - 0.58 * side, face.y
        tint.tint(0.22 * _line(x, 0.24) * _line(y - 0.45, 0.2), (224, 128, 112))
        tint.tint(0.22 * _line(x + 0.16 * side, 0.22) * _line(y - 0.12, 0.1), (150, 96, 84))
        nostril = np.hypot((x + 0.495 * side) / 0.05, (y - 0.565) / 0.028)
        tint.tint(0.75 * _line(nostril**2, 1.0), (70, 34, 28))
    return tint.pixels
