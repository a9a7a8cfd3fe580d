"""Cepstral coefficients against scipy's transform, deltas against straight lines."""

import pytest
import torch
from scipy.fft import dct
from torch import Generator, Tensor

from emotrace.layers.mel import DELTA_CONTEXT, Mfcc, deltas


def _frames(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(0))


@pytest.mark.parametrize(("bands", "coefficients"), [(64, 13), (64, 32), (24, 24), (7, 1)])
def test_the_coefficients_are_scipys(bands: int, coefficients: int) -> None:
    log_mel = _frames(3, 5, bands)
    expected = torch.from_numpy(dct(log_mel.numpy(), type=2, norm="ortho", axis=-1))[..., :coefficients]
    torch.testing.assert_close(Mfcc(bands, coefficients)(log_mel), expected, atol=1e-5, rtol=1e-4)


def test_all_coefficients_together_lose_nothing() -> None:
    mfcc, log_mel = Mfcc(16, 16), _frames(4, 16)
    torch.testing.assert_close(mfcc(log_mel) @ mfcc.cosines.T, log_mel, atol=1e-5, rtol=1e-4)


def test_nothing_is_learnt_or_saved() -> None:
    mfcc = Mfcc(16, 4)
    assert not list(mfcc.parameters())
    assert not mfcc.state_dict()


@pytest.mark.parametrize("coefficients", [0, 17])
def test_coefficients_that_do_not_exist_are_refused(coefficients: int) -> None:
    with pytest.raises(ValueError, match=r"expected 1\.\.16"):
        Mfcc(16, coefficients)


def test_the_delta_of_a_line_is_its_slope() -> None:
    slope = torch.tensor([0.5, -2.0, 0.0])
    line = torch.arange(9.0)[:, None] * slope + 3
    torch.testing.assert_close(deltas(line), slope.expand(9 - DELTA_CONTEXT, -1))


def test_the_delta_is_the_slope_of_least_squares() -> None:
    frames = _frames(2, 7, 3)
    times = torch.arange(-2.0, 3.0)
    found = deltas(frames)
    assert found.shape == (2, 3, 3)
    for place in range(3):
        expected = torch.einsum("t,btc->bc", times, frames[:, place : place + 5]) / times.square().sum()
        torch.testing.assert_close(found[:, place], expected)
