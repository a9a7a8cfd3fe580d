"""The paper's voice encoder: a stacked 120x120 spectrum -> a voice vector and emotion logits.

Paper: Liu & Tang 2021 (see `models/bimodal_attention.py`), section 6.2. Unlike the paper: no "frequency
attention", which it names and does not define. The fully connected layer, and the pooling before it unless
`literal`, are ours.

Axes: B windows, H and W cells of a spectrum, D embedding, E emotions.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.labels import VOICE_CLASSES


@dataclass(frozen=True, kw_only=True)
class SpectrogramCnnConfig:
    """Sizes and readings of the paper for a `SpectrogramCnn`."""

    height: int = 120
    width: int = 120
    literal: bool = False
    """Feeds all cells of the last map to the fully connected layer: 460,800 for a 120x120 spectrum."""
    pooled_side: int = 8
    """Side of the map that the fully connected layer sees otherwise, by average pooling; divides height and width."""
    embedding_dim: int = 512
    num_emotions: int = len(VOICE_CLASSES)
    dropout: float = 0.5


class SpectrogramCnn(nn.Module):
    """Spectra, normalised with the training data's statistics -> a voice vector and emotion logits."""

    def __init__(self, config: SpectrogramCnnConfig) -> None:
        super().__init__()
        self.config = config
        same_size = nn.ZeroPad2d((0, 1, 0, 1))  # a 2x2 kernel has no symmetric padding
        self.body = nn.Sequential(
            *(same_size, nn.Conv2d(1, 4, 2), nn.ReLU(), _pooling()),
            *(nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), _pooling()),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), _pooling()),
        )
        side = config.pooled_side
        if config.height % side or config.width % side:
            raise SettingsError(
                f"pooled_side = {side} does not divide a spectrum of {config.height}x{config.width}; choose a divisor."
            )
        # Not AdaptiveAvgPool2d, which cannot be exported behind a padding of its own.
        pooling = nn.AvgPool2d((config.height // side, config.width // side))
        self.pool = nn.Identity() if config.literal else pooling
        cells = config.height * config.width if config.literal else side * side
        self.embed = nn.Linear(32 * cells, config.embedding_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.embedding_dim, config.num_emotions)

    def forward(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Encode spectra [B, 1, H, W] into embeddings [B, D] and logits [B, E]."""
        maps = self.pool(self.body(spectra))
        embedding = self.embed(maps.flatten(1)).relu()
        return embedding, self.head(self.dropout(embedding))


def _pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=1, padding=1)
