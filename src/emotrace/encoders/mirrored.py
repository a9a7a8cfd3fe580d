"""A face encoder and its mirror image -> their mean: the two answers steady each other."""

import math

from torch import Tensor, nn


class Mirrored(nn.Module):
    """Runs a face encoder on crops and on mirrored crops, and averages region by region.

    Axes: B crops, H and W pixels, K regions in rows of a square grid, D channels, E emotions.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Encode crops [B, 1, H, W] into regions [B, K, D] and logits [B, E]."""
        regions, logits = self.network(crops)
        mirrored_regions, mirrored_logits = self.network(crops.flip(-1))
        side = math.isqrt(regions.shape[1])
        turned = mirrored_regions.unflatten(1, (side, side)).flip(2).flatten(1, 2)
        return (regions + turned) / 2, (logits + mirrored_logits) / 2
