"""Encodings of the known steps."""

import pytest
import torch
from torch import Tensor

from emotrace.layers.known import encode_known

KNOWN = torch.tensor([[True, False, True], [False, False, True]])


def _encoder(inputs: Tensor) -> Tensor:
    assert inputs.isfinite().all()
    return inputs.flatten(1) * 2


def test_known_steps_are_encoded_in_their_place_and_others_are_zero() -> None:
    inputs = torch.randn(2, 3, 2, 2).masked_fill(~KNOWN[..., None, None], torch.nan)
    found = encode_known(_encoder, inputs, KNOWN, 4)
    expected = torch.where(KNOWN[..., None], inputs.flatten(2) * 2, 0)
    torch.testing.assert_close(found, expected)


def test_gradients_reach_known_steps_only() -> None:
    inputs = torch.randn(2, 3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(encode_known(_encoder, inputs, KNOWN, 4).sum(), inputs)
    assert torch.equal(gradient, 2.0 * KNOWN[..., None].expand(2, 3, 4))


@pytest.mark.parametrize("width", [1, 5])
def test_with_nothing_known_all_is_zero_and_the_encoder_is_left_alone(width: int) -> None:
    def refuse(_: Tensor) -> Tensor:
        raise AssertionError

    found = encode_known(refuse, torch.randn(2, 3, 4), torch.zeros_like(KNOWN), width)
    assert torch.equal(found, torch.zeros(2, 3, width))
