"""The gradient that comes back with the other sign."""

import pytest
import torch

from emotrace.layers.gradient_reversal import reverse_gradient


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 2.5])
def test_values_stay_and_their_gradient_is_multiplied_by_minus_the_strength(strength: float) -> None:
    torch.manual_seed(0)
    values, weights = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    reversed_later = reverse_gradient(values, strength)
    assert torch.equal(reversed_later, values)
    (gradient,) = torch.autograd.grad((weights * reversed_later.square()).sum(), values)
    torch.testing.assert_close(gradient, -strength * 2 * weights * values.detach())


def test_what_follows_learns_at_full_strength_and_other_ways_to_the_values_are_not_touched() -> None:
    torch.manual_seed(0)
    values, head = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    loss = head @ reverse_gradient(values, 0.5) + values.sum()
    of_values, of_head = torch.autograd.grad(loss, [values, head])
    torch.testing.assert_close(of_head, values.detach())
    torch.testing.assert_close(of_values, 1 - 0.5 * head.detach())


def test_no_values_have_no_gradient_to_reverse() -> None:
    values = torch.randn(0, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(reverse_gradient(values, 1.0).sum(), values)
    assert gradient.shape == (0, 4)
