"""Snippets or segments of clips, some of them missing -> what a network makes of those that are there.

Axes: B clips, T snippets or segments, N of them together, E width of what is made of one.
"""

import torch
from torch import Tensor, nn

from emotrace.layers.known import encode_known


def encode_items(network: nn.Module, items: Tensor, known: Tensor, width: int) -> Tensor:
    """Return [..., E] of items [..., *] known [...] by a network [N, *] -> [N, E]; zero where not known.

    Items that are not known must be finite. In training the network does not meet them, so that they are not in the
    statistics of its batch normalisation; otherwise it does, as a graph for export cannot choose by what the data are.
    """
    if network.training:
        return encode_known(network, items, known, width)
    every = network(items.flatten(0, known.ndim - 1)).reshape(*known.shape, width)
    return torch.where(known[..., None], every, 0.0)


class ItemNorm(nn.Module):
    """Batch normalisation that also takes a single value per channel: it is measured by the batches before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, items: Tensor) -> Tensor:
        """Return the same shape as items, [N, channels] or [N, channels, length]."""
        norm = self.norm
        if self.training and items.numel() == items.shape[1]:
            mean, variance = norm.running_mean, norm.running_var
            return nn.functional.batch_norm(items, mean, variance, norm.weight, norm.bias, eps=norm.eps)
        out: Tensor = norm(items)
        return out
