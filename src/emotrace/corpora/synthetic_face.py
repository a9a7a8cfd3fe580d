"""The hidden course of a generated recording and its speech -> the pictures of its person."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from emotrace.corpora.synthetic_story import LABEL_RATE_HZ, PICTURE_RATE_HZ, TICKS_PER_PICTURE, Story
from emotrace.demo_face import EXPRESSIONS, Expression, HeadPainter, mix
from emotrace.images import overlay
from emotrace.labels import CIRCUMPLEX
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray, Image

WIDTH, HEIGHT = 200, 160
_HALF_FACE_PIXELS = (35.0, 42.0)
_PLACES = ((0.40, 0.60), (0.45, 0.50))
"""Of the point between the eyes, from left to right and from top to bottom, as shares of the picture."""
_SKIN_LIGHT = (0.65, 1.08)
_EMOTION_REACH = 0.35
"""How far from its point in the plane of arousal and valence an emotion still shows: deviation of a Gaussian."""
_LOUD = 0.08
"""Root mean square of speech at which the mouth is wide open."""
_POOR_LIGHT = 0.25
_POOR_NOISE = 14.0


def film(story: Story, speech: FloatArray, rng: np.random.Generator) -> Iterator[Image]:
    """Yield the pictures [HEIGHT, WIDTH, 3], `PICTURE_RATE_HZ` a second, the first at time 0.

    Args:
        story: what the face expresses, and where no face is there or the pictures are poor.
        speech: [N] at `SAMPLE_RATE`, moves the mouth.
        rng: of the person's looks and movements and of the camera's noise.
    """
    sitter = _Sitter(rng)
    weights = _weights(story.face[::TICKS_PER_PICTURE])
    opening = 0.0
    for index, reliability in enumerate(story.face_reliability[::TICKS_PER_PICTURE].tolist()):
        if reliability == 0:
            yield sitter.background
            continue
        opening += 0.7 * (_loudness(speech, index) - opening)
        expression = mix(dict(zip(EXPRESSIONS, weights[index].tolist(), strict=True)))
        picture = sitter.portrait(expression, index / PICTURE_RATE_HZ, opening)
        yield picture if reliability == 1 else _poor(picture, rng)


def _weights(moods: FloatArray) -> FloatArray:
    """Return [P, E], rows that sum to 1: how much of each of `EXPRESSIONS` stands for moods [P, 2]."""
    points = np.array([(CIRCUMPLEX[emotion].arousal, CIRCUMPLEX[emotion].valence) for emotion in EXPRESSIONS])
    distances = ((moods[:, None] - points) ** 2).sum(axis=-1)
    closeness = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * _EMOTION_REACH**2))
    return np.asarray(closeness / closeness.sum(axis=1, keepdims=True), dtype=np.float32)


def _loudness(speech: FloatArray, picture: int) -> float:
    """Return 0..1: how loud it is while a picture is shown."""
    samples = SAMPLE_RATE * TICKS_PER_PICTURE // LABEL_RATE_HZ
    heard = speech[picture * samples : (picture + 1) * samples]
    return min(1.0, float(np.sqrt(np.mean(heard**2))) / _LOUD)


def _poor(picture: Image, rng: np.random.Generator) -> Image:
    noise = _POOR_NOISE * rng.standard_normal(picture.shape, np.float32)
    return np.clip(_POOR_LIGHT * picture + noise, 0, 255).astype(np.uint8)


class _Sitter:
    """One person before one wall.

    Attributes:
        background: the wall alone.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._scale = rng.uniform(*_HALF_FACE_PIXELS)
        self._painter = HeadPainter(self._scale)
        shares = [rng.uniform(*place) for place in _PLACES]
        self._centre = np.array(shares) * (WIDTH, HEIGHT)
        light = rng.uniform(*_SKIN_LIGHT) * rng.uniform(0.95, 1.05, 3)
        self._shades = np.clip(np.arange(256)[:, None] * light, 0, 255).astype(np.uint8)
        self._rates, self._phases = rng.uniform(0.5, 1.2, 5), rng.uniform(0, 2 * np.pi, 5)
        top, bottom = rng.uniform(150, 225, 3), rng.uniform(90, 170, 3)
        wall = top + (bottom - top) * np.linspace(0, 1, HEIGHT)[:, None, None]
        self.background = np.broadcast_to(wall, (HEIGHT, WIDTH, 3)).astype(np.uint8, order="C")

    def portrait(self, expression: Expression, seconds: float, opening: float) -> Image:
        """Return the person at a time, the mouth opened by the voice, 0..1."""
        sway = np.sin(self._rates * seconds + self._phases)
        painted = self._painter.paint(_talking(expression, seconds + self._phases[0], opening), gaze=0.02 * sway[0])
        person = np.stack([self._shades[painted[..., band], band] for band in range(3)], axis=-1)
        roll = math.radians(2.5) * sway[1]
        turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
        shift = self._centre + self._scale * np.array([0.10, 0.04]) * sway[2:4] - turn @ np.array(self._painter.origin)
        placement = np.column_stack([turn, shift]).astype(np.float32)
        return overlay(self.background, person, self._painter.alpha, placement)


def _talking(expression: Expression, seconds: float, opening: float) -> Expression:
    """Return the expression with a mouth that speaks, and with a blink every few seconds."""
    shut = math.exp(-(((seconds % 3.9 - 0.3) / 0.08) ** 2))
    return replace(
        expression,
        jaw=min(0.3, expression.jaw + 0.15 * opening),
        mouth_width=expression.mouth_width * (1 - 0.1 * opening),
        upper_lid=expression.upper_lid * (1 - shut),
    )
