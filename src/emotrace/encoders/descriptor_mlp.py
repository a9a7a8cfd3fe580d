"""The default bundle's voice encoder: small fully connected networks on the descriptors of a window (front end H).

Ours, not a published system: the paper names the descriptors but no network for them. It measures better here than
convolutional networks on spectrograms, which a few thousand utterances do not suffice to train.

Axes: B windows, D descriptors, H width, E classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_MOST_DEVIATIONS = 5.0
"""A descriptor further from its mean than this many standard deviations is taken as this far: odd files exist."""


@dataclass(frozen=True, kw_only=True)
class DescriptorMlpConfig:
    """Sizes of a `DescriptorMlp`."""

    num_descriptors: int
    hidden_dims: Sequence[int] = (256, 128)
    num_classes: int = 9
    dropout: float = 0.4


def standard_scores(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return values in standard deviations from their mean (eq. 9), at most five."""
    return ((values - mean) / deviation).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)


class DescriptorMlp(nn.Module):
    """Descriptors -> an embedding and class logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: DescriptorMlpConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.num_descriptors))
        self.register_buffer("std", torch.ones(config.num_descriptors))
        layers: list[nn.Module] = [nn.Dropout(config.dropout / 4)]
        width = config.num_descriptors
        for hidden in config.hidden_dims:
            layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(config.dropout)]
            width = hidden
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, config.num_classes)

    def fit_normaliser(self, rows: Tensor) -> None:
        """Take mean and standard deviation of [M, D] training rows for the z-score (eq. 9)."""
        self.mean.copy_(rows.mean(dim=0))
        self.std.copy_(rows.std(dim=0).clamp(min=1e-6))

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Encode descriptors [B, D] into embeddings [B, H] and logits [B, E]."""
        embedding = self.body(standard_scores(descriptors, self.mean, self.std))
        return embedding, self.head(embedding)


class Ensemble(nn.Module):
    """Several networks of one kind, trained from different seeds; their logits are averaged."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the members' embeddings [B, members * H] and mean logits [B, E]."""
        answers = [member(descriptors) for member in self.members]
        embedding = torch.cat([embedding for embedding, _ in answers], dim=1)
        return embedding, torch.stack([logits for _, logits in answers]).mean(dim=0)
