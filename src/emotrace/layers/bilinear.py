"""A vector of each modality -> one fused vector, by factorised bilinear pooling, plain or adaptive.

Source: Zhou, Du et al. (see `models/bilinear_fusion.py`), after Z. Yu, J. Yu, J. Fan, D. Tao, ICCV 2017. The product of
two projections, the sum over the rank, the signed square root and the norm were read in descriptions of the papers;
where dropout stands is remembered; the rank, the width and all of `AdaptiveBilinearPooling` but its purpose are ours.

Axes: ... any leading axes (B), M and N widths of the two vectors, O of the fused one, k the rank.
"""

import torch
from torch import Tensor, nn

from emotrace.layers.pooling import masked_softmax

_LEAST = 1e-6
"""Under the square root of a value and under a norm: without it their slope at zero is infinite."""


class FactorizedBilinearPooling(nn.Module):
    """z_i = a^T U_i V_i^T v with U_i [M, k] and V_i [N, k], then signed square root and length 1."""

    def __init__(
        self, first_dim: int, second_dim: int, output_dim: int = 128, rank: int = 4, dropout: float = 0.0
    ) -> None:
        """Set the widths M, N and O, the rank k, and the share of the k O products that dropout leaves out."""
        super().__init__()
        self.rank = rank
        self.first = nn.Linear(first_dim, output_dim * rank, bias=False)  # U
        self.second = nn.Linear(second_dim, output_dim * rank, bias=False)  # V
        self.dropout = nn.Dropout(dropout)

    def pool(self, first: Tensor, second: Tensor) -> Tensor:
        """Return z [..., O] of vectors [..., M] and [..., N] before the square root and the norm."""
        products = self.dropout(self.first(first) * self.second(second))
        pooled: Tensor = products.reshape(*products.shape[:-1], -1, self.rank).sum(dim=-1)
        return pooled

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return [..., O] of vectors [..., M] and [..., N]: of length 1, or zeros where one of the vectors is zero."""
        pooled = self.pool(first, second)
        rooted = pooled * (pooled.abs() + _LEAST).rsqrt()
        return rooted * (rooted.square().sum(dim=-1, keepdim=True) + _LEAST).rsqrt()


class AdaptiveBilinearPooling(nn.Module):
    """Fuses [tau_a a; 1] and [tau_v v; 1], with weights tau of the two vectors that sum to 1.

    The ones let each modality also speak for itself: were a and v only scaled, the norm would undo it.
    """

    def __init__(
        self, sound_dim: int, face_dim: int, output_dim: int = 128, rank: int = 4, dropout: float = 0.0
    ) -> None:
        """Set the widths, the rank and the dropout of the pooling."""
        super().__init__()
        hidden = min(sound_dim, face_dim)
        self.gate = nn.Sequential(nn.Linear(sound_dim + face_dim, hidden), nn.Tanh(), nn.Linear(hidden, 2))
        self.pooling = FactorizedBilinearPooling(sound_dim + 1, face_dim + 1, output_dim, rank, dropout)

    def forward(self, sound: Tensor, face: Tensor, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse sound [..., M] and face [..., N], known where heard [...] and seen [...] say so.

        Returns:
            [..., O] and tau_a [...]: 1 where only the sound is known, 0 where it is not.
        """
        weights = masked_softmax(self.gate(torch.cat([sound, face], dim=-1)), torch.stack([heard, seen], dim=-1))
        one = torch.ones_like(weights[..., :1])
        first = torch.cat([weights[..., :1] * sound, one], dim=-1)
        second = torch.cat([weights[..., 1:] * face, one], dim=-1)
        return self.pooling(first, second), weights[..., 0]
