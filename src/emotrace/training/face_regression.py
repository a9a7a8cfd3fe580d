"""Face crops with ratings of one dimension -> batches of them, and the Lightning module that regresses the ratings.

Axes: N crops, B crops of a batch.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pytorch_lightning as lightning
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from emotrace import metrics
from emotrace.losses import rmse_loss
from emotrace.training.run import seeded, tell_epoch
from emotrace.training.settings import RunSettings
from emotrace.types import FloatArray, Image

_JUDGED_AT_ONCE = 64
"""Crops of a batch that is not trained on."""
_CURVES = ("training_rmse", "validation_rmse", "validation_r2", "seconds")


class FaceRegressionSettings(RunSettings):
    """Equal conditions for all face networks; the paper's where it says anything (P-30 to P-32, P-37)."""

    image_side: int = Field(224, ge=48, description="pixels that crops are resized to; InceptionV3 needs 75")
    crops_per_epoch: int = Field(15_000, gt=1, description="training crops drawn per epoch, all if there are fewer")
    epochs: int = Field(1000, gt=0)
    batch_size: int = Field(150, gt=1)
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    patience: int = Field(50, gt=0)
    average_decay: float = Field(0.0, ge=0, lt=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


@dataclass(frozen=True, eq=False)
class FaceItems:
    """Face crops of one split with the ratings of one dimension.

    Attributes:
        crops: [N, side, side] grey, uint8; N is two at least.
        values: [N] float32 in [-1, 1].
    """

    crops: Image
    values: FloatArray

    def __post_init__(self) -> None:
        """Refuse what is no such thing (ValueError)."""
        if self.crops.ndim != 3 or self.crops.dtype != np.uint8:
            raise ValueError(f"crops are {self.crops.dtype} {self.crops.shape}, expected uint8 [N, side, side]")
        if len(self.crops) < 2 or self.values.shape != self.crops.shape[:1]:
            raise ValueError(f"{len(self.crops)} crops with values {self.values.shape}: expected two at least of each")
        if self.values.dtype != np.float32 or not np.isfinite(self.values).all():
            raise ValueError(f"values are {self.values.dtype} or not all numbers, expected finite float32")

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return copies of the chosen [B] crops [B, 1, side, side] and values [B]."""
        rows = chosen.numpy()
        return torch.from_numpy(self.crops[rows]).unsqueeze(1), torch.from_numpy(self.values[rows])


class Figures(NamedTuple):
    """How well ratings are told (eqs. 34, 37, 35)."""

    r2: float
    rmse: float
    ccc: float


class TrainingBatches:
    """Crops uint8 [B, 1, side, side] and their values [B], drawn and mirrored at random.

    The same for the same seed and epoch, whatever the network.
    """

    def __init__(self, items: FaceItems, settings: FaceRegressionSettings) -> None:
        self.items = items
        self.settings = settings
        self.drawn = min(settings.crops_per_epoch, len(items.values))
        self.epoch = 0

    def __len__(self) -> int:
        batches, rest = divmod(self.drawn, self.settings.batch_size)
        # A single crop is left out: there are no batch statistics of it.
        return batches + int(rest > 1)

    def set_epoch(self, epoch: int) -> None:
        """Draw the crops of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        seed, size = self.settings.seed, self.settings.batch_size
        order = torch.randperm(len(self.items.values), generator=seeded(seed, self.epoch))[: self.drawn]
        for number, chosen in enumerate(torch.split(order, size)[: len(self)]):
            mirrored = torch.rand(len(chosen), generator=seeded(seed, self.epoch, number)) < 0.5
            crops, values = self.items.batch(chosen)
            yield torch.where(mirrored[:, None, None, None], crops.flip(-1), crops), values


class AllInOrder:
    """All crops uint8 [B, 1, side, side] and their values [B], as they are."""

    def __init__(self, items: FaceItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return math.ceil(len(self.items.values) / _JUDGED_AT_ONCE)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.split(torch.arange(len(self.items.values)), _JUDGED_AT_ONCE):
            yield self.items.batch(chosen)


class FaceRegression(lightning.LightningModule):
    """Trains a face network on one dimension by RMSE and Adam; its curves stand in its checkpoints."""

    def __init__(self, network: nn.Module, settings: FaceRegressionSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.curves: dict[str, list[float]] = {name: [] for name in _CURVES}
        self._said: list[tuple[Tensor, Tensor]] = []
        self._started = 0.0
        self._newest: dict[str, float] = {}

    def forward(self, crops: Tensor) -> Tensor:
        """Return values [B] of crops uint8 [B, 1, side, side], resized to the side of the settings."""
        side = (self.settings.image_side, self.settings.image_side)
        resized = functional.interpolate(crops.float() / 255, side, mode="bilinear", antialias=True)
        values: Tensor = self.network(resized)[:, 0].float()
        return values

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the epoch, tell the batches which epoch it is, and look at the clock."""
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)
        tell_epoch(self)
        self._started = time.perf_counter()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Return the loss of one batch (eq. 37)."""
        crops, values = batch
        said = self(crops)
        loss = rmse_loss(said[None, :, None], values[None, :, None], torch.ones_like(values, dtype=torch.bool)[None])
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(values))
        return loss

    def on_validation_start(self) -> None:
        """Take the time that training took."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._newest = {"seconds": time.perf_counter() - self._started}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Collect what is said of every crop."""
        self._said.append((self(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Log R2 and RMSE of the whole validation split."""
        figures = _figures(self._said)
        self._said.clear()
        self._newest |= {"validation_r2": figures.r2, "validation_rmse": figures.rmse}
        self.log("validation_r2", figures.r2, prog_bar=True)
        self.log("validation_rmse", figures.rmse)

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the curves; Lightning validates before and writes checkpoints after this."""
        self._newest["training_rmse"] = float(self.trainer.callback_metrics["loss"])
        for name, curve in self.curves.items():
            curve.append(self._newest[name])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights."""
        checkpoint["curves"] = self.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curves of the epochs before."""
        self.curves = checkpoint["curves"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a fixed rate, as in the paper (P-31), with its weight decay (eq. 26)."""
        return torch.optim.Adam(
            self.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )


@torch.inference_mode()
def judge(learner: FaceRegression, items: FaceItems) -> Figures:
    """Return the figures of a trained network over all items; its predictions are clipped to [-1, 1]."""
    learner.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return _figures([(learner(crops.to(learner.device)), values) for crops, values in AllInOrder(items)])


def _figures(said: list[tuple[Tensor, Tensor]]) -> Figures:
    """Judge predictions [B] and truths [B] of all batches."""
    prediction = torch.cat([one for one, _ in said]).clamp(-1, 1).cpu().numpy()
    truth = torch.cat([one for _, one in said]).cpu().numpy()
    return Figures(
        r2=metrics.r_squared(truth, prediction),
        rmse=metrics.rmse(truth, prediction),
        ccc=metrics.ccc(truth, prediction),
    )
