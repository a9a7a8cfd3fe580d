"""Vectors of cells or frames, some of them valid -> one vector, by attention.

Source: the factorised bilinear pooling family of Zhou, Du et al. (see `models/bilinear_fusion.py`). The attention over
cells was read in re-implementations of arXiv 1806.01506; that over frames is remembered. The masks are ours.

Axes: ... any leading axes (B), L cells or frames, D width of a vector, A of the attention.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def masked_softmax(scores: Tensor, valid: Tensor, dim: int = -1) -> Tensor:
    """Return the softmax of scores along an axis, over the valid ones.

    Zero elsewhere, and where none is valid.

    Args:
        scores: of any shape.
        valid: bool, of the same shape or one that is broadcast to it.
        dim: the axis along which the shares sum to one.
    """
    lowest = torch.finfo(scores.dtype).min  # not -inf, whose softmax is NaN where none is valid
    return torch.where(valid, torch.where(valid, scores, lowest).softmax(dim=dim), 0.0)


def _pool(vectors: Tensor, shares: Tensor) -> Tensor:
    return (shares.unsqueeze(-2) @ vectors).squeeze(-2)


class CellAttention(nn.Module):
    """Pools cells a_i by alpha = softmax(lambda e), e_i = u^T tanh(W a_i + b)."""

    def __init__(self, dim: int, attention_dim: int, temperature: float = 0.3) -> None:
        """Set the sizes.

        Args:
            dim: D.
            attention_dim: A.
            temperature: lambda, 0..1: with 0 the cells are averaged, with 1 attention is as sharp as it is learnt.
        """
        super().__init__()
        self.temperature = temperature
        self.project = nn.Linear(dim, attention_dim)  # W, b
        self.weigh = nn.Linear(attention_dim, 1, bias=False)  # u

    def forward(self, cells: Tensor, valid: Tensor) -> Tensor:
        """Return [..., D] of cells [..., L, D] and valid [..., L] bool; zeros where none is valid."""
        cells = torch.where(valid.unsqueeze(-1), cells, 0.0)
        scores = self.weigh(self.project(cells).tanh()).squeeze(-1)
        return _pool(cells, masked_softmax(self.temperature * scores, valid))


class FrameAttention(nn.Module):
    """Averages frames f_i with the weights alpha_i = sigmoid(q^T f_i)."""

    def __init__(self, dim: int) -> None:
        """Set the width D."""
        super().__init__()
        self.weigh = nn.Linear(dim, 1, bias=False)  # q

    def forward(self, frames: Tensor, valid: Tensor) -> Tensor:
        """Return [..., D] of frames [..., L, D] and valid [..., L] bool; zeros where none is valid."""
        frames = torch.where(valid.unsqueeze(-1), frames, 0.0)
        # alpha_i / sum alpha is the softmax of log alpha; so written it survives an alpha that rounds to zero.
        log_weights = -functional.softplus(-self.weigh(frames).squeeze(-1))
        return _pool(frames, masked_softmax(log_weights, valid))
