"""IR-50, the improved residual network of face recognition: face crops -> embeddings of length one.

Source: the sizes of the face network of S. Zhang, Y. Ding, Z. Wei and C. Guan, ICCV workshops 2021, arXiv 2107.01175,
which were read in the authors' code; the design is that of J. Deng et al. (ArcFace), CVPR 2019. Without their starting
weights, which are not to be had: weights are drawn by He et al. Ours also: in training a single crop is normalised
with the running statistics at the end, as one value has no spread, so that its embedding keeps the length of the others
and a last, incomplete batch does no harm.

Axes: B crops, C colours, H and W pixels, E embedding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.encoders.classic import draw_weights, scaled
from emotrace.errors import SettingsError

SMALLEST_SIDE = 16
"""Pixels of the smallest crop that is taken; the choice is ours."""

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 14, 2), (512, 3, 2))
"""Channels, number of units and stride of the first unit of each stage."""
_SMALLEST_EMBEDDING = 32


@dataclass(frozen=True, kw_only=True)
class Ir50Config:
    """Sizes of an `Ir50`."""

    in_channels: int = 1
    """Colours of a crop: 1 for grey, 3 for RGB."""
    side: int = 40
    """H and W, `SMALLEST_SIDE` or more; the linear layer sees all cells of the last map."""
    width: float = 1.0
    """Factor of all channels and of the embedding, rounded as in `classic.scaled`."""
    embedding_dim: int = 512
    """E at width 1; a narrower network keeps 32 at least."""
    dropout: float = 0.4


class Ir50(nn.Module):
    """Face crops -> embeddings.

    Attributes:
        embedding_dim: E, 512 at width 1.

    Raises:
        SettingsError: the side or the width is too small.
    """

    def __init__(self, config: Ir50Config) -> None:
        super().__init__()
        if config.side < SMALLEST_SIDE:
            raise SettingsError(
                f"side = {config.side}, expected crops of {SMALLEST_SIDE} pixels at least: resize them."
            )
        self.config = config
        self.embedding_dim = max(_SMALLEST_EMBEDDING, scaled(config.embedding_dim, config.width))
        inputs, side = scaled(64, config.width), config.side
        self.stem = nn.Sequential(_convolution(config.in_channels, inputs), nn.BatchNorm2d(inputs), nn.PReLU(inputs))
        self.stages = nn.ModuleList()
        for channels, depth, stride in _STAGES:
            outputs = scaled(channels, config.width)
            units = [
                _Unit(inputs if unit == 0 else outputs, outputs, stride if unit == 0 else 1) for unit in range(depth)
            ]
            self.stages.append(nn.Sequential(*units))
            inputs, side = outputs, (side - 1) // stride + 1
        self.flatten = nn.Sequential(nn.BatchNorm2d(inputs), nn.Dropout(config.dropout), nn.Flatten())
        self.embed = nn.Linear(inputs * side * side, self.embedding_dim)
        self.norm = nn.BatchNorm1d(self.embedding_dim)
        draw_weights(self)

    def forward(self, crops: Tensor) -> Tensor:
        """Encode crops [B, C, H, W] in 0..1 into embeddings [B, E] of length one.

        Raises:
            SettingsError: H or W is not the side of the configuration.
        """
        height, width, side = *crops.shape[-2:], self.config.side
        # A graph for export has no branch.
        if not torch.onnx.is_in_onnx_export() and (height != side or width != side):
            raise SettingsError(f"IR-50 got crops of {height}x{width} pixels, expected {side}x{side}: resize them.")
        maps = self.stem((crops - 0.5) / 0.5)
        for stage in self.stages:
            maps = stage(maps)
        return functional.normalize(self._normalised(self.embed(self.flatten(maps))))

    def release_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters in the order in which training sets them free.

        The output layer, the last stage, the last three units of the stage before it; the rest stays frozen.
        """
        output = [*self.flatten.parameters(), *self.embed.parameters(), *self.norm.parameters()]
        third, fourth = self.stages[-2], self.stages[-1]
        last_units = [parameter for unit in list(third.children())[-3:] for parameter in unit.parameters()]
        return [output, list(fourth.parameters()), last_units]

    def _normalised(self, vectors: Tensor) -> Tensor:
        if not self.training or len(vectors) > 1:
            normalised: Tensor = self.norm(vectors)
            return normalised
        norm = self.norm
        return functional.batch_norm(vectors, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class _Unit(nn.Module):
    """Two 3x3 convolutions around which the input is led; the second one has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            *(nn.BatchNorm2d(inputs), _convolution(inputs, outputs), nn.PReLU(outputs)),
            *(_convolution(outputs, outputs, stride=stride), nn.BatchNorm2d(outputs)),
        )
        self.shortcut: nn.Module = nn.MaxPool2d(1, stride=stride)
        if inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        total: Tensor = self.path(maps) + self.shortcut(maps)
        return total


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
