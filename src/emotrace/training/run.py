"""One training run with PyTorch Lightning: optimiser, early stopping, resumable checkpoints, logs."""

import math
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy, Strategy
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator

from emotrace.training.processes import current_group, give_to_all_nodes
from emotrace.training.settings import RunSettings

_WARM_UP_SHARE = 0.05


def seeded(*parts: int) -> Generator:
    """Return a generator for this combination of numbers."""
    state = 0
    for part in parts:
        state = (state * 1_000_003 + part + 1) % (2**62)
    return torch.Generator().manual_seed(state)


def tell_epoch(learner: lightning.LightningModule) -> None:
    """Tell the training batches which epoch begins: Lightning does so for samplers of its own kind only."""
    batches: Any = learner.trainer.train_dataloader
    batches.set_epoch(learner.current_epoch)


def optimiser(learner: lightning.LightningModule, settings: RunSettings) -> OptimizerLRScheduler:
    """Return AdamW with a linear warm-up over 5 % of the steps and a cosine down to zero, as Lightning wants it."""
    adam = torch.optim.AdamW(learner.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    total = int(learner.trainer.estimated_stepping_batches)
    warm_up = max(1, round(total * _WARM_UP_SHARE))

    def scale(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, total - warm_up))))

    scheduler = torch.optim.lr_scheduler.LambdaLR(adam, scale)
    return {"optimizer": adam, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(
    learner: lightning.LightningModule,
    settings: RunSettings,
    training: Any,
    validation: Any,
    folder: Path,
    *,
    monitor: str,
    resume: bool,
    show_progress: bool = True,
    schedule: lightning.Callback | None = None,
) -> None:
    """Train and leave the learner with the weights of its best validation epoch.

    In a group of processes (`processes.py`) all train one learner by DDP, whose gradients are averaged; the files are
    those of the first process. All of them validate, and the mean of their figures decides.

    Args:
        learner: its `configure_optimizers` should be `optimiser`.
        settings: epochs, patience, precision, averaging.
        training: batches; told the epoch by the learner.
        validation: batches.
        folder: `best.ckpt`, `last.ckpt`, TensorBoard events, and per start `metrics/version_N/metrics.csv`.
        monitor: name of a logged figure; a loss is better when smaller, all others when larger.
        resume: go on from the folder's last checkpoint when there is one, with the same result as without a stop.
        show_progress: draw bars on stderr; not where several runs would draw over each other.
        schedule: changes rates or weights between epochs, see `gradual_release.py`; it forbids averaging.
    """
    mode: Literal["min", "max"] = "min" if monitor.endswith("loss") else "max"
    callbacks: list[lightning.Callback] = [
        *([] if schedule is None else [schedule]),
        ModelCheckpoint(dirpath=folder, filename="best", monitor=monitor, mode=mode, enable_version_counter=False),
        # Without a monitor the newest epoch replaces the one before: what a stopped run goes on from.
        ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False),
        EarlyStopping(monitor=monitor, mode=mode, patience=settings.patience),
    ]
    if show_progress:
        callbacks.append(TQDMProgressBar(refresh_rate=20))
    if settings.average_decay > 0 and schedule is None:
        callbacks.append(EMAWeightAveraging(decay=settings.average_decay))
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        precision=settings.precision,
        callbacks=callbacks,
        logger=[TensorBoardLogger(folder, name="", version=""), CSVLogger(folder, name="metrics")],
        gradient_clip_val=5.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=show_progress,
        log_every_n_steps=20,
        **_where(),
    )
    best_file, last = folder / "best.ckpt", folder / "last.ckpt"
    together = current_group() is not None
    going_on = resume and (give_to_all_nodes(last) if together else last.exists())
    if not (going_on and _lost_patience(last)):
        with redirect_stdout(sys.stderr):  # Lightning's bars would go to stdout, which is for results
            trainer.fit(learner, training, validation, ckpt_path=str(last) if going_on else None)
    if together:
        give_to_all_nodes(last)
        give_to_all_nodes(best_file)
    best = torch.load(best_file, weights_only=True, map_location="cpu")
    learner.load_state_dict(best["state_dict"])


class _Where(TypedDict):
    accelerator: str
    devices: int
    num_nodes: int
    strategy: str | Strategy
    plugins: LightningEnvironment | None
    use_distributed_sampler: bool


def _where() -> _Where:
    """Return what the trainer runs on: this process alone, or with the others of its group."""
    group = current_group()
    if group is None:
        strategy: str | Strategy = "auto"
    else:
        # A system may leave parts of it out of some batches, as alternating training does.
        strategy = DDPStrategy(process_group_backend=group.backend, find_unused_parameters=True)
    return {
        "accelerator": "auto" if group is None else "cuda" if group.has_gpus else "cpu",
        "devices": 1 if group is None else group.processes,
        "num_nodes": 1 if group is None else group.nodes,
        "strategy": strategy,
        "plugins": None if group is None else LightningEnvironment(),
        "use_distributed_sampler": False,
    }


def _lost_patience(checkpoint: Path) -> bool:
    """Tell whether early stopping had ended the run: Lightning would train one more epoch before it stops again."""
    callbacks = torch.load(checkpoint, weights_only=True, map_location="cpu")["callbacks"]
    stopping = next(state for name, state in callbacks.items() if name.startswith(EarlyStopping.__name__))
    return bool(stopping["wait_count"] >= stopping["patience"])
