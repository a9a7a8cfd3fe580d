"""The paper's face encoder: three convolutions and two fully connected layers realised as convolutions.

Paper: Liu & Tang 2021 (see `models/bimodal_attention.py`), section 4.2, eqs. 10-26. The defaults read it
literally; where it contradicts itself or is silent, the field's docstring says what was chosen. Its own count
of weights saved by the convolutions does not hold: see `fc_mode`.

Axes: B crops, C colours, H and W pixels, K regions, D channels of a region, E emotions.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.encoders.face_cnn import standardise


@dataclass(frozen=True, kw_only=True)
class ImprovedAlexNetConfig:
    """Sizes and readings of the paper for an `ImprovedAlexNet`."""

    in_channels: int = 3
    """Colours of a crop: 1 for grey, 3 for RGB."""
    channels: tuple[int, int, int] = (96, 256, 512)
    """Depths of the convolutions. The paper names the first only; 512 is the depth of its regions."""
    first_stride: Literal[1, 2] = 1
    """The paper says 2 and computes with 1 (eq. 10)."""
    order: Literal["relu-pool-norm", "norm-relu-pool"] = "relu-pool-norm"
    """What follows a convolution. The paper puts batch normalisation behind the pooling."""
    region_pooling: int = 2
    """Side of the square of cells averaged to one region: 2 gives the paper's 14x14 for a 224x224 crop."""
    fc_mode: Literal["conv", "shared"] = "shared"
    """How the first fully connected layer is a convolution: "conv" is a linear layer with all its weights
    (the paper's 7x7x512x4096); "shared" has one kernel for all input channels (the paper's 7x7x4096)."""
    fc_grid: int = 7
    """Side of the map that the first fully connected layer sees, by average pooling; the paper's F."""
    fc_dim: int = 4096
    """Width of both fully connected layers."""
    dropout: float = 0.5
    num_emotions: int = 8
    head: Literal["emotions", "arousal-valence", "one-dimension"] = "emotions"
    """What is predicted: logits of the softmax (eq. 24), or arousal and valence, or one of them, by linear
    regression."""


class ImprovedAlexNet(nn.Module):
    """Face crops -> a grid of face regions, and emotion logits or arousal and valence."""

    def __init__(self, config: ImprovedAlexNetConfig) -> None:
        super().__init__()
        self.config = config
        depths = (config.in_channels, *config.channels)
        strides = (config.first_stride, 1, 1)
        self.body = nn.Sequential(
            *(
                _stage(depth_in, depth_out, stride, config.order)
                for depth_in, depth_out, stride in zip(depths[:-1], depths[1:], strides, strict=True)
            )
        )
        first = {"conv": nn.Conv2d, "shared": SharedConv2d}[config.fc_mode]
        self.fc1 = first(config.channels[-1], config.fc_dim, config.fc_grid)
        # A shared kernel on a 1x1 map would leave one number for the whole face: so never shared.
        self.fc2 = nn.Conv2d(config.fc_dim, config.fc_dim, 1)
        self.dropout = nn.Dropout(config.dropout)
        outputs = {"emotions": config.num_emotions, "arousal-valence": 2, "one-dimension": 1}[config.head]
        self.head = nn.Linear(config.fc_dim, outputs)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Encode crops [B, C, H, W] in 0..1 into regions [B, K, D] and logits [B, E] (regression: [B, 2 or 1])."""
        grid = self.body(standardise(crops))
        regions = functional.avg_pool2d(grid, self.config.region_pooling).flatten(2).transpose(1, 2)

        pooled = functional.adaptive_avg_pool2d(grid, self.config.fc_grid)
        hidden = self.dropout(self.fc1(pooled).relu())
        hidden = self.dropout(self.fc2(hidden).relu())
        return regions, self.head(hidden.flatten(1))


class SharedConv2d(nn.Module):
    """A convolution whose spatial kernel is the same for all input channels: a map of their sum.

    y_k = b_k + sum_ij w_k[i, j] sum_c x_c[i, j], with F * F * K weights and K biases for any number of C.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, out_channels, kernel_size)
        with torch.no_grad():  # the spread of an ordinary convolution, though each weight serves all channels
            self.convolution.weight /= in_channels**0.5

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps [B, C, H, W] into [B, K, H - F + 1, W - F + 1]."""
        result: Tensor = self.convolution(maps.sum(dim=1, keepdim=True))
        return result


def _stage(in_channels: int, out_channels: int, stride: int, order: str) -> nn.Sequential:
    """Return a 3x3 convolution (eqs. 10-12), ReLU, 2x2 max pooling (13-15), batch normalisation (16-21)."""
    # Normalisation right behind the convolution removes its bias.
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=order == "relu-pool-norm")
    norm = nn.BatchNorm2d(out_channels)
    if order == "relu-pool-norm":
        return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), norm)
    return nn.Sequential(convolution, norm, nn.ReLU(), nn.MaxPool2d(2))
