"""The polarity-consistent cross-entropy against torch's."""

import pytest
import torch
from torch import Tensor

from emotrace.losses import polarity_cross_entropy

POLARITY = torch.tensor([-1, -1, 1, 1, 0])
SURE = 4 * torch.eye(5)
"""Logits of a clip that is taken for each class."""


def _cost(taken_for: int, label: int, weight: float = 0.5) -> float:
    """How many times the cross-entropy is paid."""
    logits, labels = SURE[[taken_for]], torch.tensor([label])
    plain = torch.nn.functional.cross_entropy(logits, labels)
    return float(polarity_cross_entropy(logits, labels, POLARITY, weight) / plain)


@pytest.mark.parametrize(("taken_for", "label"), [(0, 2), (3, 1)])
def test_the_opposite_polarity_costs_half_as_much_again(taken_for: int, label: int) -> None:
    assert _cost(taken_for, label) == pytest.approx(1.5)
    assert _cost(taken_for, label, weight=2.0) == pytest.approx(3)


@pytest.mark.parametrize(("taken_for", "label"), [(0, 0), (0, 1), (2, 3), (4, 0), (2, 4), (4, 4)])
def test_right_answers_the_same_polarity_and_none_cost_no_more(taken_for: int, label: int) -> None:
    assert _cost(taken_for, label) == pytest.approx(1)


def _batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 5, generator=generator), torch.randint(5, (20,), generator=generator)


def test_the_gradient_is_that_of_the_cross_entropy_times_the_cost_of_each_clip() -> None:
    logits, labels = _batch()
    logits.requires_grad_()
    torch.autograd.backward(polarity_cross_entropy(logits, labels, POLARITY))
    opposite = POLARITY[logits.argmax(dim=1)] * POLARITY[labels] == -1
    assert opposite.any()
    assert not opposite.all()
    # That of cross-entropy by a logit is softmax - target.
    by_hand = logits.detach().softmax(dim=1) - torch.nn.functional.one_hot(labels, 5)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, by_hand * torch.where(opposite, 1.5, 1.0)[:, None] / len(labels))


def test_without_weight_it_is_the_cross_entropy() -> None:
    logits, labels = _batch()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(polarity_cross_entropy(logits, labels, POLARITY, weight=0.0), expected)
