"""The turns of dialogues as vectors -> the class of every turn, from that turn and those before it.

Source: the conversation part of the network of Partaourides et al. 2020 (see `models/dialogue_attention.py`). It does
not ask what the vectors were made of. The masks are ours, and so is where a long dialogue is cut.

Axes: B turns of a batch, N dialogues or pieces of them, T turns of one in order of time, padding last; D width of a
turn's vector, H of a state, C classes.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from emotrace.errors import SettingsError
from emotrace.layers.pooling import masked_softmax

Score = Literal["dot", "general", "concat"]
"""How well state i fits state j: h_i . h_j, tanh(h_i W) . h_j, or u^T tanh(W h_i + b), the same for every j."""

_HIDDEN = 50
_SPEAKERS = 2
_DROPOUT = 0.5


class CausalTurnAttention(nn.Module):
    """State j -> context_j = sum_i alpha_ij h_i over the known states i <= j, itself among them.

    alpha is the softmax of the scores over i.
    """

    def __init__(self, dim: int, score: Score, window: int | None) -> None:
        """Set sizes and variant.

        Args:
            dim: H.
            score: how well two states fit.
            window: how many turns before its own a turn sees; None for all of them.

        Raises:
            SettingsError: the window is negative.
        """
        super().__init__()
        if window is not None and window < 0:
            raise SettingsError(f"The context has {window} turns, none or more expected: choose 0, or None for all.")
        self.window = window
        self.project: nn.Linear | None = None
        self.weigh: nn.Linear | None = None
        if score == "general":
            self.project = nn.Linear(dim, dim, bias=False)
        elif score == "concat":
            self.project = nn.Linear(dim, dim // 2)
            self.weigh = nn.Linear(dim // 2, 1, bias=False)  # u

    def forward(self, states: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return contexts [N, T, H] and alpha [N, T (of state j), T (of state i)]; zero where j or i is not known.

        Args:
            states: [N, T, H], finite everywhere.
            known: [N, T] bool.
        """
        steps = torch.arange(states.shape[1], device=states.device)
        ago = steps[:, None] - steps
        seen = ago >= 0 if self.window is None else (ago >= 0) & (ago <= self.window)
        alpha = masked_softmax(self._scores(states), seen & known[:, None] & known[..., None])
        return alpha @ states, alpha

    def _scores(self, states: Tensor) -> Tensor:
        """Return [N, T or 1, T]."""
        fitting = states if self.project is None else self.project(states).tanh()
        scores: Tensor = states @ fitting.transpose(1, 2) if self.weigh is None else self.weigh(fitting).transpose(1, 2)
        return scores


class DialogueEncoder(nn.Module):
    """Vectors of turns and who speaks -> a GRU with a learnt beginning -> causal attention -> the class of each turn.

    50 states and half of the contexts dropped in training, as in the authors' code.
    """

    def __init__(self, dim: int, classes: int, score: Score, window: int | None) -> None:
        """Set sizes and variant: D, C, and what `CausalTurnAttention` takes.

        Raises:
            SettingsError: the window is negative.
        """
        super().__init__()
        self.recur = nn.GRU(dim + _SPEAKERS, _HIDDEN, batch_first=True)
        # Not zeros: they would leave the matrix of the past without a gradient where every dialogue has one turn.
        self.start = nn.Parameter(torch.empty(1, 1, _HIDDEN).uniform_(-(_HIDDEN**-0.5), _HIDDEN**-0.5))
        self.attend = CausalTurnAttention(_HIDDEN, score, window)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classify = nn.Linear(_HIDDEN, classes)

    def forward(self, vectors: Tensor, speaker: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, T, C], of no meaning where not known, and alpha [N, T, T] of `CausalTurnAttention`.

        Args:
            vectors: [N, T, D]; what stands in the padding is not read.
            speaker: [N, T]: 0 for who spoke first, 1 for the second; any other number says nothing.
            known: [N, T] bool; padding stands after the last turn.
        """
        who = speaker[..., None] == torch.arange(_SPEAKERS, device=speaker.device)
        told = torch.where(known[..., None], torch.cat([vectors, who.to(vectors)], dim=-1), 0.0)
        states, _ = self.recur(told, self.start.expand(-1, told.shape[0], -1).contiguous())
        contexts, alpha = self.attend(states, known)
        return self.classify(self.dropout(contexts)), alpha


class TurnTable(NamedTuple):
    """Which turns stand together so that every turn of a batch is told what it may know, and nothing else.

    Attributes:
        turns: [N, T] index in the batch; -1 for padding, which stands last.
        row: [B] row of the table in which a turn is answered.
        step: [B] and its place in it: nothing before it is of another dialogue, or too long ago.
    """

    turns: Tensor
    row: Tensor
    step: Tensor


def turn_table(dialogue: Tensor, memory: int) -> TurnTable:
    """Return the table of a batch of turns: one row per dialogue, and one for each turn after its first `memory`.

    Args:
        dialogue: [B]; equal numbers that stand together are one dialogue in order of time, -1 is one by itself.
        memory: turns that an answer may depend on at most, its own among them; one or more.
    """
    rows: list[list[int]] = []
    places, start = [], 0
    for turn, (before, number) in enumerate(pairwise([-1, *dialogue.tolist()])):
        if number < 0 or number != before:
            start = turn
            rows.append([turn])
        elif turn - start < memory:
            rows[-1].append(turn)
        else:
            rows.append(list(range(turn - memory + 1, turn + 1)))
        places.append((len(rows) - 1, len(rows[-1]) - 1))
    turns = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=-1)
    row, step = torch.tensor(places).unbind(dim=1)
    return TurnTable(turns.to(dialogue.device), row.to(dialogue.device), step.to(dialogue.device))
