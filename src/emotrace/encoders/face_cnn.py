"""The default bundle's face encoder: a plain convolutional network in the manner of VGG on 48x48 grey crops.

Ours, not a published system. It stands beside the paper's improved AlexNet (`improved_alexnet.py`) because it measures
better on the same data; `docs/results.md` shows both. The style follows the VGG13 of Barsoum et al., ICMI 2016.

Axes: B crops, H and W pixels, K regions, D channels, E emotions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class FaceCnnConfig:
    """Sizes of a `FaceCnn`."""

    stages: Sequence[tuple[int, int]] = ((16, 1), (64, 2), (128, 2), (256, 2))
    """(channels, convolutions) of each stage; every stage but the last ends in a 2x2 max pooling."""
    region_dim: int = 128
    """Channels of each face region after the closing 1x1 convolution."""
    num_emotions: int = 8
    dropout: float = 0.4


class FaceCnn(nn.Module):
    """Grey face crops -> a grid of face regions and emotion logits."""

    def __init__(self, config: FaceCnnConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        in_channels = 1
        for index, (channels, depth) in enumerate(config.stages):
            for _ in range(depth):
                layers += _convolution(in_channels, channels, kernel=3)
                in_channels = channels
            if index < len(config.stages) - 1:
                layers.append(nn.MaxPool2d(2))
        layers += _convolution(in_channels, config.region_dim, kernel=1)
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.region_dim, config.num_emotions)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Encode crops [B, 1, H, W] in 0..1 into regions [B, K, D] and logits [B, E]."""
        grid = self.body(standardise(crops))
        regions = grid.flatten(2).transpose(1, 2)
        return regions, self.head(self.dropout(regions.mean(dim=1)))


def standardise(crops: Tensor) -> Tensor:
    """Give every crop [B, 1, H, W] zero mean and unit variance, so that exposure does not matter."""
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    variance = (crops - mean).square().mean(dim=(1, 2, 3), keepdim=True)
    return (crops - mean) * torch.rsqrt(variance + 1e-4)


def _convolution(in_channels: int, out_channels: int, *, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
