"""Drawn heads and shoulders in many colours, in front of any wall, for the tests that tell people apart."""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np

from emotrace.demo_face import EXPRESSIONS, Expression, HeadPainter
from emotrace.types import Face, FloatArray, Image

_DEFAULT_HAIR = np.array([58.0, 40.0, 30.0])
_COLLAR = 1.75
"""Height in face units below which there are clothes."""


@dataclass(frozen=True)
class DrawnPerson:
    """Colours of one person, RGB, 0..1."""

    shirt: tuple[float, float, float]
    hair: tuple[float, float, float]
    skin: tuple[float, float, float]

    @staticmethod
    def of(seed: int) -> "DrawnPerson":
        """Draw the colours by a number."""
        rng = np.random.default_rng(seed)
        shirt = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.2, 0.9))
        hair = colorsys.hsv_to_rgb(rng.uniform(0.03, 0.13), rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.9))
        light = rng.uniform(0.5, 1)
        return DrawnPerson(shirt, hair, (light, light * rng.uniform(0.75, 1), light * rng.uniform(0.6, 1)))


@cache
def _painter(pixels_per_unit: float) -> HeadPainter:
    return HeadPainter(pixels_per_unit)


@cache
def paint_person(person: DrawnPerson, pixels_per_unit: float, expression: Expression) -> tuple[FloatArray, FloatArray]:
    """Return the colours [h, w, 3] 0..255 and the opacity [h, w, 1] of head and shoulders."""
    painter = _painter(pixels_per_unit)
    painted = painter.paint(expression).astype(np.float32)
    down = (np.arange(len(painted)) + 0.5 - painter.origin[1]) / pixels_per_unit
    is_hair = (np.abs(painted - _DEFAULT_HAIR).sum(axis=2) < 60) & (down[:, None] < 1.2)
    is_shirt = np.broadcast_to(down[:, None] > _COLLAR, is_hair.shape)
    colours = painted * np.array(person.skin, np.float32)
    light = painted.mean(axis=2, keepdims=True)
    colours[is_hair] = (light / 45 * np.array(person.hair) * 120)[is_hair]
    colours[is_shirt] = (light / 80 * np.array(person.shirt) * 255)[is_shirt]
    return colours, painter.alpha[..., None].astype(np.float32)


def box_of(origin: tuple[float, float], pixels_per_unit: float) -> Face:
    """Return the box of a head by the pixel between its eyes."""
    side = 2.3 * pixels_per_unit
    return Face(origin[0] - side / 2, origin[1] + 0.2 * pixels_per_unit - side / 2, side, side, 0.9)


@dataclass(frozen=True)
class View:
    """What a camera shows.

    Attributes:
        seated: person, pixel between the eyes, pixels of half a face.
        wall: RGB, 0..255.
        exposure: factor of brightness.
    """

    seated: list[tuple[DrawnPerson, tuple[float, float], float]]
    wall: tuple[float, float, float]
    exposure: float = 1.0


def draw_scene(view: View, rng: np.random.Generator, expression: int = 0) -> tuple[Image, list[Face]]:
    """Return a noisy picture [360, 640, 3], and noisy boxes of the faces in it.

    Args:
        view: who is to be seen.
        rng: noise.
        expression: place in `EXPRESSIONS` of the first person's; the others follow.
    """
    scene = np.zeros((360, 640, 3), np.float32) + np.array(view.wall, np.float32)
    faces = []
    for index, (person, (x, y), scale) in enumerate(view.seated):
        pose = list(EXPRESSIONS.values())[(expression + index) % len(EXPRESSIONS)]
        colours, opacity = paint_person(person, scale, pose)
        origin = _painter(scale).origin
        left, top = round(x - origin[0]), round(y - origin[1])
        missing = ((0, max(0, 360 - top - len(colours))), (0, 0), (0, 0))  # clothes go on to the lower edge
        colours, opacity = np.pad(colours, missing, mode="edge"), np.pad(opacity, missing, mode="edge")
        rows = slice(max(0, top), min(360, top + len(colours)))
        columns = slice(max(0, left), min(640, left + colours.shape[1]))
        inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        scene[rows, columns] += opacity[inner] * (colours[inner] - scene[rows, columns])
        face = box_of((x, y), scale)
        across, down = rng.normal(0, 0.015, 2) * face.width
        faces.append(Face(face.x + across, face.y + down, face.width, face.height, face.confidence))
    noisy = scene * view.exposure + rng.normal(0, 3, scene.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), faces
