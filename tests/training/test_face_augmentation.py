"""Disturbances of face crops keep shape and range, repeat for their generator, and differ between crops."""

import pytest
import torch
from torch import Tensor

from emotrace.training.face_augmentation import augment


@pytest.fixture(name="crops")
def _crops() -> Tensor:
    rows = torch.linspace(0.2, 0.8, 48).view(1, 1, 48, 1)
    picture = rows + 0.1 * torch.rand(48, 48, generator=torch.Generator().manual_seed(0))
    return picture.expand(12, 1, 48, 48).clone()


def disturbed(crops: Tensor, seed: int = 0) -> Tensor:
    return augment(crops, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 2, 12])
def test_shape_and_range_are_kept(crops: Tensor, count: int) -> None:
    out = disturbed(crops[:count])
    assert out.shape == (count, 1, 48, 48)
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_crops_stay_in_range_and_known(value: float) -> None:
    out = disturbed(torch.full((12, 1, 48, 48), value))
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_the_same_generator_state_gives_the_same_crops_and_another_others(crops: Tensor) -> None:
    assert torch.equal(disturbed(crops, 3), disturbed(crops, 3))
    assert not torch.equal(disturbed(crops, 3), disturbed(crops, 4))


def test_equal_crops_are_disturbed_differently(crops: Tensor) -> None:
    out = disturbed(crops).flatten(1)
    distance = torch.cdist(out, out) + torch.eye(len(out)) * 1e9
    assert distance.min() > 0.5


def test_what_is_disturbed_stays_as_it_was(crops: Tensor) -> None:
    before = crops.clone()
    disturbed(crops)
    assert torch.equal(crops, before)


def test_a_disturbed_crop_still_shows_its_picture(crops: Tensor) -> None:
    # The picture gets lighter downwards; flips, turns up to 20 degrees and light from a side leave that to be seen.
    out = torch.cat([disturbed(crops, seed) for seed in range(10)])
    lighter_below = out[:, :, 24:].mean(dim=(1, 2, 3)) > out[:, :, :24].mean(dim=(1, 2, 3))
    assert lighter_below.float().mean() > 0.8


def test_half_of_the_crops_are_mirrored() -> None:
    columns = torch.linspace(0.2, 0.8, 48).view(1, 1, 1, 48).expand(400, 1, 48, 48)
    out = disturbed(columns)
    rising = (out[..., 24:].mean(dim=(1, 2, 3)) > out[..., :24].mean(dim=(1, 2, 3))).float().mean()
    assert 0.4 < rising < 0.6
