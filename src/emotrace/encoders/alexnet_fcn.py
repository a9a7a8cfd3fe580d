"""A fully convolutional AlexNet: spectrograms of any length -> maps.

Source: Y. Zhang, J. Du, Z. Wang, J. Zhang and Y. Tu, "Attention based fully convolutional network for speech emotion
recognition", arXiv 1806.01506. Only the opening of the paper was read; the layers were read in two re-implementations.
They are those of A. Krizhevsky, I. Sutskever and G. Hinton, NIPS 2012, in one tower, without what is fully connected,
without padding in the first convolution, and with the response normalisation before the ReLU, not behind it. The
constants of the normalisation are those of that paper, from memory. Without the weights learnt on ImageNet that help
the authors: weights are drawn by He et al.

Axes: N spectrograms.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from emotrace.encoders.classic import draw_weights, scaled


@dataclass(frozen=True, kw_only=True)
class AlexNetFcnConfig:
    """Sizes of an `AlexNetFcn`."""

    width: float = 1.0
    """Factor of all channels, rounded as in `classic.scaled`."""


class AlexNetFcn(nn.Module):
    """Spectrograms -> maps.

    Attributes:
        channels: of a map, 256 at width 1.
    """

    def __init__(self, config: AlexNetFcnConfig) -> None:
        super().__init__()
        self.config = config
        one, two, three, four, five = (scaled(channels, config.width) for channels in (96, 256, 384, 384, 256))
        self.body = nn.Sequential(
            *(nn.Conv2d(1, one, 11, stride=4), _ResponseNorm(), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(one, two, 5, padding=2), _ResponseNorm(), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(two, three, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(three, four, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(four, five, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        )
        self.channels = five
        draw_weights(self)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Return maps [N, channels, H', W'] of spectrograms [N, 1, bins, frames]: 5x8 cells for 200x300."""
        maps: Tensor = self.body(spectrogram)
        return maps


class _ResponseNorm(nn.Module):
    """Local response normalisation as `nn.LocalResponseNorm`, which cannot be exported for any batch and length."""

    def forward(self, maps: Tensor) -> Tensor:
        # A mean over five channels, which divides alpha by five. The formula of Krizhevsky et al. (section 3.3) has a
        # sum, but the layer in the code that they released divides by five too: the published alpha is meant for it.
        squares = functional.avg_pool3d(maps.square()[:, None], (5, 1, 1), stride=1, padding=(2, 0, 0))[:, 0]
        return maps / (2.0 + 1e-4 * squares) ** 0.75
