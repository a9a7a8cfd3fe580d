"""Stage one of the paper: face crops with ratings -> a network of one dimension, its curves, its figures and its cost.

Figures 4 and 5 of Liu & Tang 2021 compare four networks "under equal conditions": here the same crops in the same
order and turned the same way, image size, epochs, batch size, optimiser and loss. Unlike the paper, which looked at the
test data after every epoch, a validation split decides which epoch is kept.

Axes: B crops, C colours, H and W pixels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from emotrace.encoders.alexnet import AlexNet, AlexNetConfig
from emotrace.encoders.classic import scaled
from emotrace.encoders.counting import count_parameters, multiply_adds
from emotrace.encoders.improved_alexnet import ImprovedAlexNet, ImprovedAlexNetConfig
from emotrace.encoders.inception_v3 import InceptionV3, InceptionV3Config
from emotrace.encoders.vgg19 import Vgg19, Vgg19Config
from emotrace.training.face_regression import (
    AllInOrder,
    FaceItems,
    FaceRegression,
    FaceRegressionSettings,
    TrainingBatches,
    judge,
)
from emotrace.training.run import fit

__all__ = [
    "FACE_NETWORKS",
    "Builder",
    "FaceItems",
    "FaceNetworkResult",
    "FaceNetworkSettings",
    "train_face_network",
]


_HEADS: Mapping[int, Literal["one-dimension", "arousal-valence"]] = {1: "one-dimension", 2: "arousal-valence"}
"""The improved AlexNet's heads by number of outputs."""


class FaceNetworkSettings(FaceRegressionSettings):
    """Which face network is trained on which dimension."""

    network: Literal["vgg19", "alexnet", "inception-v3", "improved-alexnet"]
    dimension: Literal["arousal", "valence"]
    width: float = Field(1.0, gt=0, description="factor of all channels and fully connected layers")


@dataclass(frozen=True, kw_only=True)
class FaceNetworkResult:
    """What came out of one training.

    Figures of validation and test are of predictions clipped to [-1, 1].

    Attributes:
        network: key of `FACE_NETWORKS`.
        dimension: "arousal" or "valence".
        seed: of starting weights, draws and dropout.
        training_rmse: per epoch: eq. 37, mean over the batches, in training mode.
        validation_rmse: per epoch.
        validation_r2: per epoch: eq. 34.
        seconds: per epoch: wall time of its training part.
        best_epoch: the epoch of the highest validation R2, from 0; its weights give the test figures.
        parameters: of the trained network.
        multiply_adds: of the trained network, per crop.
        full_parameters: of the published size: width 1, three colours.
        full_multiply_adds: of the published size, for 224x224 pixels (InceptionV3: 299x299).
        seconds_per_epoch: median of `seconds`.
        test_r2: eq. 34.
        test_rmse: eq. 37.
        test_ccc: eq. 35.
    """

    network: str
    dimension: str
    seed: int
    training_rmse: list[float]
    validation_rmse: list[float]
    validation_r2: list[float]
    seconds: list[float]
    best_epoch: int
    parameters: int
    multiply_adds: int
    full_parameters: int
    full_multiply_adds: int
    seconds_per_epoch: float
    test_r2: float
    test_rmse: float
    test_ccc: float

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes by name, fit for JSON."""
        return asdict(self)


class Builder(Protocol):
    """Makes an untrained network that turns crops [B, C, H, W] in 0..1 into values [B, num_outputs]."""

    def __call__(self, settings: FaceNetworkSettings, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
        """Return the network at the width of the settings."""


def _vgg19(settings: FaceNetworkSettings, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return Vgg19(Vgg19Config(in_channels=in_channels, width=settings.width, num_outputs=num_outputs))


def _alexnet(settings: FaceNetworkSettings, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return AlexNet(AlexNetConfig(in_channels=in_channels, width=settings.width, num_outputs=num_outputs))


def _inception_v3(settings: FaceNetworkSettings, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return InceptionV3(InceptionV3Config(in_channels=in_channels, width=settings.width, num_outputs=num_outputs))


def _improved_alexnet(settings: FaceNetworkSettings, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    published = ImprovedAlexNetConfig()
    first, second, third = published.channels
    config = ImprovedAlexNetConfig(
        in_channels=in_channels,
        channels=(scaled(first, settings.width), scaled(second, settings.width), scaled(third, settings.width)),
        fc_dim=scaled(published.fc_dim, settings.width),
        head=_HEADS[num_outputs],
    )
    return _ValuesOnly(ImprovedAlexNet(config))


class _ValuesOnly(nn.Module):
    """Leaves out the regions that an `ImprovedAlexNet` gives beside its values."""

    def __init__(self, network: ImprovedAlexNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        values: Tensor = self.network(crops)[1]
        return values


FACE_NETWORKS: Mapping[str, Builder] = MappingProxyType(
    {"vgg19": _vgg19, "alexnet": _alexnet, "inception-v3": _inception_v3, "improved-alexnet": _improved_alexnet}
)
"""The networks of figures 4 and 5."""


def train_face_network(
    training: FaceItems,
    validation: FaceItems,
    test: FaceItems,
    settings: FaceNetworkSettings,
    folder: Path,
    *,
    resume: bool,
) -> FaceNetworkResult:
    """Train one network on one dimension and judge the weights of its best validation epoch on the test split.

    Args:
        training: drawn from, and mirrored at random.
        validation: decides which epoch is kept and when training stops; never the test split.
        test: looked at once, in the end.
        settings: of the network and of its training.
        folder: checkpoints and logs go here; see `training.run.fit`.
        resume: go on from the folder's last checkpoint when there is one, with the same result as without a stop.

    Raises:
        SettingsError: the network cannot work at the image side of the settings.
    """
    torch.manual_seed(settings.seed)
    network = FACE_NETWORKS[settings.network](settings)
    parameters, cost = _size(settings, settings.image_side, in_channels=1)
    full_side = 299 if settings.network == "inception-v3" else 224
    full_parameters, full_cost = _size(settings.model_copy(update={"width": 1.0}), full_side, in_channels=3)

    learner = FaceRegression(network, settings)
    batches, held_out = TrainingBatches(training, settings), AllInOrder(validation)
    fit(learner, settings, batches, held_out, folder, monitor="validation_r2", resume=resume, show_progress=False)
    # From the file: a run that had stopped early is not loaded into the learner again.
    curves = _checkpoint(folder / "last.ckpt")["curves"]
    figures = judge(learner, test)
    return FaceNetworkResult(
        network=settings.network,
        dimension=settings.dimension,
        seed=settings.seed,
        training_rmse=curves["training_rmse"],
        validation_rmse=curves["validation_rmse"],
        validation_r2=curves["validation_r2"],
        seconds=curves["seconds"],
        best_epoch=_checkpoint(folder / "best.ckpt")["epoch"],
        parameters=parameters,
        multiply_adds=cost,
        full_parameters=full_parameters,
        full_multiply_adds=full_cost,
        seconds_per_epoch=median(curves["seconds"]),
        test_r2=figures.r2,
        test_rmse=figures.rmse,
        test_ccc=figures.ccc,
    )


def _size(settings: FaceNetworkSettings, side: int, *, in_channels: int) -> tuple[int, int]:
    """Return parameters, and multiply-adds of one crop, without holding or computing any of them."""
    with torch.device("meta"):
        network = FACE_NETWORKS[settings.network](settings, in_channels=in_channels)
        return count_parameters(network), multiply_adds(network, torch.zeros(1, in_channels, side, side))


def _checkpoint(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    return checkpoint
