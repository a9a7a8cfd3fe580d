"""FER+ -> a trained face branch (stage one of the paper, on still images with vote distributions)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from emotrace.corpora import ferplus
from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig
from emotrace.encoders.improved_alexnet import ImprovedAlexNet, ImprovedAlexNetConfig
from emotrace.encoders.mirrored import Mirrored
from emotrace.errors import CorpusError
from emotrace.labels import EMOTIONS
from emotrace.training.classifier import train
from emotrace.training.face_augmentation import augment, nudge
from emotrace.training.settings import FaceSettings

BALANCING = 0.35
"""Images of rare emotions are drawn more often, by (share of the emotion) ** -0.35: disgust and contempt have under
1 % of the votes each. What this does to the prior is stored in the bundle and taken out again."""

_POLISH_RATE = 0.3
"""Learning rate of the last epochs, on gentler crops, relative to the first ones'."""


@dataclass(frozen=True)
class FaceSource:
    """Face images with emotion probabilities, disturbed when drawn for training.

    Attributes:
        pixels: [N, 48, 48] uint8.
        targets: [N, 8] probabilities in the order of `labels.EMOTIONS`.
        draw_weight: [N].
        disturb: what happens to crops [B, 1, 48, 48] that are drawn for training.
    """

    pixels: Tensor
    targets: Tensor
    draw_weight: Tensor
    disturb: Callable[[Tensor, Generator], Tensor] = augment

    def draw(self, chosen: Tensor, generator: Generator | None) -> Tensor:
        """Return crops [B, 1, 48, 48] in 0..1."""
        crops = self.pixels[chosen].unsqueeze(1).float() / 255
        return crops if generator is None else self.disturb(crops, generator)

    def prior(self) -> list[float]:
        """Return the share of each emotion among what is drawn."""
        share = (self.targets * self.draw_weight.unsqueeze(1)).sum(dim=0)
        return [float(value) for value in share / share.sum()]


def training_source(root: Path) -> FaceSource:
    """Return the training images that raters took for faces, with their votes.

    Raises:
        CorpusError: the corpus is damaged, or no image shows one of the emotions.
    """
    faces = ferplus.read(root, "train")
    emotion_votes = faces.votes[:, : len(EMOTIONS)].sum(axis=1)
    faces = faces.subset((emotion_votes > 0) & (faces.votes[:, -1] <= emotion_votes))
    targets = torch.from_numpy(faces.distribution())
    absent = [emotion for emotion, share in zip(EMOTIONS, targets.mean(dim=0).tolist(), strict=True) if share == 0]
    if absent:
        raise CorpusError(f"{root}: no training image shows {', '.join(absent)}: copy the whole corpus.")
    weight = (targets * targets.mean(dim=0).pow(-BALANCING)).sum(dim=1)
    return FaceSource(torch.from_numpy(faces.pixels), targets, weight)


def held_out_source(root: Path, split: str) -> FaceSource:
    """Return the images of a split that have a majority emotion, that emotion as the target."""
    faces = ferplus.read(root, split)
    majority = faces.majority()
    kept = faces.subset(majority >= 0)
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[majority[majority >= 0]]
    return FaceSource(torch.from_numpy(kept.pixels), torch.from_numpy(targets), torch.ones(len(targets)))


def build(settings: FaceSettings) -> nn.Module:
    """Return the untrained network, its weights drawn by the seed."""
    torch.manual_seed(settings.seed)
    if settings.network == "face-cnn":
        return FaceCnn(FaceCnnConfig())
    # With its kernel shared over the channels, the first fully connected layer would see one map of their sum. The
    # paper's step of 2 makes the grid of a 48x48 crop 3x3, and training four times as fast.
    config = ImprovedAlexNetConfig(
        in_channels=1, first_stride=2, region_pooling=1, fc_mode="conv", fc_grid=3, fc_dim=512
    )
    return ImprovedAlexNet(config)


def train_face(
    root: Path,
    settings: FaceSettings,
    folder: Path,
    *,
    resume: bool,
    disturb: Callable[[Tensor, Generator], Tensor] = augment,
) -> tuple[nn.Module, list[float]]:
    """Train the face branch, polish it if the settings say so; return it and the prior of its training draws."""
    source = replace(training_source(root), disturb=disturb)
    held_out = held_out_source(root, "validation")
    network = train(build(settings), settings, source, held_out, folder, monitor="validation_loss", resume=resume)
    if settings.polish_epochs > 0:
        # The network stays in evaluation mode, as `train` gave it back: batch statistics frozen, no dropout.
        gentle = settings.model_copy(
            update={"epochs": settings.polish_epochs, "learning_rate": settings.learning_rate * _POLISH_RATE}
        )
        network = train(
            network,
            gentle,
            replace(source, disturb=nudge),
            held_out,
            folder / "polish",
            monitor="validation_loss",
            resume=resume,
        )
    return Mirrored(network).eval(), source.prior()
