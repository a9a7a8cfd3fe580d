"""A fused vector -> emotion logits, arousal and valence: the end of every fusion network.

Axes: ... any leading axes (B, T), H width of the fused vector, E emotions.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from emotrace.labels import CIRCUMPLEX, EMOTIONS

Output = Literal["linear", "tanh", "circumplex"]
"""Where arousal and valence come from: "linear" of the fused vector (clipped when shown), "tanh" of that (in [-1, 1]),
or "circumplex", the mean of the emotions' coordinates by their probabilities: never beyond what a label says."""


class AffectHeads(nn.Module):
    """Linear heads on the fused vector."""

    points: Tensor

    def __init__(self, width: int, output: Output) -> None:
        super().__init__()
        self.output = output
        self.emotions = nn.Linear(width, len(EMOTIONS))
        self.arousal_valence = nn.Linear(width, 2) if output != "circumplex" else None
        points = [(CIRCUMPLEX[emotion].arousal, CIRCUMPLEX[emotion].valence) for emotion in EMOTIONS]
        self.register_buffer("points", torch.tensor(points), persistent=False)

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Return arousal and valence [..., 2] and emotion logits [..., E] of fused vectors [..., H]."""
        logits = self.emotions(fused)
        if self.arousal_valence is None:
            return logits.softmax(dim=-1) @ self.points, logits
        arousal_valence = self.arousal_valence(fused)
        return arousal_valence.tanh() if self.output == "tanh" else arousal_valence, logits
