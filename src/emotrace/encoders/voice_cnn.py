"""The default bundle's voice encoder: a small convolutional network on the log-mel spectrogram of a 3 s window.

Ours, not a published system; the paper's own three-layer network on the 120x120 spectrum is `spectrogram_cnn.py`.
Attentive statistics pooling follows K. Okabe, T. Koshinaka, K. Shinoda, Interspeech 2018.

Axes: B windows, S spectrum frames, M mel bands, D width, E classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class VoiceCnnConfig:
    """Sizes of a `VoiceCnn`."""

    channels: Sequence[int] = (24, 48, 64, 96)
    num_bands: int = 64
    embedding_dim: int = 128
    num_classes: int = 9
    dropout: float = 0.3


class VoiceCnn(nn.Module):
    """Log-mel windows -> an embedding and class logits."""

    def __init__(self, config: VoiceCnnConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        in_channels, num_bands = 1, config.num_bands // 2
        for index, channels in enumerate(config.channels):
            first = index == 0
            kernel, stride, padding = ((9, 5), (4, 2), (4, 2)) if first else ((3, 3), (1, 1), (1, 1))
            layers += [
                nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=padding, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                # Time shrinks to a sixteenth (160 ms, a syllable), frequency to a 32nd.
                nn.MaxPool2d((2, 2) if index < 2 else (1, 2)),
            ]
            in_channels, num_bands = channels, num_bands // 2
        self.body = nn.Sequential(*layers)
        width = in_channels * num_bands
        self.squeeze = nn.Sequential(nn.Linear(width, config.embedding_dim), nn.ReLU())
        self.recurrent = nn.GRU(config.embedding_dim, config.embedding_dim // 2, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(nn.Linear(config.embedding_dim, 64), nn.Tanh(), nn.Linear(64, 1))
        self.embed = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(2 * config.embedding_dim, config.embedding_dim), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.embedding_dim, config.num_classes))

    def forward(self, spectrograms: Tensor) -> tuple[Tensor, Tensor]:
        """Encode log-mel windows [B, S, M] into embeddings [B, D] and logits [B, E]."""
        grid = self.body(level(spectrograms).unsqueeze(1))
        steps = self.recurrent(self.squeeze(grid.transpose(1, 2).flatten(2)))[0]
        weights = self.attention(steps).softmax(dim=1)
        mean = (weights * steps).sum(dim=1)
        spread = ((weights * steps.square()).sum(dim=1) - mean.square()).clamp(min=1e-5).sqrt()
        embedding = self.embed(torch.cat([mean, spread], dim=1))
        return embedding, self.head(embedding)


def level(spectrograms: Tensor) -> Tensor:
    """Take out the loudness of a log-mel window [B, S, M], and the lowest tenth of its range, where only noise lives."""
    loudest = spectrograms.amax(dim=(1, 2), keepdim=True)
    return (spectrograms - loudest).clamp(min=-12.0) / 3.0 + 2.0
