"""A small convolutional network over space and time: short clips of face crops -> embeddings.

Ours, in the manner of C3D (D. Tran et al., ICCV 2015): 3x3x3 kernels throughout, and a first pooling that leaves time
alone; with batch normalisation, fewer layers and a mean over the last map in place of fully connected layers.

Axes: B clips, P pictures of a clip, H and W pixels, D embedding.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled
from emotrace.encoders.face_cnn import standardise

_CHANNELS = (32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class Conv3dEncoderConfig:
    """Sizes of a `Conv3dEncoder`."""

    width: float = 1.0
    """Factor of all channels, rounded as in `classic.scaled`."""


class Conv3dEncoder(nn.Module):
    """Clips of grey face crops -> embeddings.

    Attributes:
        embedding_dim: D, 256 at width 1.
    """

    def __init__(self, config: Conv3dEncoderConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs = 1
        for number, stage in enumerate(_CHANNELS):
            channels = scaled(stage, config.width)
            layers += [nn.Conv3d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm3d(channels), nn.ReLU()]
            if number < len(_CHANNELS) - 1:
                # An incomplete window at the end of the time axis counts, so that even one picture is a clip.
                layers.append(nn.MaxPool3d((1 if number == 0 else 2, 2, 2), ceil_mode=True))
            inputs = channels
        self.body = nn.Sequential(*layers)
        self.embedding_dim = inputs
        draw_weights(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips [B, P, H, W] in 0..1 into embeddings [B, D]; a clip is standardised as a whole."""
        maps: Tensor = self.body(standardise(clips).unsqueeze(1))
        return maps.mean(dim=(2, 3, 4))
