"""A fused vector -> emotion logits, arousal and valence: the end of every fusion network.

Axes: ... any leading axes (B, T), H width of the fused vector, E emotions.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from emotrace import labels
from emotrace.errors import SettingsError
from emotrace.labels import CIRCUMPLEX, EMOTIONS

Output = Literal["linear", "tanh", "circumplex"]
"""Where arousal and valence come from: "linear" of the fused vector (clipped when shown), "tanh" of that (in [-1, 1]),
or "circumplex", the mean of the emotions' coordinates by their probabilities: never beyond what a label says."""


class AffectHeads(nn.Module):
    """Linear heads on the fused vector."""

    points: Tensor

    def __init__(self, width: int, output: Output, num_emotions: int = len(EMOTIONS)) -> None:
        super().__init__()
        if output == "circumplex" and num_emotions != len(EMOTIONS):
            raise SettingsError(
                f"output circumplex knows the coordinates of {len(EMOTIONS)} emotions only: use linear."
            )
        self.output = output
        self.emotions = nn.Linear(width, num_emotions)
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


def circumplex_mean(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """Return [..., 2]: the mean of the classes' circumplex coordinates by their probabilities.

    Classes without coordinates do not count; where there are only such, NaN.

    Args:
        logits: [..., C].
        classes: their names.
    """
    points = class_points(classes).to(logits)
    known = points.isfinite().all(dim=1)
    shares = logits.masked_fill(~known, -torch.inf).softmax(dim=-1)
    return shares @ points.nan_to_num() if known.any() else shares.new_full((*logits.shape[:-1], 2), torch.nan)


def class_points(classes: Sequence[str]) -> Tensor:
    """Return [C, 2]: arousal and valence that stand for each class; NaN for a class without coordinates."""
    return torch.tensor(labels.class_points(classes))
