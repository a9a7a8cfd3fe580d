"""Residual networks of 18, 50 and 101 layers: pictures or spectra -> maps and embeddings.

Source: K. He, X. Zhang, S. Ren and J. Sun, CVPR 2016, table 1, with the stride in the first convolution of a block and,
where shapes differ, a 1x1 convolution as the shortcut (option B). The stem "7x1" is that of the sound network of
S. Zhao et al. (VAANet), AAAI 2020, as read in the authors' code: it looks along time only. Values come in as the caller
scales them: nothing is standardised here.

Axes: B items, C colours or 1, H and W pixels or frames and bands, E embedding.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled

Depth = Literal[18, 50, 101]
"""Layers with weights, the published classifier among them."""

_CHANNELS = (64, 128, 256, 512)
"""Inner channels of each stage; every stage but the first halves the map."""
_BLOCKS: dict[Depth, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_EXPANSION = 4
"""A block of three convolutions gives this many times its inner channels."""


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """Sizes of a `ResidualNetwork`."""

    depth: Depth
    in_channels: int = 1
    width: float = 1.0
    """Factor of all channels, the inner ones of a block rounded as in `classic.scaled`."""
    stem: Literal["7x7", "7x1"] = "7x7"
    """Kernel of the first convolution; it halves H, and W if it is square."""


class ResidualNetwork(nn.Module):
    """Pictures or spectra -> maps or embeddings.

    Attributes:
        embedding_dim: E, at width 1 512 for 18 layers, 2048 for more.
    """

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.config = config
        inputs = scaled(64, config.width)
        layers: list[nn.Module] = [
            *_stem(config.stem, config.in_channels, inputs),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
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
        self.embedding_dim = inputs
        draw_weights(self)

    def maps(self, items: Tensor) -> Tensor:
        """Return the last maps [B, E, H', W'] of items [B, C, H, W].

        H' and W' are H / 32 and W / 32, behind the stem "7x1" W / 16, rounded up.
        """
        maps: Tensor = self.body(items)
        return maps

    def forward(self, items: Tensor) -> Tensor:
        """Encode items [B, C, H, W] into embeddings [B, E], the mean over the last map."""
        return self.maps(items).mean(dim=(2, 3))


class _Block(nn.Module):
    """Convolutions around which the input is led (figure 5)."""

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
        *(*_convolution(inputs, inner, 1, stride=stride), nn.ReLU(inplace=True)),
        *(*_convolution(inner, inner, 3), nn.ReLU(inplace=True)),
        *_convolution(inner, _EXPANSION * inner, 1),
    )


def _stem(stem: Literal["7x7", "7x1"], inputs: int, outputs: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    if stem == "7x7":
        return _convolution(inputs, outputs, 7, stride=2)
    convolution = nn.Conv2d(inputs, outputs, (7, 1), stride=(2, 1), padding=(3, 0), bias=False)
    return convolution, nn.BatchNorm2d(outputs)


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs)
