"""What the world does to a face crop, drawn at random: framing, scale, blur, light, occlusion, noise.

Every function takes crops [B, 1, H, W] in 0..1 and a generator, and returns crops of the same shape in 0..1, so that
an epoch repeats exactly for its seed.
"""

import math

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor


def augment(crops: Tensor, generator: Generator) -> Tensor:
    """Apply every disturbance, each with its own chance per crop."""
    crops = _reframe(crops, generator)
    crops = _lower_resolution(crops, generator)
    crops = _relight(crops, generator)
    crops = _add_noise(crops, generator)
    return _occlude(crops, generator).clamp(0, 1)


def nudge(crops: Tensor, generator: Generator) -> Tensor:
    """Apply every disturbance to a random half of the crops, and only a mirror and a small shift to the others.

    For the last epochs: faces that are seen well are the common case, and a network that met only hard ones reads
    them worse than it could.
    """
    hard = _uniform(len(crops), 0, 1, generator).view(-1, 1, 1, 1) < 0.5
    return torch.where(hard, augment(crops, generator), _shift(crops, generator))


def _shift(crops: Tensor, generator: Generator) -> Tensor:
    """Flip, and move by up to 2 pixels with the edge going on."""
    count, size = len(crops), crops.shape[-1]
    mirrored = torch.where(_uniform(count, 0, 1, generator).view(-1, 1, 1, 1) < 0.5, crops.flip(-1), crops)
    padded = functional.pad(mirrored, (2, 2, 2, 2), mode="replicate")
    top, left = (torch.randint(0, 5, (count, 1), generator=generator) for _ in range(2))
    rows = (top + torch.arange(size)).view(count, 1, size, 1).expand(-1, 1, -1, size + 4)
    columns = (left + torch.arange(size)).view(count, 1, 1, size).expand(-1, 1, size, -1)
    return padded.gather(2, rows).gather(3, columns)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _reframe(crops: Tensor, generator: Generator) -> Tensor:
    """Flip, rotate (up to 20 degrees), zoom (0.8 to 1.3), squeeze and shift (up to 12 %)."""
    count = len(crops)
    angle = _uniform(count, -20, 20, generator) * math.pi / 180
    zoom = torch.exp(_uniform(count, math.log(0.8), math.log(1.3), generator))
    squeeze = torch.exp(_uniform(count, -0.1, 0.1, generator))
    flip = torch.where(_uniform(count, 0, 1, generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([flip * cos / zoom * squeeze, -sin / zoom, _uniform(count, -0.24, 0.24, generator)], 1),
        torch.stack([flip * sin / zoom, cos / zoom / squeeze, _uniform(count, -0.24, 0.24, generator)], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(crops.shape), align_corners=False)
    return functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def _lower_resolution(crops: Tensor, generator: Generator) -> Tensor:
    """Shrink a third of the batch to 14..40 pixels and back: faces far from the camera, blur, strong codecs."""
    crops = crops.clone()
    size = crops.shape[-1]
    for part in torch.randperm(len(crops), generator=generator)[: len(crops) // 3].chunk(4):
        if len(part) == 0:
            continue
        small = int(torch.randint(14, 41, (1,), generator=generator))
        shrunk = functional.interpolate(crops[part], size=(small, small), mode="area")
        crops[part] = functional.interpolate(shrunk, size=(size, size), mode="bilinear", align_corners=False)
    return crops


def _relight(crops: Tensor, generator: Generator) -> Tensor:
    """Change gamma and contrast, and let light fall in from one side."""
    count, size = len(crops), crops.shape[-1]
    shape = (count, 1, 1, 1)
    gamma = torch.exp(_uniform(count, -0.6, 0.6, generator)).view(shape)
    contrast = _uniform(count, 0.5, 1.3, generator).view(shape)
    direction = _uniform(count, 0, 2 * math.pi, generator)
    strength = _uniform(count, 0, 0.35, generator)
    axis = torch.linspace(-1, 1, size)
    horizontal = (strength * torch.cos(direction)).view(shape) * axis.view(1, 1, 1, size)
    vertical = (strength * torch.sin(direction)).view(shape) * axis.view(1, 1, size, 1)
    bent = crops.clamp(1e-4, 1).pow(gamma)
    centre = bent.mean(dim=(2, 3), keepdim=True)
    return ((bent - centre) * contrast + centre) * (1 + horizontal + vertical)


def _add_noise(crops: Tensor, generator: Generator) -> Tensor:
    """Add sensor noise of up to 0.06 to half of the crops."""
    count = len(crops)
    level = _uniform(count, -0.06, 0.06, generator).clamp(min=0).view(count, 1, 1, 1)
    return crops + level * torch.randn(crops.shape, generator=generator)


def _occlude(crops: Tensor, generator: Generator) -> Tensor:
    """Cover a random rectangle of a quarter of the crops with one grey value: hands, microphones, titles."""
    count, size = len(crops), crops.shape[-1]
    rows = torch.arange(size).view(1, 1, size, 1)
    columns = torch.arange(size).view(1, 1, 1, size)
    shape = (count, 1, 1, 1)
    top, left = (_uniform(count, 0, size, generator).view(shape) for _ in range(2))
    height, width = (_uniform(count, 0.1 * size, 0.4 * size, generator).view(shape) for _ in range(2))
    chosen = (_uniform(count, 0, 1, generator) < 0.25).view(shape)
    covered = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width) & chosen
    return torch.where(covered, torch.rand(shape, generator=generator), crops)
