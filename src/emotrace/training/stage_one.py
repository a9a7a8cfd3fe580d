"""A study -> the face networks of stage one, trained on its crops, and the regions of one of them for stage two."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from emotrace.corpora.rated import DIMENSIONS, Dimension
from emotrace.encoders.improved_alexnet import ImprovedAlexNet
from emotrace.errors import CorpusError
from emotrace.training.comparison_rows import StageOneRow
from emotrace.training.face_networks import FACE_NETWORKS, FaceNetworkSettings, train_face_network
from emotrace.training.face_regression import FaceItems
from emotrace.training.settings import Settings
from emotrace.training.study import Study
from emotrace.training.tracks import Track


class StageOneSettings(Settings):
    """Equal conditions for the face networks of a comparison; the defaults are for a machine without a GPU.

    The paper's size is width 1, image_side 224, epochs 1000 and all crops.
    """

    width: float = Field(0.125, gt=0, le=4)
    image_side: int = Field(75, ge=75, le=512)
    epochs: int = Field(8, gt=0)
    crops_per_epoch: int = Field(3000, gt=1)
    most_crops: int = Field(20_000, gt=1, description="of a role; more are thinned out evenly")
    batch_size: int = Field(150, gt=1)
    learning_rate: float = Field(5e-4, gt=0)


def face_items(tracks: Sequence[Track], dimension: Dimension, most: int) -> FaceItems:
    """Return the crops of recordings with the label of the tick at which each is first seen.

    Raises:
        CorpusError: there are fewer than two.
    """
    place = DIMENSIONS.index(dimension)
    crops, values = [], []
    for track in tracks:
        rows, first = np.unique(track.face_index.numpy(), return_index=True)
        labels = track.arousal_valence.numpy()[first, place]
        known = (rows >= 0) & np.isfinite(labels)
        crops.append(track.crops.numpy()[rows[known]])
        values.append(labels[known])
    all_crops, all_values = np.concatenate(crops), np.concatenate(values)
    if len(all_values) < 2:
        raise CorpusError(f"{len(all_values)} face(s) found in {len(tracks)} recordings: face networks need faces.")
    kept = np.unique(np.linspace(0, len(all_values) - 1, min(most, len(all_values))).astype(np.int64))
    return FaceItems(all_crops[kept], all_values[kept].astype(np.float32))


def network_settings(chosen: StageOneSettings, network: str, dimension: Dimension, seed: int) -> FaceNetworkSettings:
    """Return the settings of one network under the equal conditions."""
    shared = chosen.model_dump(exclude={"most_crops"})
    return FaceNetworkSettings.model_validate(
        shared | {"network": network, "dimension": dimension, "seed": seed, "patience": chosen.epochs}
    )


def train_network(
    study: Study, chosen: StageOneSettings, network: str, dimension: Dimension, seed: int, folder: Path
) -> StageOneRow:
    """Train one face network on one dimension; goes on from the folder's last checkpoint when there is one."""
    parts = [
        face_items(study.tracks(role, "descriptors", "bundle"), dimension, chosen.most_crops)
        for role in ("train", "validation", "test")
    ]
    settings = network_settings(chosen, network, dimension, seed)
    result = train_face_network(parts[0], parts[1], parts[2], settings, folder, resume=True)
    return StageOneRow(
        network=network,
        dimension=dimension,
        seed=seed,
        r2=result.test_r2,
        rmse=result.test_rmse,
        parameters=result.parameters,
        multiply_adds=result.multiply_adds,
        full_parameters=result.full_parameters,
        full_multiply_adds=result.full_multiply_adds,
        seconds_per_epoch=result.seconds_per_epoch,
        r2_curve=tuple(result.validation_r2),
        rmse_curve=tuple(result.validation_rmse),
    )


def regions_of_improved_alexnet(
    chosen: StageOneSettings, folders: Sequence[Path]
) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Return digest and encoder: the regions of the networks for arousal and for valence, side by side (P-22, P-33).

    Args:
        chosen: with which they were trained.
        folders: of the two trainings, with their best checkpoints.
    """
    networks, digest = [], hashlib.sha256()
    for folder, dimension in zip(folders, DIMENSIONS, strict=True):
        state = torch.load(folder / "best.ckpt", weights_only=True, map_location="cpu")["state_dict"]
        wrapped = FACE_NETWORKS["improved-alexnet"](network_settings(chosen, "improved-alexnet", dimension, 0))
        wrapped.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
        networks.append(cast(ImprovedAlexNet, wrapped.network).eval())
        for value in state.values():
            digest.update(value.numpy().tobytes())
    side = (chosen.image_side, chosen.image_side)

    @torch.inference_mode()
    def encode(crops: Tensor) -> Tensor:
        resized = torch.nn.functional.interpolate(crops, side, mode="bilinear", antialias=True)
        return torch.cat([network(resized)[0] for network in networks], dim=-1)

    return digest.hexdigest()[:16], encode
