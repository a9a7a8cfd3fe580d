"""Residual networks over space and time: short clips of pictures -> maps and embeddings.

Source: K. Hara, H. Kataoka and Y. Satoh, "Can spatiotemporal 3D CNNs retrace the history of 2D CNNs and ImageNet?",
CVPR 2018. Stem, pooling, strides and the scaling of the pictures were read in the code of S. Zhao et al. (VAANet), AAAI
2020, which uses the network of 101 layers; that the stride of a block of three convolutions stands in the second one is
remembered. Where shapes differ the shortcut is a 1x1x1 convolution at every depth (type B). Without their starting
weights, learnt on Kinetics: weights are drawn by He et al.

Axes: N clips, C colours, P pictures of a clip, H and W pixels.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled

Depth = Literal[18, 50, 101]
"""Layers with weights, the published classifier among them."""

_CHANNELS = (64, 128, 256, 512)
"""Inner channels of each stage; every stage but the first halves the map in all three directions."""
_BLOCKS: dict[Depth, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_EXPANSION = 4
"""A block of three convolutions gives this many times its inner channels."""
_MEAN = 100 / 255
"""What is taken from every value: about the mean brightness of Kinetics."""


@dataclass(frozen=True, kw_only=True)
class ResNet3dConfig:
    """Sizes of a `ResNet3d`."""

    depth: Depth
    in_channels: int = 1
    """Colours of a picture: 1 for grey, 3 for RGB."""
    width: float = 1.0
    """Factor of all channels, the inner ones of a block rounded as in `classic.scaled`."""


class ResNet3d(nn.Module):
    """Clips -> maps or embeddings.

    Attributes:
        channels: of a map and of an embedding; at width 1 512 for 18 layers, 2048 for more.
    """

    def __init__(self, config: ResNet3dConfig) -> None:
        super().__init__()
        self.config = config
        inputs = scaled(64, config.width)
        layers: list[nn.Module] = [
            nn.Conv3d(config.in_channels, inputs, 7, stride=(1, 2, 2), padding=3, bias=False),
            *(nn.BatchNorm3d(inputs), nn.ReLU(inplace=True)),
            nn.MaxPool3d(3, stride=2, padding=1),
        ]
        for stage, (channels, depth) in enumerate(zip(_CHANNELS, _BLOCKS[config.depth], strict=True)):
            inner = scaled(channels, config.width)
            outputs = inner if config.depth == 18 else _EXPANSION * inner
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                path = _two if config.depth == 18 else _three
                layers.append(_Block(path(inputs, inner, stride), inputs, outputs, stride))
                inputs = outputs
        self.body = nn.Sequential(*layers)
        self.channels = inputs
        draw_weights(self)

    def maps(self, clips: Tensor) -> Tensor:
        """Return the last maps [N, channels, P', H', W'] of clips [N, C, P, H, W] in 0..1.

        P' is P / 16, H' and W' are H / 32 and W / 32, rounded up: one picture and 32 pixels are enough.
        """
        maps: Tensor = self.body(clips - _MEAN)
        return maps

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips [N, C, P, H, W] in 0..1 into embeddings [N, channels], the mean over the last map."""
        return self.maps(clips).mean(dim=(2, 3, 4))


class _Block(nn.Module):
    """Convolutions around which the input is led."""

    def __init__(self, path: nn.Sequential, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = path
        fits = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if fits else nn.Sequential(*_convolution(inputs, outputs, 1, stride=stride))

    def forward(self, maps: Tensor) -> Tensor:
        total: Tensor = self.path(maps) + self.shortcut(maps)
        return total.relu()


def _two(inputs: int, inner: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *(*_convolution(inputs, inner, 3, stride=stride), nn.ReLU(inplace=True)),
        *_convolution(inner, inner, 3),
    )


def _three(inputs: int, inner: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *(*_convolution(inputs, inner, 1), nn.ReLU(inplace=True)),
        *(*_convolution(inner, inner, 3, stride=stride), nn.ReLU(inplace=True)),
        *_convolution(inner, _EXPANSION * inner, 1),
    )


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> tuple[nn.Conv3d, nn.BatchNorm3d]:
    convolution = nn.Conv3d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm3d(outputs)
