"""Vectors and targets -> linear functions of them, by support vector regression and classification in the primal.

Source of the smooth losses that L-BFGS needs: C.-H. Ho & C.-J. Lin, "Large-scale linear support vector regression",
Journal of Machine Learning Research 13 (2012) 3323-3348 (there "L2-loss" SVC and SVR).

Axes: N vectors, D their width, O functions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_MAX_STEPS = 200


def fit_regression(vectors: Tensor, targets: Tensor, *, tube: float, penalty: float) -> tuple[Tensor, Tensor]:
    """Fit one function per target: errors below `tube` cost nothing, others the square of what is beyond.

    Args:
        vectors: [N, D], about standardised, N > 0.
        targets: [N, O].
        tube: epsilon, in units of the targets.
        penalty: of the weights' squares, against the mean cost of a vector.

    Returns:
        Weights [O, D] and biases [O].
    """
    return _minimised(vectors, targets, penalty, lambda said: (said - targets).abs().sub(tube))


def fit_classes(vectors: Tensor, classes: Tensor, num_classes: int, *, penalty: float) -> tuple[Tensor, Tensor]:
    """Fit one function per class that is >= 1 for its vectors and <= -1 for all others (one against the rest).

    Args:
        vectors: [N, D], about standardised, N > 0.
        classes: [N] in 0..num_classes - 1; a class that no vector has gets a function that is -1 or less.
        num_classes: O.
        penalty: as of `fit_regression`.

    Returns:
        Weights [O, D] and biases [O].
    """
    sides = torch.nn.functional.one_hot(classes, num_classes).to(vectors) * 2 - 1
    return _minimised(vectors, sides, penalty, lambda said: 1 - sides * said)


def _minimised(
    vectors: Tensor, targets: Tensor, penalty: float, shortfall: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Minimise penalty / 2 |w|^2 + mean max(0, shortfall)^2, which is convex; the same answer on every run."""
    vectors = vectors.detach()
    weights = vectors.new_zeros(targets.shape[1], vectors.shape[1]).requires_grad_()
    biases = vectors.new_zeros(targets.shape[1]).requires_grad_()
    solver = torch.optim.LBFGS([weights, biases], max_iter=_MAX_STEPS, line_search_fn="strong_wolfe")

    def cost() -> float:
        solver.zero_grad()
        said = vectors @ weights.T + biases
        total = penalty / 2 * weights.square().sum() + shortfall(said).relu().square().mean(dim=0).sum()
        torch.autograd.backward(total)
        return float(total.detach())

    solver.step(cost)  # type: ignore[no-untyped-call]
    return weights.detach(), biases.detach()
