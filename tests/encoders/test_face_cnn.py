"""The default bundle's face network: sizes, what it ignores, and its mirrored pair."""

import math

import pytest
import torch
from torch import Tensor

from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig, standardise
from emotrace.encoders.mirrored import Mirrored

SMALL = FaceCnnConfig(stages=((4, 1), (6, 1)), region_dim=5)


@pytest.fixture(name="crops")
def _crops() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 1, 16, 16)


def test_a_crop_becomes_a_grid_of_regions_and_logits() -> None:
    regions, logits = FaceCnn(FaceCnnConfig()).eval()(torch.rand(2, 1, 48, 48))
    assert regions.shape == (2, 36, 128)
    assert logits.shape == (2, 8)


def test_every_stage_but_the_last_halves_the_grid(crops: Tensor) -> None:
    for stages, side in ((SMALL.stages[:1], 16), (SMALL.stages, 8), ((*SMALL.stages, (6, 2)), 4)):
        network = FaceCnn(FaceCnnConfig(stages=stages, region_dim=5))
        assert network.eval()(crops)[0].shape == (3, side**2, 5)


def test_regions_run_row_by_row() -> None:
    torch.manual_seed(0)
    network = FaceCnn(SMALL).eval()
    crop = torch.rand(1, 1, 48, 48)
    changed = crop.clone()
    changed[:, :, :12, 36:] = torch.rand(1, 1, 12, 12)  # top right corner
    # Mean and variance of the crop change too, which every region notices, but far less.
    moved = (network(changed)[0] - network(crop)[0]).abs().sum(dim=2).view(24, 24)
    elsewhere = moved.clone()
    elsewhere[:8, 16:] = 0
    assert moved[:6, 18:].mean() > 5 * elsewhere.mean()


def test_light_and_contrast_do_not_matter(crops: Tensor) -> None:
    network = FaceCnn(SMALL).eval()
    torch.testing.assert_close(network(0.5 * crops + 0.3)[1], network(crops)[1], atol=1e-2, rtol=0)


def test_standardised_crops_have_zero_mean_and_unit_variance_each(crops: Tensor) -> None:
    out = standardise(crops * torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1, 1))
    torch.testing.assert_close(out.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    deviation = out.flatten(1).std(dim=1, unbiased=False)
    torch.testing.assert_close(deviation, torch.ones(3), atol=0.07, rtol=0)
    assert standardise(torch.full((1, 1, 8, 8), 0.4)).abs().max() < 1e-3  # no division by zero


def test_every_parameter_gets_a_gradient(crops: Tensor) -> None:
    network = FaceCnn(SMALL)
    torch.autograd.backward(network(crops)[1].square().sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


def test_a_mirrored_crop_gives_the_same_logits_and_mirrored_regions(crops: Tensor) -> None:
    network = Mirrored(FaceCnn(SMALL)).eval()
    regions, logits = network(crops)
    mirrored_regions, mirrored_logits = network(crops.flip(-1))
    torch.testing.assert_close(mirrored_logits, logits)
    side = math.isqrt(regions.shape[1])
    grid, mirrored = (each.unflatten(1, (side, side)) for each in (regions, mirrored_regions))
    torch.testing.assert_close(mirrored.flip(2), grid)
    assert not torch.allclose(mirrored, grid)


def test_a_mirrored_network_answers_with_the_mean_of_both_images(crops: Tensor) -> None:
    inner = FaceCnn(SMALL).eval()
    expected = (inner(crops)[1] + inner(crops.flip(-1))[1]) / 2
    torch.testing.assert_close(Mirrored(inner)(crops)[1], expected)
    assert not torch.allclose(inner(crops)[1], expected)
