"""ResNet-50: face crops -> embeddings, for end-to-end systems that learn their face features.

Source: K. He, X. Zhang, S. Ren and J. Sun, CVPR 2016, table 1, with the stride in the first 1x1 convolution of a block
as published. Ours: crops are standardised one by one.

Axes: B crops, C colours, H and W pixels, D embedding.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled
from emotrace.encoders.face_cnn import standardise

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and number of blocks of each stage; every stage but the first halves the map."""
_EXPANSION = 4
"""A block gives this many times its inner channels."""


@dataclass(frozen=True, kw_only=True)
class ResNet50Config:
    """Sizes of a `ResNet50`."""

    in_channels: int = 1
    """Colours of a crop: 1 for grey, 3 for RGB."""
    width: float = 1.0
    """Factor of all channels, the inner ones of a block rounded as in `classic.scaled`."""


class ResNet50(nn.Module):
    """Face crops -> embeddings.

    Attributes:
        embedding_dim: D, 2048 at width 1.
    """

    def __init__(self, config: ResNet50Config) -> None:
        super().__init__()
        self.config = config
        inputs = scaled(64, config.width)
        layers: list[nn.Module] = [
            *_convolution(config.in_channels, inputs, 7, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for stage, (channels, depth) in enumerate(_STAGES):
            inner = scaled(channels, config.width)
            for block in range(depth):
                layers.append(_Bottleneck(inputs, inner, stride=2 if stage > 0 and block == 0 else 1))
                inputs = _EXPANSION * inner
        self.body = nn.Sequential(*layers)
        self.embedding_dim = inputs
        draw_weights(self)

    def forward(self, crops: Tensor) -> Tensor:
        """Encode crops [B, C, H, W] in 0..1 into embeddings [B, D], the mean over the last map."""
        maps: Tensor = self.body(standardise(crops))
        return maps.mean(dim=(2, 3))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around which the input is led (figure 5, right)."""

    def __init__(self, inputs: int, inner: int, *, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * inner
        self.path = nn.Sequential(
            *(*_convolution(inputs, inner, 1, stride=stride), nn.ReLU(inplace=True)),
            *(*_convolution(inner, inner, 3), nn.ReLU(inplace=True)),
            *_convolution(inner, outputs, 1),
        )
        fits = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if fits else nn.Sequential(*_convolution(inputs, outputs, 1, stride=stride))

    def forward(self, maps: Tensor) -> Tensor:
        total: Tensor = self.path(maps) + self.shortcut(maps)
        return total.relu()


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs)
