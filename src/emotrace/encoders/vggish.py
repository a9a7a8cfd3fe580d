"""VGGish: patches of a log-mel spectrogram -> embeddings.

Source: S. Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, in the released,
smaller form; its sizes were read in the code of S. Zhang et al., arXiv 2107.01175 (version of 2024). Without the
released weights: weights are drawn by He et al. The last map is flattened with the channels last, as in the original
TensorFlow graph and in its well-known port to torch, so that the columns of the first fully connected layer have the
order (H, W, channel) of the released weights; an ordinary torch network would have (channel, H, W).

Axes: N patches of 96 frames (10 ms apart) and 64 bands, E embedding.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.encoders.classic import draw_weights, scaled

_STAGES = ((64,), (128,), (256, 256), (512, 512))
"""Channels of the 3x3 convolutions of each stage; every stage ends in a 2x2 max pooling."""
_FRAMES = 96
_BANDS = 64
_HIDDEN = 4096
_EMBEDDING = 128


@dataclass(frozen=True, kw_only=True)
class VggishConfig:
    """Sizes of a `Vggish`."""

    width: float = 1.0
    """Factor of all channels, fully connected layers and the embedding, rounded as in `classic.scaled`."""


class Vggish(nn.Module):
    """Patches of a log-mel spectrogram -> embeddings that are nowhere negative.

    Attributes:
        embedding_dim: E, 128 at width 1.
    """

    def __init__(self, config: VggishConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs = 1
        for stage in _STAGES:
            for channels in stage:
                outputs = scaled(channels, config.width)
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers)
        halvings = 2 ** len(_STAGES)
        hidden = scaled(_HIDDEN, config.width)
        self.embedding_dim = scaled(_EMBEDDING, config.width)
        self.head = nn.Sequential(
            *(nn.Linear(inputs * (_FRAMES // halvings) * (_BANDS // halvings), hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.ReLU()),
            *(nn.Linear(hidden, self.embedding_dim), nn.ReLU()),
        )
        draw_weights(self)

    def forward(self, patches: Tensor) -> Tensor:
        """Encode patches [N, 1, 96, 64], frames before bands, into embeddings [N, E]."""
        channels_last = self.body(patches).permute(0, 2, 3, 1)
        embeddings: Tensor = self.head(channels_last.flatten(1))
        return embeddings
