"""Frames in order of time, some of them valid -> fewer frames, or one vector of statistics.

Axes: B clips, A segments, F frames of a segment, T frames or groups of frames, M width of a frame.
"""

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-6
"""The root's slope at zero has no end."""


def grouped(sound: Tensor, valid: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Average the valid frames of groups of consecutive ones.

    Args:
        sound: [B, A, F, M], zero where not valid.
        valid: [B, A, F] bool.
        size: frames of a group, which divides F.

    Returns:
        [B, T, M] and bool [B, T], T = A F / size; zero where no frame of a group is valid.
    """
    batch, segments, frames, width = sound.shape
    total = sound.reshape(batch, segments * frames // size, size, width).sum(dim=2)
    count = valid.reshape(batch, segments * frames // size, size).sum(dim=2)
    return total / count.clamp(min=1)[..., None], count > 0


def statistics(items: Tensor, known: Tensor) -> Tensor:
    """Return [B, 2 M]: mean and standard deviation over those known of items [B, T, M]; zero where none is.

    Args:
        items: finite everywhere.
        known: [B, T] bool.
    """
    weight = known[..., None].to(items)
    count = weight.sum(dim=1).clamp(min=1)
    mean = (items * weight).sum(dim=1) / count
    variance = ((items - mean[:, None]).square() * weight).sum(dim=1) / count
    deviation = (variance + _LEAST_VARIANCE).sqrt() * known.any(dim=1, keepdim=True)
    return torch.cat([mean, deviation], dim=-1)
