"""Stage one on crops whose bright part grows with their value: it is learnt, repeats, resumes and is judged fairly."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from emotrace.encoders.counting import count_parameters
from emotrace.errors import SettingsError
from emotrace.training import face_regression
from emotrace.training.face_networks import (
    FACE_NETWORKS,
    FaceItems,
    FaceNetworkResult,
    FaceNetworkSettings,
    train_face_network,
)
from emotrace.training.face_regression import AllInOrder, FaceRegression, TrainingBatches
from emotrace.training.run import seeded
from tests.training.toys import PowerCutError

Network = Literal["vgg19", "alexnet", "inception-v3", "improved-alexnet"]
SIDE = 48


@cache
def items(count: int, seed: int) -> FaceItems:
    """Return noisy crops that are bright above a line: the higher the value the lower the line."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(-0.9, 0.9, count).astype(np.float32)
    rows = np.linspace(-1, 1, SIDE)[None, :, None]
    brightness = np.where(rows < values[:, None, None], 200, 20) + generator.normal(0, 8, (count, SIDE, SIDE))
    return FaceItems(brightness.clip(0, 255).astype(np.uint8), values)


def settings(network: Network = "improved-alexnet", **changes: Any) -> FaceNetworkSettings:
    toy = {"width": 0.06, "image_side": SIDE, "crops_per_epoch": 64, "epochs": 3, "batch_size": 16}
    return FaceNetworkSettings(network=network, dimension="arousal", **(toy | {"learning_rate": 3e-3} | changes))


def trained(
    folder: Path, chosen: FaceNetworkSettings | None = None, *, test_seed: int = 2, resume: bool = False
) -> FaceNetworkResult:
    splits = (items(100, 0), items(40, 1), items(40, test_seed))
    return train_face_network(*splits, chosen or settings(), folder, resume=resume)


