"""Two real processes train what one trains: the same losses and weights, whatever the loss is made of."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from torch import Tensor

from emotrace.errors import CorpusError, EmotraceError
from emotrace.training import clip_training, system_training
from emotrace.training.arrays import read_tensors, write_arrays
from emotrace.training.cells import SystemCell, start_worker
from emotrace.training.fitting import why_not
from emotrace.training.presets import PRESETS
from emotrace.training.processes import Group, run_together, why_no_group
from emotrace.training.settings import EncoderSettings, SystemSettings
from emotrace.training.sharing import can_share
from emotrace.training.stage_one import StageOneSettings
from emotrace.training.train import train
from tests.training.tracks import sliced, track

TWO = Group(2)
_GRADIENT = "gradient of "
"""Of the first step, before Adam divides it by its size."""
_OFF = {"end-to-end-lstm": 0.05}
"""Share by which a gradient may be off. That of a new ResNet-50 is 2 % off in one process too, against 64 bits."""
_BANDS = {"log-mel": 64, "log-spectrogram": 200}


def _settings(key: str, **changes: object) -> SystemSettings:
    few = {"epochs": 2, "batch_size": 5, "stretches_per_epoch": 10, "stretch_seconds": 4.0, "average_decay": 0.5}
    return PRESETS[key].settings.model_copy(update=few | changes)


def _train(every: Sequence[SystemSettings], folder: Path, killed: int | None = None) -> None:
    """Train on toy recordings and keep weights and the loss of every step; one process may kill itself."""
    start_worker()
    losses: list[float] = []
    gradients: dict[str, Tensor] = {}
    for learner in (system_training.SystemLearner, clip_training.ClipLearner):
        _listen(learner, losses, gradients, killed if os.environ.get("LOCAL_RANK") == "1" else None)
    rank = os.environ.get("RANK", "alone")
    for number, settings in enumerate(every):
        bands = _BANDS.get(settings.front_end)
        tracks = [replace(track(f"t{place}", seed=place), subject=f"speaker {place % 2}") for place in range(6)]
        if bands is not None:
            tracks = [sliced(each, bands) for each in tracks]
        losses.clear()
        gradients.clear()
        system = train(tracks[:4], tracks[4:], settings, folder / str(number), whole=False)
        state = {name: each.numpy() for name, each in (*system.state_dict().items(), *gradients.items())}
        write_arrays(folder / f"{rank}-{number}.safetensors", state, "")
        (folder / f"{rank}-{number}.json").write_text(json.dumps(losses))


def _listen(learner: Any, losses: list[float], gradients: dict[str, Tensor], killed: int | None) -> None:
    step: Callable[..., Tensor] = learner.training_step

    def training_step(self: Any, *arguments: Any) -> Tensor:
        if len(losses) == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = step(self, *arguments)
        losses.append(float(loss.detach()))
        return loss

    def on_before_optimizer_step(self: Any, optimizer: object) -> None:
        if not gradients:
            learnt = {f"{_GRADIENT}{name}": each.grad for name, each in self.named_parameters()}
            gradients.update({name: each.clone() for name, each in learnt.items() if each is not None})

    learner.training_step = training_step
    learner.on_before_optimizer_step = on_before_optimizer_step


def _alone(every: Sequence[SystemSettings], folder: Path) -> None:
    process = get_context("spawn").Process(target=_train, args=(every, folder))
    process.start()
    process.join()
    assert process.exitcode == 0


def _check_same(every: Sequence[SystemSettings], alone: Path, together: Path, *, steps: int = 4) -> None:
    for number, settings in enumerate(every):
        told = [json.loads((folder / f"{rank}-{number}.json").read_text()) for folder, rank in _runs(alone, together)]
        kept = [read_tensors(folder / f"{rank}-{number}.safetensors") for folder, rank in _runs(alone, together)]
        assert len(told[0]) == 4, settings.system
        for losses, weights in zip(told[1:], kept[1:], strict=True):
            assert losses == pytest.approx(told[0][-steps:], rel=1e-5, abs=1e-5), settings.system
            assert [*weights] == [*kept[0]], settings.system
            if steps == len(told[0]):  # else its first step was a later one
                ours, theirs = (_gradient(each) for each in (weights, kept[0]))
                off = (ours - theirs).norm() / theirs.norm()
                assert off < _OFF.get(settings.system, 1e-3), settings.system
            for name, value in kept[0].items():
                if name.startswith(_GRADIENT):
                    continue
                told_of = f"{settings.system}: {name}"
                torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=2e-5, msg=told_of)


def _gradient(kept: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for name, value in kept.items() if name.startswith(_GRADIENT)])


def _runs(alone: Path, together: Path) -> list[tuple[Path, str]]:
    return [(alone, "alone"), (together, "0"), (together, "1")]


def _folders(folder: Path) -> tuple[Path, Path]:
    for name in ("alone", "together"):
        (folder / name).mkdir()
    return folder / "alone", folder / "together"


def test_two_processes_train_as_one_does_frame_by_frame_and_clip_by_clip(tmp_path: Path) -> None:
    every = [_settings("bimodal-attention"), _settings("perception-attention")]
    alone, together = _folders(tmp_path)
    _alone(every, alone)
    run_together(_train, (every, together), TWO)
    _check_same(every, alone, together)


_OTHERS = (
    *("voice-only", "concatenation", "lstm-ensemble", "modular-hierarchy", "leader-follower", "attention-rmse"),
    *("fcn-attention", "g-fbp", "am-fbp", "vaanet", "cross-modal-metric", "disentangled", "disentangled-alternating"),
    *("dialogue-attention", "positive-sample-propagation", "psp-weak", "end-to-end-lstm"),
)


@pytest.mark.slow
def test_two_processes_train_any_system_as_one_does(tmp_path: Path) -> None:
    every = [_settings(key) for key in _OTHERS]
    own = {"visual": EncoderSettings(backbone="own")}
    every += [_settings(key, **own) for key in ("perception-attention", "leader-follower")]
    # The first steps of Adam have one length whatever the gradient: where that is next to nothing, rounding decides.
    every = [each.model_copy(update={"learning_rate": 1e-6}) for each in every]
    alone, together = _folders(tmp_path)
    _alone(every, alone)
    run_together(_train, (every, together), TWO)
    _check_same(every, alone, together)


@pytest.mark.slow
def test_a_killed_process_ends_all_and_any_number_of_processes_goes_on(tmp_path: Path) -> None:
    every = [_settings("bimodal-attention")]
    alone, together = _folders(tmp_path)
    with pytest.raises(EmotraceError, match=r"Process 2 of the 2 .* ended by SIGKILL.* goes on"):
        run_together(_train, (every, together, 3), TWO)
    assert (together / "0" / "last.ckpt").exists()
    assert multiprocessing.active_children() == []
    _alone(every, alone)
    half = tmp_path / "half"
    copytree(together, half)
    run_together(_train, (every, together), TWO)
    _check_same(every, alone, together, steps=2)
    _alone(every, half)  # with one process what two began
    finished, whole = (read_tensors(folder / "alone-0.safetensors") for folder in (half, alone))
    for name, value in whole.items():
        if not name.startswith(_GRADIENT):
            torch.testing.assert_close(finished[name], value, rtol=1e-4, atol=2e-5)


def test_an_error_of_the_user_in_a_process_arrives_as_it_is() -> None:
    with pytest.raises(EmotraceError, match=r"^no such corpus$"):
        run_together(_fail, (), TWO)


def _fail() -> None:
    raise CorpusError("no such corpus")


@pytest.mark.parametrize(
    ("key", "changes", "told"),
    [
        ("kalman-fusion", {}, "fitted at once"),
        ("bimodal-attention", {"batch_size": 3}, "batch_size=3"),
        ("bimodal-attention", {"nodes": 2}, "MASTER_ADDR, MASTER_PORT, NODE_RANK"),
    ],
)
def test_what_processes_cannot_share_is_refused(key: str, changes: dict[str, object], told: str) -> None:
    settings = PRESETS[key].settings.model_copy(update={"processes": 2} | changes)
    assert told in (why_not(key, settings, "recola") or "")


@pytest.mark.parametrize(
    ("name", "value"), [("NODE_RANK", "2"), ("NODE_RANK", "first"), ("MASTER_PORT", "free"), ("WORLD_SIZE", "3")]
)
def test_an_environment_that_does_not_fit_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each, fitting in {"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "1", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(each, fitting)
    assert why_no_group(Group(2, 2)) is None
    monkeypatch.setenv(name, value)
    assert f"{name}={value}" in (why_no_group(Group(2, 2)) or "")


def test_every_system_that_learns_in_batches_can_be_shared() -> None:
    closed = {"kalman-fusion", "decision-fusion"}
    assert {preset.settings.system for preset in PRESETS.values() if not can_share(preset.settings.system)} == closed


@pytest.mark.parametrize("changes", [{"processes": 2}, {"nodes": 3}])
def test_the_number_of_processes_is_no_other_cell(changes: dict[str, int], tmp_path: Path) -> None:
    settings = PRESETS["bimodal-attention"].settings
    told = [
        SystemCell("a", each, tmp_path, StageOneSettings()).told()
        for each in (settings, settings.model_copy(update=changes))
    ]
    assert told[0] == told[1]
