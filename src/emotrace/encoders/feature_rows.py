"""Rows of features that were made before -> a vector of each row, and their mean: for the voice without its sound.

Ours, in the place of a published network on spectrograms where there are only features, such as openSMILE's: one layer
that all rows share. It takes any number of rows and of features, and nothing from their order.

Axes: ... any leading axes (clips, segments), F rows, M features of a row, E width of a vector.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class FeatureRowsConfig:
    """Sizes of a `FeatureRows`."""

    num_features: int
    """M."""
    embedding_dim: int
    """E."""


class FeatureRows(nn.Module):
    """Rows -> vectors that are nowhere negative.

    Attributes:
        embedding_dim: E.
    """

    def __init__(self, config: FeatureRowsConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding_dim = config.embedding_dim
        self.body = nn.Sequential(nn.Linear(config.num_features, config.embedding_dim), nn.ReLU())

    def cells(self, rows: Tensor, valid: Tensor) -> Tensor:
        """Return [..., F, E] of rows [..., F, M]; zero where `valid` [..., F] is false, whatever stands there."""
        known = valid[..., None]
        return torch.where(known, self.body(torch.where(known, rows, 0.0)), 0.0)

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        """Return [..., E], the mean over the valid ones of rows [..., F, M]; zero where none of [..., F] is valid."""
        return self.cells(rows, valid).sum(dim=-2) / valid.sum(dim=-1, keepdim=True).clamp(min=1)