def said(result: FaceNetworkResult) -> dict[str, Any]:
    """Return all but the clock."""
    return {name: value for name, value in result.to_dict().items() if not name.startswith("seconds")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> FaceNetworkResult:
    return trained(tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize(
    ("network", "changes", "full_parameters"),
    [
        # As published, with one output for a thousand.
        ("vgg19", {"epochs": 4}, 143_667_240 - 999 * 4097),
        ("alexnet", {"epochs": 4}, 61_100_840 - 999 * 4097),
        ("inception-v3", {"image_side": 75, "epochs": 5, "learning_rate": 1e-2}, 23_834_568 - 999 * 2049),
        # The paper gives no count of its own that could be right.
        ("improved-alexnet", {"epochs": 6}, 18_396_225),
    ],
)
def test_every_network_learns_and_tells_its_full_size(
    network: Network, changes: dict[str, Any], full_parameters: int, tmp_path: Path
) -> None:
    result = trained(tmp_path, settings(network, **changes))
    assert min(result.training_rmse) < 0.9 * result.training_rmse[0]
    assert max(result.validation_r2) > 0.05
    assert result.test_r2 > 0
    assert 0 < result.test_ccc < 1
    assert result.full_parameters == full_parameters
    assert result.full_multiply_adds > 100 * result.multiply_adds


def test_the_networks_give_as_many_values_as_asked_for() -> None:
    for name, build in FACE_NETWORKS.items():
        for colours, outputs in ((1, 1), (3, 2)):
            network = build(settings(), in_channels=colours, num_outputs=outputs).eval()
            assert network(torch.rand(2, colours, 80, 80)).shape == (2, outputs), name


def test_the_defaults_are_the_papers() -> None:
    defaults = FaceNetworkSettings(network="improved-alexnet", dimension="valence")
    assert (defaults.epochs, defaults.batch_size, defaults.learning_rate) == (1000, 150, 5e-4)
    assert (defaults.width, defaults.image_side, defaults.average_decay) == (1.0, 224, 0.0)
    improved = FACE_NETWORKS["improved-alexnet"](settings(width=1.0), in_channels=3)
    convolutions = (3 * 96 + 96 * 256 + 256 * 512) * 9 + 3 * (96 + 256 + 512)
    fully_connected = 7 * 7 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 + 1
    assert count_parameters(improved) == convolutions + fully_connected


def test_a_run_tells_every_epoch_and_what_the_network_costs(uninterrupted: FaceNetworkResult) -> None:
    result = uninterrupted
    assert {len(result.training_rmse), len(result.validation_rmse), len(result.validation_r2)} == {3}
    assert len(result.seconds) == 3
    assert min(result.seconds) <= result.seconds_per_epoch <= max(result.seconds)
    assert (result.network, result.dimension, result.seed) == ("improved-alexnet", "arousal", 0)
    assert 0 < result.parameters < 0.01 * result.full_parameters
    assert 0 < result.multiply_adds < 0.01 * result.full_multiply_adds
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


def test_a_run_that_was_stopped_and_resumed_says_the_same_and_keeps_the_clock(
    uninterrupted: FaceNetworkResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*parts: int) -> Generator:
        if parts[1:] == (2, 1):  # in the middle of the third epoch
            raise PowerCutError
        return seeded(*parts)

    monkeypatch.setattr(face_regression, "seeded", power_cut)
    with pytest.raises(PowerCutError):
        trained(tmp_path)
    monkeypatch.setattr(face_regression, "seeded", seeded)
    before = torch.load(tmp_path / "last.ckpt", weights_only=True)["curves"]["seconds"]
    resumed = trained(tmp_path, resume=True)
    assert said(resumed) == said(uninterrupted)
    assert resumed.seconds[:2] == before
    assert len(resumed.seconds) == 3


def test_resuming_a_finished_run_says_the_same_again(tmp_path: Path) -> None:
    short = settings("alexnet", epochs=2)
    assert trained(tmp_path, short, resume=True) == trained(tmp_path, short, resume=True)


def test_resuming_a_run_that_had_stopped_early_says_the_same_again(tmp_path: Path) -> None:
    early = settings("alexnet", learning_rate=1e-12, patience=1, epochs=9)
    finished = trained(tmp_path, early)
    assert len(finished.seconds) < 9
    assert trained(tmp_path, early, resume=True) == finished


def test_the_weights_of_the_best_validation_epoch_are_judged(tmp_path: Path) -> None:
    wild = settings("alexnet", learning_rate=0.01, epochs=6)
    result = trained(tmp_path, wild, test_seed=1)  # tested on the validation split
    best = result.best_epoch
    assert best == int(np.argmax(result.validation_r2))
    assert result.test_r2 == pytest.approx(result.validation_r2[best], abs=1e-5)
    assert result.test_rmse == pytest.approx(result.validation_rmse[best], abs=1e-5)


def test_the_test_split_decides_nothing(uninterrupted: FaceNetworkResult, tmp_path: Path) -> None:
    other = said(trained(tmp_path, test_seed=3))
    expected = said(uninterrupted)
    assert {name for name in other if other[name] != expected[name]} == {"test_r2", "test_rmse", "test_ccc"}


def test_another_seed_gives_other_curves(uninterrupted: FaceNetworkResult, tmp_path: Path) -> None:
    assert trained(tmp_path, settings(seed=1, epochs=1)).training_rmse[0] != uninterrupted.training_rmse[0]


def test_a_network_that_cannot_see_such_small_crops_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="InceptionV3 got crops of 48x48 pixels"):
        trained(tmp_path / "run", settings("inception-v3"))
    assert not (tmp_path / "run").exists()


def drawn(chosen: FaceNetworkSettings, epoch: int, count: int = 100) -> list[tuple[Tensor, Tensor]]:
    batches = TrainingBatches(items(count, 0), chosen)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def test_all_networks_see_the_same_crops_in_the_same_order() -> None:
    for epoch in (0, 5):
        for one, other in zip(drawn(settings("vgg19"), epoch), drawn(settings("alexnet"), epoch), strict=True):
            assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    assert not torch.equal(drawn(settings(), 0)[0][1], drawn(settings(), 1)[0][1])
    assert not torch.equal(drawn(settings(), 0)[0][1], drawn(settings(seed=1), 0)[0][1])


def test_about_half_of_the_training_crops_are_mirrored_and_none_of_the_others() -> None:
    faces = items(100, 0)
    place = {float(value): row for row, value in enumerate(faces.values)}
    mirrored = []
    for crops, values in drawn(settings(crops_per_epoch=100), 0):
        for crop, value in zip(crops[:, 0].numpy(), values.tolist(), strict=True):
            original = faces.crops[place[value]]
            turned = np.array_equal(crop, original[:, ::-1])
            assert turned or np.array_equal(crop, original)
            mirrored.append(turned)
    assert 0.3 < np.mean(mirrored) < 0.7
    untouched = torch.cat([crops for crops, _ in AllInOrder(faces)])
    assert np.array_equal(untouched[:, 0].numpy(), faces.crops)


@pytest.mark.parametrize(
    ("count", "per_epoch", "sizes"),
    [(100, 40, [16, 16, 8]), (20, 40, [16, 4]), (100, 33, [16, 16]), (100, 2, [2])],
)
def test_an_epoch_draws_each_crop_once_and_leaves_no_batch_of_one(count: int, per_epoch: int, sizes: list[int]) -> None:
    batches = drawn(settings(crops_per_epoch=per_epoch), 0, count)
    assert [len(values) for _, values in batches] == sizes
    values = torch.cat([values for _, values in batches])
    assert len(torch.unique(values)) == len(values)


class _Saw(torch.nn.Module):
    def forward(self, crops: Tensor) -> Tensor:
        self.crops = crops
        return crops.mean(dim=(2, 3))


@pytest.mark.parametrize("side", [48, 80])
def test_crops_are_resized_and_scaled_to_one(side: int) -> None:
    eye = _Saw()
    steps = np.repeat(np.arange(0, 256, 17, dtype=np.uint8), 4)  # 64 columns, 16 shades
    crops = torch.from_numpy(np.broadcast_to(steps, (2, 1, 64, 64)).copy())
    FaceRegression(eye, settings(image_side=side))(crops)
    assert eye.crops.shape == (2, 1, side, side)
    ramp = eye.crops[0, 0, side // 2]
    assert float(ramp[0]) == pytest.approx(0, abs=0.01)
    assert float(ramp[-1]) == pytest.approx(1, abs=0.01)
    assert bool((ramp.diff() > -1e-6).all())


@pytest.mark.parametrize(
    ("crops", "values"),
    [
        (np.zeros((3, 8, 8), np.float32), np.zeros(3, np.float32)),
        (np.zeros((3, 1, 8, 8), np.uint8), np.zeros(3, np.float32)),
        (np.zeros((3, 8, 8), np.uint8), np.zeros((3, 2), np.float32)),
        (np.zeros((1, 8, 8), np.uint8), np.zeros(1, np.float32)),
        (np.zeros((3, 8, 8), np.uint8), np.zeros(3, np.float64)),
        (np.zeros((3, 8, 8), np.uint8), np.array([0, np.nan, 0], np.float32)),
    ],
)
def test_crops_and_values_that_do_not_fit_are_refused(crops: NDArray[Any], values: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        FaceItems(crops, values)
