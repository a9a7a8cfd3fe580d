"""What all fusion networks share: their output, and the voice branch that carries its state along.

Axes: B recordings, T ticks, A voice features, H hidden width, E emotions.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state of the voice's LSTM, each [B, H], carried from stretch to stretch of a recording."""

Missing = Literal["mask", "zeros"]
"""How a missing modality enters: "mask" excludes it; "zeros" (paper) only makes its features zero."""


class FusionOutput(NamedTuple):
    """What a fusion network says at every tick.

    Attributes:
        arousal_valence: [B, T, 2] arousal and valence, in this order; not bounded: clip to [-1, 1] for show.
        emotion_logits: [B, T, E].
        audio_weight: [B, T] beta of eq. 30 in 0..1; the face's share is 1 - beta.
        state: to be given to the next call for the same recording.
    """

    arousal_valence: Tensor
    emotion_logits: Tensor
    audio_weight: Tensor
    state: State


class VoiceContext(nn.Module):
    """Voice features -> what was heard so far: a fully connected layer and an LSTM (Liu & Tang 2021, eq. 27).

    Features of ticks without voice are never read. With "mask" such a tick enters the LSTM as a learned
    vector, so that the network can tell silence from any real sound; with "zeros" it enters as zeros.
    """

    def __init__(self, audio_dim: int, hidden_dim: int, *, missing: Missing) -> None:
        super().__init__()
        self.project = nn.Linear(audio_dim, hidden_dim)
        self.lstm = nn.LSTM(hidden_dim, hidden_dim, batch_first=True)
        self.absent = nn.Parameter(torch.zeros(hidden_dim)) if missing == "mask" else None

    def forward(self, audio: Tensor, audio_valid: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the hidden states [B, T, H] of audio [B, T, A] and the state after the last tick."""
        known = audio_valid.unsqueeze(-1)
        steps = self.project(audio.masked_fill(~known, 0)).relu()
        if self.absent is not None:
            steps = torch.where(known, steps, self.absent)
        hidden, (last_hidden, last_cell) = self.lstm(steps, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return hidden, (last_hidden.squeeze(0), last_cell.squeeze(0))

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first tick: zeros."""
        zeros = self.project.weight.new_zeros(batch_size, self.lstm.hidden_size)
        return zeros, zeros
