"""Stage one: train a branch network to tell emotions apart on single items (face images, utterances).

Everything random in an epoch is drawn from generators seeded by (seed, epoch, batch), so a run that is stopped and
resumed at an epoch's end gives the same weights as one that was never stopped.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    TQDMProgressBar,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import Generator, Tensor, nn

from emotrace.training.settings import BranchSettings

Augment = Callable[[Tensor, Generator], Tensor]


@dataclass(frozen=True)
class Items:
    """Labelled items of one split.

    Attributes:
        inputs: [N, ...] network inputs; uint8 stands for 0..1.
        targets: [N, E] probabilities of the classes; a row of zeros is never drawn.
        draw_weight: [N] how often an item is drawn in training, relative to the others.
    """

    inputs: Tensor
    targets: Tensor
    draw_weight: Tensor


class Batches:
    """Batches of item indices, the same for the same seed and epoch."""

    def __init__(self, items: Items, batch_size: int, *, seed: int, training: bool) -> None:
        self.items = items
        self.batch_size = batch_size
        self.seed = seed
        self.training = training
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.items.inputs) / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.training:
            generator = seeded(self.seed, self.epoch)
            weights = self.items.draw_weight.double()
            order = torch.multinomial(weights, len(weights), replacement=not bool((weights == 1).all()), generator=generator)
        else:
            order = torch.arange(len(self.items.inputs))
        for chosen in order.split(self.batch_size):
            yield unit_range(self.items.inputs[chosen]), self.items.targets[chosen]


def seeded(*parts: int) -> Generator:
    """Return a generator for this combination of numbers."""
    state = 0
    for part in parts:
        state = (state * 1_000_003 + part + 1) % (2**62)
    return torch.Generator().manual_seed(state)


def unit_range(inputs: Tensor) -> Tensor:
    """Return floats; uint8 becomes 0..1."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()


class Classifier(lightning.LightningModule):
    """Trains a network whose forward gives (embedding, logits [B, E]) with cross-entropy to soft targets."""

    def __init__(self, network: nn.Module, settings: BranchSettings, augment: Augment) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.augment = augment
        self._hits: list[Tensor] = []
        self._truths: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [B, E]."""
        logits: Tensor = self.network(inputs)[1]
        return logits

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch and tell the batches which epoch it is."""
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Return the loss of one augmented batch."""
        inputs, targets = batch
        generator = seeded(self.settings.seed, self.current_epoch, batch_index)
        loss = soft_cross_entropy(self(self.augment(inputs, generator)), targets)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Collect hits for the epoch's accuracy and unweighted average recall."""
        inputs, targets = batch
        logits = self(inputs).float()
        self.log("validation_loss", soft_cross_entropy(logits, targets), on_epoch=True)
        truth = targets.argmax(dim=1)
        self._hits.append(logits.argmax(dim=1) == truth)
        self._truths.append(truth)

    def on_validation_epoch_end(self) -> None:
        """Log accuracy and unweighted average recall of the validation split."""
        hits, truths = torch.cat(self._hits).float(), torch.cat(self._truths)
        self._hits.clear()
        self._truths.clear()
        recalls = [hits[truths == label].mean() for label in truths.unique()]
        self.log("validation_accuracy", hits.mean(), prog_bar=True)
        self.log("validation_recall", torch.stack(recalls).mean(), prog_bar=True)

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW with a linear warm-up over 5 % of the steps and a cosine down to zero."""
        settings = self.settings
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        total = int(self.trainer.estimated_stepping_batches)
        warm_up = max(1, total // 20)

        def scale(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, total - warm_up))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, scale)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B, E] to target probabilities [B, E]."""
    return -(targets * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


def train(
    network: nn.Module,
    settings: BranchSettings,
    augment: Augment,
    training: Items,
    validation: Items,
    folder: Path,
    *,
    monitor: str,
    resume: bool = False,
) -> nn.Module:
    """Train a branch and return it with the weights of its best validation epoch.

    Args:
        network: gives (embedding, logits) for a batch of inputs.
        settings: epochs, rates, seed.
        augment: applied to every training batch.
        training: items drawn by their weight.
        validation: items that decide which epoch is kept.
        folder: checkpoints, TensorBoard events and `metrics.csv` go here.
        monitor: "validation_accuracy" or "validation_recall".
        resume: go on from the folder's last checkpoint when there is one.
    """
    learner = Classifier(network, settings, augment)
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="best", monitor=monitor, mode="max", save_last=True, enable_version_counter=False
    )
    callbacks: list[lightning.Callback] = [
        checkpoint,
        EarlyStopping(monitor=monitor, mode="max", patience=settings.patience),
        TQDMProgressBar(refresh_rate=20),
    ]
    if settings.average_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=settings.average_decay))
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        precision=settings.precision,
        accelerator="auto",
        devices=1,
        callbacks=callbacks,
        logger=[TensorBoardLogger(folder, name="", version=""), CSVLogger(folder, name="", version="")],
        gradient_clip_val=5.0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=20,
    )
    batches = Batches(training, settings.batch_size, seed=settings.seed, training=True)
    held_out = Batches(validation, 256, seed=0, training=False)
    last = folder / "last.ckpt"
    trainer.fit(learner, batches, held_out, ckpt_path=str(last) if resume and last.exists() else None)
    best = torch.load(checkpoint.best_model_path, weights_only=True, map_location="cpu")
    learner.load_state_dict(best["state_dict"])
    return network.eval()
