"""A training run: it repeats, goes on where it stopped, keeps its best epoch, and says what it did."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emotrace.training.classifier import Batches, soft_cross_entropy, train
from emotrace.training.run import seeded
from emotrace.training.settings import FaceSettings
from tests.training.toys import Net, Points, PowerCutError, points

EPOCHS = 4
BATCHES_PER_EPOCH = 3
SETTINGS = FaceSettings(
    network="face-cnn",
    epochs=EPOCHS,
    batch_size=8,
    learning_rate=0.02,
    weight_decay=0.01,
    patience=EPOCHS,
    average_decay=0.8,
    precision="32-true",
)


def weights(
    folder: Path,
    settings: FaceSettings = SETTINGS,
    training: Points | None = None,
    *,
    monitor: str = "validation_loss",
    resume: bool = False,
) -> dict[str, Tensor]:
    network = train(
        Net(),
        settings,
        training or points(),
        points(seed=1),
        folder,
        monitor=monitor,
        resume=resume,
        mixing=0.2,
    )
    return network.state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def metrics(folder: Path, name: str) -> list[float]:
    """Return what was logged under a name, epoch after epoch, over all starts of the run."""
    rows: list[dict[str, str]] = []
    for table in sorted(folder.glob("metrics/version_*/metrics.csv")):
        with table.open(newline="") as lines:
            rows += csv.DictReader(lines)
    return [float(row[name]) for row in rows if row.get(name)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, weights(folder)


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("average_decay", [0.0, 0.8])
def test_a_run_that_was_stopped_and_resumed_gives_the_same_weights(
    stop: int, average_decay: float, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"average_decay": average_decay})
    expected = weights(tmp_path / "whole", settings)
    stopped = points()
    stopped.draws_left = stop * BATCHES_PER_EPOCH + 1  # in the middle of an epoch
    with pytest.raises(PowerCutError):
        weights(tmp_path / "stopped", settings, stopped)
    resumed = points()
    resumed.draws_left = (EPOCHS - stop) * BATCHES_PER_EPOCH  # nothing is trained twice
    assert equal(weights(tmp_path / "stopped", settings, resumed, resume=True), expected)


def test_resuming_a_finished_run_trains_nothing(tmp_path: Path) -> None:
    finished = weights(tmp_path)
    untouched = points()
    untouched.draws_left = 0
    assert equal(weights(tmp_path, training=untouched, resume=True), finished)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    uninterrupted: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    expected = uninterrupted[1]
    torch.manual_seed(12345)  # whatever was drawn before makes no difference
    assert equal(weights(tmp_path / "again"), expected)
    other = SETTINGS.model_copy(update={"seed": 1})
    assert not equal(weights(tmp_path / "other", other), expected)


def test_a_run_leaves_figures_of_every_epoch_and_events(uninterrupted: tuple[Path, dict[str, Tensor]]) -> None:
    folder = uninterrupted[0]
    for name in ("loss", "validation_loss", "validation_accuracy", "validation_recall"):
        assert len(metrics(folder, name)) == EPOCHS
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_a_resumed_run_keeps_the_figures_from_before(
    uninterrupted: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    stopped = points()
    stopped.draws_left = 2 * BATCHES_PER_EPOCH
    with pytest.raises(PowerCutError):
        weights(tmp_path, training=stopped)
    weights(tmp_path, resume=True)
    told = metrics(tmp_path, "validation_loss")
    assert told == metrics(uninterrupted[0], "validation_loss")


@pytest.mark.parametrize(("monitor", "best"), [("validation_loss", min), ("validation_accuracy", max)])
def test_the_weights_are_those_of_the_epoch_with_the_best_figure(
    monitor: str, best: Callable[[list[float]], float], tmp_path: Path
) -> None:
    # A rate this high makes the figures go up and down.
    wild = SETTINGS.model_copy(update={"learning_rate": 0.5, "average_decay": 0.0})
    network = Net()
    network.load_state_dict(weights(tmp_path, wild, monitor=monitor))
    told = metrics(tmp_path, monitor)
    assert len(set(told)) > 1
    held_out = points(seed=1)
    with torch.inference_mode():
        logits = network.eval()(held_out.points)[1]
    hits = logits.argmax(dim=1) == held_out.targets.argmax(dim=1)
    reached = soft_cross_entropy(logits, held_out.targets) if best is min else hits.float().mean()
    assert float(reached) == pytest.approx(best(told), rel=1e-5)


def test_training_stops_when_nothing_gets_better_any_more(tmp_path: Path) -> None:
    stuck = SETTINGS.model_copy(update={"learning_rate": 1e-12, "patience": 2, "epochs": 9, "average_decay": 0.0})
    weights(tmp_path, stuck, monitor="validation_accuracy")
    assert len(metrics(tmp_path, "validation_accuracy")) == 3  # the first, and two that are no better


def test_resuming_a_run_that_had_stopped_early_gives_the_same_weights(tmp_path: Path) -> None:
    # So high a rate that the first epochs are the best, and later ones worse.
    early = SETTINGS.model_copy(update={"learning_rate": 0.5, "patience": 1, "epochs": 9, "average_decay": 0.0})
    expected = weights(tmp_path, early, monitor="validation_accuracy")
    epochs = len(metrics(tmp_path, "validation_accuracy"))
    assert epochs < 9
    assert equal(weights(tmp_path, early, monitor="validation_accuracy", resume=True), expected)
    assert len(metrics(tmp_path, "validation_accuracy")) == epochs


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    weights(tmp_path, SETTINGS.model_copy(update={"epochs": 10, "learning_rate": 0.1}))
    told = metrics(tmp_path, "validation_loss")
    assert told[-1] < 0.8 * math.log(3)
    assert told[-1] < told[0]


def test_every_epoch_draws_another_order_and_the_same_again() -> None:
    batches = Batches(points(), 8, seed=0, training=True)

    def drawn(epoch: int) -> Tensor:
        batches.set_epoch(epoch)
        return torch.cat([inputs for inputs, _ in batches])

    first, second = drawn(0), drawn(1)
    assert not torch.equal(first, second)
    assert torch.equal(drawn(0), first)
    batches.seed = 1
    assert not torch.equal(drawn(0), first)


def test_validation_batches_are_all_items_in_order() -> None:
    items = points(10)
    batches = Batches(items, 4, seed=0, training=False)
    parts = list(batches)
    assert [len(inputs) for inputs, _ in parts] == [4, 4, 2]
    assert len(batches) == 3
    assert torch.equal(torch.cat([inputs for inputs, _ in parts]), items.points)
    assert torch.equal(torch.cat([targets for _, targets in parts]), items.targets)


@pytest.mark.parametrize(("count", "sizes"), [(8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2]), (1, [1])])
def test_no_training_batch_is_a_single_item_unless_there_is_no_other(count: int, sizes: list[int]) -> None:
    batches = Batches(points(count), 4, seed=0, training=True)
    assert [len(inputs) for inputs, _ in batches] == sizes
    assert len(batches) == len(sizes)


def test_items_are_drawn_by_their_weight() -> None:
    items = points(30)
    items.draw_weight = torch.where(items.targets[:, 0] == 1, 4.0, 1.0)  # a third with four times the weight
    batches = Batches(items, 10, seed=0, training=True)
    share = []
    for epoch in range(100):
        batches.set_epoch(epoch)
        share.append(torch.cat([targets for _, targets in batches])[:, 0].mean())
    assert float(torch.stack(share).mean()) == pytest.approx(4 / 6, abs=0.04)


def test_generators_of_other_numbers_draw_other_values() -> None:
    numbers = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0)]
    drawn = {float(torch.rand((), generator=seeded(*parts), dtype=torch.float64)) for parts in numbers}
    assert len(drawn) == len(numbers)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    targets = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    expected = (math.log(2) - 0.5 * math.log(0.75) - 0.5 * math.log(0.25)) / 2
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx(expected, rel=1e-6)
