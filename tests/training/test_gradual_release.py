"""The schedule on a learner whose scores are told to it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from emotrace.training.gradual_release import GradualRelease

FALLING = [float(-epoch) for epoch in range(40)]
"""Scores of which the first is the best: with a patience of 1, every second epoch the rate falls."""


class _Learner(lightning.LightningModule):
    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))
        self.norm = nn.BatchNorm1d(3)
        self.scores = scores
        self.release = GradualRelease(
            [
                [*self.parts[3].parameters(), *self.norm.parameters()],
                *(list(self.parts[n].parameters()) for n in (2, 1)),
            ],
            monitor="score",
            learning_rate=1e-2,
            least_rate=1e-3,
            weight_decay=1e-3,
            patience=1,
        )

    def forward(self, values: Tensor) -> Tensor:
        for part in self.parts:
            values = values + part(values).tanh()
        normed: Tensor = self.norm(values)
        return normed

    def training_step(self, batch: list[Tensor], batch_index: int) -> Tensor:
        loss: Tensor = (self(batch[0]) - batch[0].flip(1)).square().mean()
        return loss

    def validation_step(self, batch: list[Tensor], batch_index: int) -> None:
        self.log("score", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.release.optimiser()


class _Diary(lightning.Callback):
    """Writes down after every training epoch, before the schedule acts, what has changed since its beginning."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.rates: list[float] = []
        self.begun: list[dict[str, Tensor]] = []
        self.ended: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.begun.append(_weights(pl_module))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        now = _weights(pl_module)
        self.ended.append(now)
        parts = ("parts.0", "parts.1", "parts.2", "parts.3")
        moved = [
            part[-1]
            for part in parts
            if any(not torch.equal(now[name], self.begun[-1][name]) for name in now if name.startswith(part))
        ]
        self.changed.append("".join(moved))


def _weights(learner: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.state_dict().items()}


def _fit(
    scores: Sequence[float], epochs: int, folder: Path, *, resume: bool = False
) -> tuple[_Learner, _Diary, lightning.Trainer]:
    learner, diary = _Learner(scores), _Diary()
    last = ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[last, diary, learner.release],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    values = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    batches = DataLoader(TensorDataset(values), batch_size=8)
    trainer.fit(learner, batches, batches, ckpt_path=str(folder / "last.ckpt") if resume else None, weights_only=True)
    return learner, diary, trainer


pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:Checkpoint directory")


def test_the_groups_are_set_free_one_after_the_other_until_the_run_ends(tmp_path: Path) -> None:
    _, diary, trainer = _fit(FALLING, 40, tmp_path)
    # A patience of 1: the first score is the best, the third epoch lowers the rate, the fifth once more, below the
    # least. After that the first score of a group is the best that its own watch has seen.
    assert diary.changed == ["3"] * 5 + ["23"] * 5 + ["123"] * 5
    assert diary.rates == pytest.approx(([1e-2] * 3 + [1e-3] * 2) * 3)
    assert trainer.current_epoch == 15


def test_what_is_in_no_group_is_never_changed(tmp_path: Path) -> None:
    learner, _, _ = _fit(FALLING, 40, tmp_path)
    for found, expected in zip(learner.parts[0].parameters(), _Learner(FALLING).parts[0].parameters(), strict=True):
        assert torch.equal(found, expected)


def test_after_every_epoch_the_best_weights_are_back(tmp_path: Path) -> None:
    scores = [0.1, 0.3, 0.2, 0.5, 0.4, 0.6]
    learner, diary, _ = _fit(scores, len(scores), tmp_path)
    best = [0, 1, 1, 3, 3]
    for begun, epoch in zip(diary.begun[1:], best, strict=True):
        assert all(torch.equal(value, diary.ended[epoch][name]) for name, value in begun.items())
    assert all(torch.equal(value, diary.ended[5][name]) for name, value in _weights(learner).items())


def test_while_the_score_rises_nothing_is_set_free(tmp_path: Path) -> None:
    learner, diary, _ = _fit([float(epoch) for epoch in range(12)], 12, tmp_path)
    assert learner.release.released == 1
    assert set(diary.changed) == {"3"}


@pytest.mark.parametrize("stopped", [1, 3, 5, 7, 10])
def test_a_stopped_run_goes_on_with_the_same_result(stopped: int, tmp_path: Path) -> None:
    scores = [0.1, 0.3, 0.2, 0.1, 0.2, 0.4, 0.3, 0.2, 0.1, 0.5, *[0.3] * 20]
    whole, diary, _ = _fit(scores, 13, tmp_path / "whole")
    _fit(scores, stopped, tmp_path / "stopped")
    found, rest, _ = _fit(scores, 13, tmp_path / "stopped", resume=True)
    assert rest.changed == diary.changed[stopped:]
    assert rest.rates == diary.rates[stopped:]
    assert found.release.released == whole.release.released > 1
    assert all(torch.equal(value, _weights(found)[name]) for name, value in _weights(whole).items())


def test_a_run_that_had_ended_does_not_train_on(tmp_path: Path) -> None:
    ended, _, _ = _fit(FALLING, 40, tmp_path)
    found, diary, _ = _fit(FALLING, 40, tmp_path, resume=True)
    assert diary.changed == []
    assert all(torch.equal(value, _weights(found)[name]) for name, value in _weights(ended).items())


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    learner, diary, _ = _fit([torch.nan, torch.nan], 2, tmp_path)
    assert all(torch.equal(value, diary.begun[0][name]) for name, value in _weights(learner).items())
