"""VGG19: face crops -> values. One of the face networks that the paper compares its own with (figures 4 and 5).

Source: K. Simonyan and A. Zisserman, ICLR 2015, table 1, column E. Ours: crops are standardised one by one as for the
paper's own network; the last map is averaged to 7x7, which changes nothing for 224x224 pixels; weights start as in
`classic.draw_weights`, where the authors began with the weights of a shallower network.

Axes: B crops, C colours, H and W pixels.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, fully_connected, scaled
from emotrace.encoders.face_cnn import standardise

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of 3x3 convolutions of each stage; every stage ends in a 2x2 max pooling."""
_GRID = 7


@dataclass(frozen=True, kw_only=True)
class Vgg19Config:
    """Sizes of a `Vgg19`."""

    in_channels: int = 1
    """Colours of a crop: 1 for grey, 3 for RGB."""
    width: float = 1.0
    """Factor of all channels and of the fully connected layers, rounded as in `classic.scaled`."""
    num_outputs: int = 1
    dropout: float = 0.5


class Vgg19(nn.Module):
    """Face crops -> values, by linear regression."""

    def __init__(self, config: Vgg19Config) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs = config.in_channels
        for stage, depth in _STAGES:
            channels = scaled(stage, config.width)
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(_GRID), nn.Flatten())
        self.head = fully_connected(inputs * _GRID**2, config.width, config.dropout, config.num_outputs)
        draw_weights(self)

    def forward(self, crops: Tensor) -> Tensor:
        """Return values [B, num_outputs] of crops [B, C, H, W] in 0..1; H and W are 32 or more."""
        values: Tensor = self.head(self.body(standardise(crops)))
        return values
