"""Vectors of consecutive steps -> vectors that know the steps before them, by a temporal convolutional network.

Source: S. Bai, J. Z. Kolter & V. Koltun, "An empirical evaluation of generic convolutional and recurrent networks for
sequence modeling", arXiv 1803.01271 (2018), from memory; the sizes, the activation, the dropout and the starting
weights are those of the code of Zhang et al. 2021, which was read (see `models/leader_follower.py`).

Axes: B recordings, S steps in order of time, F and C width of a vector before and after.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Dropped = Literal["channels", "values"]
"""What dropout leaves out: whole channels, for all steps alike, or single values."""


class TemporalConvolution(nn.Module):
    """Blocks of two convolutions over time, each block reaching back twice as far as the one before; causal.

    Attributes:
        receptive_field: steps, the newest included, that an answer depends on.
    """

    def __init__(
        self,
        in_dim: int,
        channels: Sequence[int],
        kernel: int = 5,
        dropout: float = 0.1,
        dropped: Dropped = "channels",
    ) -> None:
        """Draw the weights.

        Args:
            in_dim: F.
            channels: width of each block; C is the last.
            kernel: steps that a convolution sees.
            dropout: share of what is left out in training.
            dropped: what is left out.
        """
        super().__init__()
        widths = pairwise((in_dim, *channels))
        self.blocks = nn.Sequential(
            *(_Block(before, after, kernel, 2**place, dropout, dropped) for place, (before, after) in enumerate(widths))
        )
        self.receptive_field: int = 1 + 2 * (kernel - 1) * (2 ** len(channels) - 1)

    def forward(self, steps: Tensor) -> Tensor:
        """Return [B, S, C] of [B, S, F]; what came before the first step counts as zero."""
        known: Tensor = self.blocks(steps.transpose(1, 2))
        return known.transpose(1, 2)


class _Block(nn.Module):
    """[B, F, S] -> [B, C, S]."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int, dropout: float, dropped: Dropped) -> None:
        super().__init__()
        drop = nn.Dropout1d if dropped == "channels" else nn.Dropout
        self.body = nn.Sequential(
            *(
                nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0),
                weight_norm(_drawn(before, after, kernel, dilation)),
            ),
            *(nn.LeakyReLU(), drop(dropout)),
            *(nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0), weight_norm(_drawn(after, after, kernel, dilation))),
            *(nn.LeakyReLU(), drop(dropout)),
        )
        self.shortcut = nn.Identity() if before == after else _drawn(before, after, 1, 1)
        self.activation = nn.LeakyReLU()

    def forward(self, steps: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(steps) + self.shortcut(steps))
        return out


def _drawn(before: int, after: int, kernel: int, dilation: int) -> nn.Conv1d:
    convolution = nn.Conv1d(before, after, kernel, dilation=dilation)
    nn.init.xavier_uniform_(convolution.weight, gain=math.sqrt(2))
    return convolution
