"""Stage one: train a branch network to tell emotions apart on single items (face images, utterances).

Everything random in an epoch is drawn from generators seeded by (seed, epoch, batch), so a run that is stopped and
resumed at an epoch's end gives the same weights as one that was never stopped.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor, nn

from emotrace.training.run import fit, optimiser, seeded, tell_epoch
from emotrace.training.settings import RunSettings


class Source(Protocol):
    """Labelled items of one split."""

    @property
    def targets(self) -> Tensor:
        """Probabilities of the classes, [N, E]."""

    @property
    def draw_weight(self) -> Tensor:
        """How often an item is drawn in training, relative to the others, [N]."""

    def draw(self, chosen: Tensor, generator: Generator | None) -> Tensor:
        """Return the network's inputs of the chosen items; None for the generator means undisturbed."""


class Batches:
    """Batches of (inputs, targets), the same for the same seed and epoch."""

    def __init__(self, source: Source, batch_size: int, *, seed: int, training: bool) -> None:
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.training = training
        self.epoch = 0

    def __len__(self) -> int:
        count = len(self.source.targets)
        return math.ceil(count / self.batch_size) - int(self._leaves_one())

    def _leaves_one(self) -> bool:
        """Tell whether the last training batch would be a single item, of which there are no batch statistics."""
        count = len(self.source.targets)
        return self.training and count > self.batch_size and count % self.batch_size == 1

    def set_epoch(self, epoch: int) -> None:
        """Draw the order and the disturbances of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.source.targets)
        if not self.training:
            for chosen in torch.split(torch.arange(count), self.batch_size):
                yield self.source.draw(chosen, None), self.source.targets[chosen]
            return
        weights = self.source.draw_weight.double()
        order = torch.multinomial(weights, count, replacement=True, generator=seeded(self.seed, self.epoch))
        for number, chosen in enumerate(torch.split(order, self.batch_size)[: len(self)]):
            generator = seeded(self.seed, self.epoch, number)
            yield self.source.draw(chosen, generator), self.source.targets[chosen]


class Classifier(lightning.LightningModule):
    """Trains a network whose forward gives (embedding, logits [B, E]) with cross-entropy to soft targets."""

    def __init__(self, network: nn.Module, settings: RunSettings, mixing: float) -> None:
        super().__init__()
        self.network = network
        self.mixing = mixing
        self.settings = settings
        self._hits: list[Tensor] = []
        self._truths: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [B, E]."""
        logits: Tensor = self.network(inputs)[1]
        return logits

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch and tell the batches which epoch it is."""
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        inputs, targets = batch
        if self.mixing > 0:
            inputs, targets = self._mixed(inputs, targets)
        loss = soft_cross_entropy(self(inputs), targets)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def _mixed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixtures of every item with another one of the batch (mixup, Zhang et al., ICLR 2018)."""
        share = float(torch.distributions.Beta(self.mixing, self.mixing).sample())
        other = torch.randperm(len(inputs))
        return share * inputs + (1 - share) * inputs[other], share * targets + (1 - share) * targets[other]

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
        recalls = [hits[truths == label].mean() for label in torch.unique(truths)]
        self.log("validation_accuracy", hits.mean(), prog_bar=True)
        self.log("validation_recall", torch.stack(recalls).mean(), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with warm-up and cosine."""
        return optimiser(self, self.settings)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B, E] to target probabilities [B, E]."""
    return -(targets * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


def train(
    network: nn.Module,
    settings: RunSettings,
    training: Source,
    validation: Source,
    folder: Path,
    *,
    monitor: str,
    resume: bool = False,
    mixing: float = 0.0,
) -> nn.Module:
    """Train a branch and return it with the weights of its best validation epoch.

    Args:
        network: gives (embedding, logits) for a batch of inputs.
        settings: epochs, rates, seed.
        training: items drawn by their weight.
        validation: items that decide which epoch is kept.
        folder: checkpoints, TensorBoard events and `metrics/` go here.
        monitor: "validation_loss", "validation_accuracy" or "validation_recall".
        resume: go on from the folder's last checkpoint when there is one.
        mixing: both parameters of the beta distribution of mixup; 0 mixes nothing.
    """
    batches = Batches(training, settings.batch_size, seed=settings.seed, training=True)
    held_out = Batches(validation, 256, seed=0, training=False)
    learner = Classifier(network, settings, mixing)
    fit(learner, settings, batches, held_out, folder, monitor=monitor, resume=resume)
    return network.eval()
