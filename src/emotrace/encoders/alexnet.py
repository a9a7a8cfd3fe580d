"""AlexNet: face crops -> values. One of the face networks that the paper compares its own with (figures 4 and 5).

Source: A. Krizhevsky, I. Sutskever and G. Hinton, NIPS 2012, in the variant with one tower and without response
normalisation of A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997
(64 to 256 channels, first convolution padded by 2): 61.1 M weights, the count that is usually quoted for AlexNet. Ours:
crops are standardised one by one as for the paper's own network; the last map is averaged to 6x6 and pooling keeps a
last, incomplete window, which changes nothing for 224x224 pixels and admits smaller crops.

Axes: B crops, C colours, H and W pixels.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, fully_connected, scaled
from emotrace.encoders.face_cnn import standardise

_GRID = 6


@dataclass(frozen=True, kw_only=True)
class AlexNetConfig:
    """Sizes of an `AlexNet`."""

    in_channels: int = 1
    """Colours of a crop: 1 for grey, 3 for RGB."""
    width: float = 1.0
    """Factor of all channels and of the fully connected layers, rounded as in `classic.scaled`."""
    num_outputs: int = 1
    dropout: float = 0.5


class AlexNet(nn.Module):
    """Face crops -> values, by linear regression."""

    def __init__(self, config: AlexNetConfig) -> None:
        super().__init__()
        self.config = config
        one, two, three, four, five = (scaled(channels, config.width) for channels in (64, 192, 384, 256, 256))
        self.body = nn.Sequential(
            *(nn.Conv2d(config.in_channels, one, 11, stride=4, padding=2), nn.ReLU(inplace=True), _pooling()),
            *(nn.Conv2d(one, two, 5, padding=2), nn.ReLU(inplace=True), _pooling()),
            *(nn.Conv2d(two, three, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(three, four, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(four, five, 3, padding=1), nn.ReLU(inplace=True), _pooling()),
            *(nn.AdaptiveAvgPool2d(_GRID), nn.Flatten()),
        )
        self.head = fully_connected(five * _GRID**2, config.width, config.dropout, config.num_outputs)
        draw_weights(self)

    def forward(self, crops: Tensor) -> Tensor:
        """Return values [B, num_outputs] of crops [B, C, H, W] in 0..1; H and W are 48 or more."""
        values: Tensor = self.head(self.body(standardise(crops)))
        return values


def _pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
