"""InceptionV3: face crops -> values. One of the face networks that the paper compares its own with (figures 4 and 5).

Source: C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, CVPR 2016, table 1 and figures 5 to 7 and 10, with
the channels of the authors' released graph, which the paper leaves out; without the auxiliary classifier. Ours: crops
are standardised one by one as for the paper's own network.

Axes: B crops, C colours, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled
from emotrace.encoders.face_cnn import standardise
from emotrace.errors import SettingsError

SMALLEST_SIDE = 75
"""Pixels of the smallest crop that leaves one cell of the last map."""

_Step = tuple[int, int | tuple[int, int]]
"""Channels at width 1 and kernel (a side, or height and width) of a convolution."""


@dataclass(frozen=True, kw_only=True)
class InceptionV3Config:
    """Sizes of an `InceptionV3`."""

    in_channels: int = 1
    """Colours of a crop: 1 for grey, 3 for RGB."""
    width: float = 1.0
    """Factor of all channels, each rounded as in `classic.scaled`."""
    num_outputs: int = 1
    dropout: float = 0.5


class InceptionV3(nn.Module):
    """Face crops -> values, by linear regression."""

    def __init__(self, config: InceptionV3Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        blocks: list[nn.Module] = [_stem(config.in_channels, width)]
        channels = scaled(192, width)

        def add(block: "_SideBySide") -> None:
            nonlocal channels
            blocks.append(block)
            channels = block.channels

        for pooled in (32, 64, 64):
            paths: list[list[_Step]] = [[(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)]]
            add(_mixing(channels, width, paths, pooled))
        add(_halving(channels, width, [[(384, 3)], [(64, 1), (96, 3), (96, 3)]]))
        for inner in (128, 160, 160, 192):
            add(_mixing(channels, width, _paths_of_seven(inner), 192))
        add(_halving(channels, width, [[(192, 1), (320, 3)], [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)]]))
        add(_forking(channels, width))
        add(_forking(channels, width))
        self.body = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(channels, config.num_outputs)
        draw_weights(self)

    def forward(self, crops: Tensor) -> Tensor:
        """Return values [B, num_outputs] of crops [B, C, H, W] in 0..1.

        Raises:
            SettingsError: H or W is below `SMALLEST_SIDE`.
        """
        height, width = crops.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise SettingsError(
                f"InceptionV3 got crops of {height}x{width} pixels, expected {SMALLEST_SIDE}x{SMALLEST_SIDE} at least: "
                "resize them."
            )
        maps = self.body(standardise(crops))
        values: Tensor = self.head(self.dropout(maps.mean(dim=(2, 3))))
        return values


class _SideBySide(nn.Module):
    """Several paths through the same maps, their results stacked along the channels."""

    def __init__(self, paths: Sequence[nn.Module], channels: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.channels = channels

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([path(maps) for path in self.paths], dim=1)


def _stem(inputs: int, width: float) -> nn.Sequential:
    first, second, third, fourth, fifth = (scaled(channels, width) for channels in (32, 32, 64, 80, 192))
    return nn.Sequential(
        _convolution(inputs, first, 3, stride=2, padded=False),
        _convolution(first, second, 3, padded=False),
        _convolution(second, third, 3),
        nn.MaxPool2d(3, stride=2),
        _convolution(third, fourth, 1),
        _convolution(fourth, fifth, 3, padded=False),
        nn.MaxPool2d(3, stride=2),
    )


def _mixing(inputs: int, width: float, paths: Sequence[Sequence[_Step]], pooled: int) -> _SideBySide:
    """Return a block that keeps the size of the map (figures 5 and 6), with one more path that averages."""
    modules = [_path(inputs, width, steps) for steps in paths]
    channels = [scaled(steps[-1][0], width) for steps in paths]
    return _SideBySide([*modules, _averaging(inputs, scaled(pooled, width))], sum(channels) + scaled(pooled, width))


def _halving(inputs: int, width: float, paths: Sequence[Sequence[_Step]]) -> _SideBySide:
    """Return a block that halves the map (figure 10): the last convolution of a path, and a pooling, have stride 2."""
    modules = [_path(inputs, width, steps, halves=True) for steps in paths]
    channels = [scaled(steps[-1][0], width) for steps in paths]
    return _SideBySide([*modules, nn.MaxPool2d(3, stride=2)], sum(channels) + inputs)


def _forking(inputs: int, width: float) -> _SideBySide:
    """Return a block of the last and smallest maps (figure 7): two of its paths end side by side as 1x3 and 3x1."""
    side, pooled = scaled(384, width), scaled(192, width)

    def fork(steps: Sequence[_Step]) -> nn.Sequential:
        ends = [_convolution(side, side, (1, 3)), _convolution(side, side, (3, 1))]
        return nn.Sequential(_path(inputs, width, steps), _SideBySide(ends, 2 * side))

    paths = [_path(inputs, width, [(320, 1)]), fork([(384, 1)]), fork([(448, 1), (384, 3)])]
    return _SideBySide([*paths, _averaging(inputs, pooled)], scaled(320, width) + 4 * side + pooled)


def _paths_of_seven(inner: int) -> list[list[_Step]]:
    """Return the paths of figure 6, whose 7x7 kernels are taken apart into 1x7 and 7x1."""
    twice: list[_Step] = [(inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))]
    return [[(192, 1)], [(inner, 1), (inner, (1, 7)), (192, (7, 1))], twice]


def _path(inputs: int, width: float, steps: Sequence[_Step], *, halves: bool = False) -> nn.Sequential:
    layers = []
    for number, (channels, kernel) in enumerate(steps):
        strided = halves and number == len(steps) - 1
        outputs = scaled(channels, width)
        layers.append(_convolution(inputs, outputs, kernel, stride=2 if strided else 1, padded=not strided))
        inputs = outputs
    return nn.Sequential(*layers)


def _averaging(inputs: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _convolution(inputs, channels, 1))


def _convolution(
    inputs: int, channels: int, kernel: int | tuple[int, int], *, stride: int = 1, padded: bool = True
) -> nn.Sequential:
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, width // 2) if padded else (0, 0)
    return nn.Sequential(
        nn.Conv2d(inputs, channels, (height, width), stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(channels, eps=1e-3),
        nn.ReLU(inplace=True),
    )
