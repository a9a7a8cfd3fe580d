"""What the world does to a face crop in a composed recording: distance, light, noise, something in front of it.

No torch: composed recordings and evaluation share it. Training draws its own in batches, `training/face_augmentation`.
"""

import numpy as np

from emotrace.images import resize
from emotrace.types import Image

Rng = np.random.Generator


def disturb(crop: Image, rng: Rng, *, strength: float) -> Image:
    """Return a version of a grey crop [size, size] as a worse camera, place or moment would give it.

    Args:
        crop: 0..255.
        rng: decides everything that is drawn.
        strength: 0 leaves the crop nearly as it is, 1 is hard for people too.
    """
    size = crop.shape[0]
    out = _shifted(crop, round(size * 0.12 * strength), rng)
    smallest = round(size * (1 - 0.75 * strength * rng.random()))
    out = resize(resize(out, smallest, smallest), size, size)
    light = out.astype(np.float32) / 255
    light = light ** np.exp(rng.uniform(-0.7, 0.7) * strength)
    light = (light - 0.5) * (1 - 0.6 * strength * rng.random()) + 0.5
    light += rng.standard_normal(light.shape).astype(np.float32) * (0.12 * strength * rng.random())
    if rng.random() < 0.5 * strength:
        light = _covered(light, rng)
    return (light.clip(0, 1) * 255).astype(np.uint8)


def _shifted(crop: Image, reach: int, rng: Rng) -> Image:
    if reach == 0:
        return crop
    padded = np.pad(crop, reach, mode="edge")
    top, left = rng.integers(0, 2 * reach + 1, size=2)
    size = crop.shape[0]
    return padded[top : top + size, left : left + size]


def _covered(light: np.ndarray, rng: Rng) -> np.ndarray:
    size = light.shape[0]
    height, width = rng.integers(size // 6, size // 2, size=2)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    out = light.copy()
    out[top : top + height, left : left + width] = rng.random()
    return out
