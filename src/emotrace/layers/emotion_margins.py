"""Embeddings and classes of clips -> the triplet loss with a margin of its own for every pair of emotions.

Paper: B. Mocanu, R. Tapu, T. Zaharia, Image and Vision Computing 133 (2023) 104676. Read: its abstract, which names a
triplet loss extended by learnable relations between the emotions. Ours: every equation here.

Axes: B clips, E width of an embedding, C classes.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from emotrace.labels import CIRCUMPLEX, timeline_emotion

_HOLD = 2.0
"""Weight of the mean square of how far margins went from their start. Where every triplet violates its margin, they
shrink by 1 / (2 * 2) = 0.25 in the mean, and no farther."""
_LEAST_DISTANCE = 0.05
"""Of classes in one place, such as calm and neutral: the inverse of softplus has no value at zero."""
_SHORTEST = 1e-4
"""Embeddings shorter than this are not stretched to length one, which would blow up their gradient."""


class EmotionMargins(nn.Module):
    """Margins between every two classes: large from the start for emotions that are far apart, and learnt on.

    M = base + softplus(R) off the diagonal, symmetric, and zero on it. R starts so that softplus(R) is the distance of
    two emotions in the valence-arousal plane; for a class that has no place there, the mean distance of all emotions.
    """

    prior: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, classes: Sequence[str], base: float = 0.2) -> None:
        super().__init__()
        self.num_classes = len(classes)
        self.base = base
        pairs = list(combinations(range(len(classes)), 2))
        distances = torch.tensor([_distance(classes[one], classes[other]) for one, other in pairs])
        self.raw = nn.Parameter(distances.expm1().log())
        self.register_buffer("prior", base + distances, persistent=False)
        self.register_buffer("first", torch.tensor([one for one, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("second", torch.tensor([other for _, other in pairs], dtype=torch.int64), persistent=False)

    def forward(self) -> Tensor:
        """Return M [C, C]."""
        upper = self.raw.new_zeros(self.num_classes, self.num_classes)
        upper = upper.index_put((self.first, self.second), self._margins())
        return upper + upper.T

    def metric_loss(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over clips a of max(0, d(a, p) - d(a, n) + M[y_a, y_n]); zero without any triplet.

        d is the squared Euclidean distance of embeddings of length one. Every clip has its hardest triplet in the
        batch: the farthest p of its class, and the n of another class that violates its margin most.

        Args:
            embedding: [B, E].
            labels: [B] index of the class.
        """
        units = nn.functional.normalize(embedding.float(), dim=-1, eps=_SHORTEST)
        distances = 2 - 2 * units @ units.T
        same = labels[:, None] == labels
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        counted = positive.any(dim=1) & ~same.all(dim=1)
        margins = self()[labels][:, labels]
        farthest = torch.where(positive, distances, -math.inf).amax(dim=1)
        violation = torch.where(same, -math.inf, margins - distances).amax(dim=1)
        hardest = torch.where(counted, farthest + violation, 0.0).relu()
        loss = hardest.sum() / counted.sum().clamp(min=1)
        # The loss alone only ever makes margins smaller: they would all shrink to their base. This holds them near
        # where they started, so that they move as far as the data insist and no farther.
        held = _HOLD * (self._margins() - self.prior).square().mean()
        return loss + torch.where(counted.any(), held, 0.0)

    def _margins(self) -> Tensor:
        """Return the margin of every pair of classes, in the order of `itertools.combinations`."""
        return self.base + nn.functional.softplus(self.raw)


def _distance(one: str, other: str) -> float:
    """Return how far two classes are from each other in the valence-arousal plane."""
    names = timeline_emotion(one), timeline_emotion(other)
    if names[0] is None or names[1] is None:
        every = [_between(*pair) for pair in combinations(CIRCUMPLEX, 2)]
        return sum(every) / len(every)
    return max(_between(names[0], names[1]), _LEAST_DISTANCE)


def _between(one: str, other: str) -> float:
    here, there = CIRCUMPLEX[one], CIRCUMPLEX[other]
    return math.hypot(here.valence - there.valence, here.arousal - there.arousal)
