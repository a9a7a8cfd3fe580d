"""Few numbers -> labelled items and recordings that a tiny network learns in a second."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

CLASSES = 3
WIDTH = 4


@dataclass
class Points:
    """Points around a centre per class, shaken when drawn for training; it can be told to fail, as a power cut does.

    Attributes:
        points: [N, 4].
        targets: [N, 3].
        draw_weight: [N].
        draws_left: training batches until it fails; None for ever.
    """

    points: Tensor
    targets: Tensor
    draw_weight: Tensor
    draws_left: int | None = None

    def draw(self, chosen: Tensor, generator: Generator | None) -> Tensor:
        """Return points [B, 4]."""
        if generator is None:
            return self.points[chosen]
        if self.draws_left is not None:
            if self.draws_left == 0:
                raise PowerCutError
            self.draws_left -= 1
        return self.points[chosen] + 0.1 * torch.randn(len(chosen), WIDTH, generator=generator)


class PowerCutError(Exception):
    """What stops a run."""


def points(count: int = 24, seed: int = 0) -> Points:
    """Return points whose classes take turns."""
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return Points(noise + 2.0 * torch.eye(CLASSES, WIDTH)[labels], torch.eye(CLASSES)[labels], torch.ones(count))


class Net(nn.Module):
    """A branch network with all that has a state or is random: batch normalisation and dropout."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding and the logits."""
        embedding = self.body(inputs)
        return embedding, self.head(embedding)
