"""Steps of the face, and groups of sound at another rate -> one stream of both, sound joining the step that it fits.

The design is ours, for the soft attention that aligns the streams of Chao et al. 2016 (see
`models/perception_attention.py`); the form of the attention is that of D. Bahdanau, K. Cho, Y. Bengio, "Neural machine
translation by jointly learning to align and translate", ICLR 2015 (from memory).

Axes: B clips, V steps of the face, T groups of sound, H width of a vector and of a state, A of the attention.
"""

import torch
from torch import Tensor, nn

from emotrace.layers.pooling import masked_softmax


def linear_weights(steps: int, groups: int) -> Tensor:
    """Return [V, T]: how the groups are resampled to the steps, both spread evenly over the same time.

    The middle of step t lies at (t + 1/2) T / V - 1/2, most often between two groups, which share it by their
    distance; before the middle of the first group, or after that of the last, it is that group's. A row sums to one.
    """
    place = ((torch.arange(steps) + 0.5) * groups / steps - 0.5).clamp(0, groups - 1)
    return (1 - (place[:, None] - torch.arange(groups)).abs()).clamp(min=0)


def linear_shares(weights: Tensor, spoken: Tensor) -> Tensor:
    """Return [B, T]: a step's weights [T], kept for the groups known [B, T], summing to one; zero if none is kept."""
    kept = torch.where(spoken, weights, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny)


class SoftAlignment(nn.Module):
    """Shares of the groups in a step: softmax over i of w^T tanh(W_a h_i + W_v v_t + W_s s_(t-1) + b)."""

    def __init__(self, width: int, attention_dim: int) -> None:
        """Set the sizes H and A."""
        super().__init__()
        self.keys = nn.Linear(width, attention_dim, bias=False)  # W_a
        self.seen = nn.Linear(width, attention_dim, bias=False)  # W_v
        self.state = nn.Linear(width, attention_dim)  # W_s, b
        self.weigh = nn.Linear(attention_dim, 1, bias=False)  # w

    def forward(self, keys: Tensor, seen: Tensor, state: Tensor, spoken: Tensor) -> Tensor:
        """Return alpha [B, T], which sums to one over the known groups; zero where none is known.

        Args:
            keys: [B, T, A], `self.keys` of the groups, the same at every step.
            seen: [B, H] of the step.
            state: [B, H] after the step before.
            spoken: [B, T] bool: where the sound is known.
        """
        joint = keys + (self.seen(seen) + self.state(state))[:, None]
        return masked_softmax(self.weigh(joint.tanh()).squeeze(-1), spoken)


class AlignedLstm(nn.Module):
    """An LSTM over the steps of the face, each joined by the sound that is aligned to it: by attention, or evenly."""

    even: Tensor

    def __init__(self, width: int, attention_dim: int, *, steps: int, groups: int, soft: bool) -> None:
        """Set the sizes.

        Args:
            width: H.
            attention_dim: A.
            steps: V.
            groups: T.
            soft: aligned by `SoftAlignment`; otherwise by `linear_weights`.
        """
        super().__init__()
        self.soft = SoftAlignment(width, attention_dim) if soft else None
        self.recur = nn.LSTMCell(2 * width, width)
        self.register_buffer("even", linear_weights(steps, groups), persistent=False)

    def forward(self, seen: Tensor, heard: Tensor, spoken: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states s [B, V, H], each of which knows no later step, and the shares of the sound [B, V, T].

        Args:
            seen: v [B, V, H], zero where the face is not known; the LSTM steps there too.
            heard: h [B, T, H], finite where not known.
            spoken: [B, T] bool: where the sound is known; where none is, zeros join the step.
        """
        keys = None if self.soft is None else self.soft.keys(heard)
        hidden = cell = torch.zeros_like(heard[:, 0])
        states, shares = [], []
        for step in range(seen.shape[1]):
            vector = seen[:, step]
            if self.soft is None:
                share = linear_shares(self.even[step], spoken)
            else:
                share = self.soft(keys, vector, hidden, spoken)
            context = (share[:, None] @ heard).squeeze(1)
            hidden, cell = self.recur(torch.cat([vector, context], dim=-1), (hidden, cell))
            states.append(hidden)
            shares.append(share)
        return torch.stack(states, dim=1), torch.stack(shares, dim=1)
