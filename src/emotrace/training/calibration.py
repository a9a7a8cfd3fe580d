"""Held-out logits -> the temperature at which they are honest probabilities."""

import numpy as np
import torch
from torch import Tensor, nn

from emotrace.training.classifier import Source, soft_cross_entropy

_BATCH = 256
_CANDIDATES = np.geomspace(0.5, 4.0, 43)


@torch.inference_mode()
def held_out_logits(network: nn.Module, source: Source) -> tuple[Tensor, Tensor]:
    """Return logits [N, C] and targets [N, C] of all items, undisturbed."""
    count = len(source.targets)
    places = [torch.arange(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]
    parts = [network.eval()(source.draw(chosen, None))[1].float() for chosen in places]
    return torch.cat(parts), source.targets


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature by which dividing the logits gives the least cross-entropy.

    C. Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2; by search on a grid, since the
    loss has one minimum.

    Args:
        logits: [N, C] of held-out items.
        targets: [N, C] probabilities.
    """
    losses = [float(soft_cross_entropy(logits / float(value), targets)) for value in _CANDIDATES]
    return float(_CANDIDATES[int(np.argmin(losses))])
