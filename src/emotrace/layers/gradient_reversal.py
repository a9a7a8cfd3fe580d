"""Values -> the same values, whose gradient comes back with the other sign.

What follows learns a task, and what precedes unlearns it. Source: Y. Ganin & V. Lempitsky, "Unsupervised domain
adaptation by backpropagation", ICML 2015, from memory. For losses only; a graph for export has no place for it.
"""

from typing import Any

import torch
from torch import Tensor


def reverse_gradient(values: Tensor, strength: float) -> Tensor:
    """Return the values; on the way back their gradient is multiplied by minus the strength.

    Args:
        values: of any shape.
        strength: lambda, a constant: 0 keeps the gradient from all that precedes, 1 passes all of it on, reversed.
    """
    reversed_later: Tensor = _Reversal.apply(values, strength)  # type: ignore[no-untyped-call]  # not in its stubs
    return reversed_later


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None
