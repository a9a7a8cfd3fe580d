"""Vectors along any axis -> each a mixture of all of them, by multi-head attention, without biases.

Equations: A. Vaswani et al., "Attention is all you need", NIPS 2017 (from memory). Written out instead of
`torch.nn.MultiheadAttention`, as a clip without a single known item must give zeros and not NaN.

Axes: ... any leading axes, L items that attend to each other, E width of an item, H heads, O width of the answer.
"""

import math

import torch
from torch import Tensor, nn

from emotrace.layers.pooling import masked_softmax


def heads_of(width: int, most: int = 8) -> int:
    """Return the largest number of heads, `most` at the most, that divides the width."""
    return max(heads for heads in range(1, most + 1) if width % heads == 0)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention of items to each other. For another axis, transpose it to the last but one."""

    def __init__(self, width: int, heads: int, out_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.project = nn.Linear(width, out_width, bias=False)

    def forward(self, items: Tensor, known: Tensor | None = None) -> Tensor:
        """Return [..., L, O] of items [..., L, E]; nothing comes from an item where `known` [..., L] is false.

        What is answered for an item that is not known means nothing.
        """
        query, key, value = (self._split(part(items)) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.key.out_features / self.heads)
        shares = scores.softmax(dim=-1) if known is None else masked_softmax(scores, known[..., None, None, :])
        mixed: Tensor = self.project((shares @ value).transpose(-2, -3).flatten(-2))
        return mixed

    def _split(self, items: Tensor) -> Tensor:
        """Return [..., H, L, E / H]."""
        return items.reshape(*items.shape[:-1], self.heads, -1).transpose(-2, -3)


class AttentionBlock(nn.Module):
    """Attention of items to each other, with a way around it; without one where `literal`."""

    def __init__(self, width: int, out_width: int, *, literal: bool) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads_of(width), out_width)
        self.around = _Around(width, out_width, literal=literal)

    def forward(self, items: Tensor, known: Tensor) -> Tensor:
        """Return [..., L, O] of items [..., L, E]; zero where `known` [..., L] is false."""
        return torch.where(known[..., None], self.around(items, self.attention(items, known)), 0.0)


class ChannelBlock(nn.Module):
    """Attention of the E channels of L items to each other, with a way around it; without one where `literal`."""

    def __init__(self, length: int, width: int, *, literal: bool) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(length, heads_of(length), length)
        # Over the channels here too: layer normalisation over the items would leave nothing of their mean.
        self.around = _Around(width, width, literal=literal)

    def forward(self, items: Tensor) -> Tensor:
        """Return [..., L, E] of items [..., L, E]."""
        mixed: Tensor = self.around(items, self.attention(items.transpose(-1, -2)).transpose(-1, -2))
        return mixed


class _Around(nn.Module):
    """Adds what went into an attention to what came out, and normalises the sum; nothing of it where `literal`.

    What went in passes a matrix where the widths differ.
    """

    def __init__(self, width: int, out_width: int, *, literal: bool) -> None:
        super().__init__()
        self.literal = literal
        if not literal:
            self.widen = nn.Identity() if width == out_width else nn.Linear(width, out_width, bias=False)
            self.norm = nn.LayerNorm(out_width)

    def forward(self, items: Tensor, mixed: Tensor) -> Tensor:
        if self.literal:
            return mixed
        total: Tensor = self.norm(self.widen(items) + mixed)
        return total
