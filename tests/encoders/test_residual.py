"""Residual networks in two and three dimensions: published counts and costs, maps, and names of weights."""

from typing import Literal

import pytest
import torch
from torch import nn

from emotrace.encoders.counting import count_parameters, multiply_adds
from emotrace.encoders.residual import ResidualConfig, ResidualNetwork
from emotrace.encoders.resnet3d import ResNet3d, ResNet3dConfig

Depth = Literal[18, 50, 101]
DEPTHS: list[tuple[Depth, tuple[int, int, int, int]]] = [
    (18, (2, 2, 2, 2)),
    (50, (3, 4, 6, 3)),
    (101, (3, 4, 23, 3)),
]


def _by_hand(depth: Depth, blocks: tuple[int, ...], axes: Literal[2, 3]) -> int:
    """Count the weights of convolutions, and two per channel of the normalisation behind each."""

    def layer(inputs: int, outputs: int, side: int) -> int:
        return inputs * outputs * int(side**axes) + 2 * outputs

    total, inputs = layer(3, 64, 7), 64
    for inner, count in zip((64, 128, 256, 512), blocks, strict=True):
        outputs = inner if depth == 18 else 4 * inner
        total += layer(inputs, outputs, 1) if inputs != outputs else 0
        for _ in range(count):
            if depth == 18:
                total += layer(inputs, inner, 3) + layer(inner, inner, 3)
            else:
                total += layer(inputs, inner, 1) + layer(inner, inner, 3) + layer(inner, outputs, 1)
            inputs = outputs
    return total


@pytest.mark.parametrize(("depth", "blocks"), DEPTHS)
def test_pictures_cost_the_published_parameters(depth: Depth, blocks: tuple[int, int, int, int]) -> None:
    published = {18: 11_176_512, 50: 23_508_032, 101: 42_500_160}[depth]
    with torch.device("meta"):
        network = ResidualNetwork(ResidualConfig(depth=depth, in_channels=3))
    assert network.embedding_dim == (512 if depth == 18 else 2048)
    assert count_parameters(network) == _by_hand(depth, blocks, 2) == published


@pytest.mark.parametrize(("depth", "blocks"), DEPTHS)
def test_clips_cost_what_a_pencil_says(depth: Depth, blocks: tuple[int, int, int, int]) -> None:
    found = {18: 33_203_904, 50: 46_198_976, 101: 85_245_120}[depth]
    with torch.device("meta"):
        network = ResNet3d(ResNet3dConfig(depth=depth, in_channels=3))
    assert network.channels == (512 if depth == 18 else 2048)
    assert count_parameters(network) == _by_hand(depth, blocks, 3) == found


def test_50_layers_cost_the_published_multiply_adds() -> None:
    with torch.device("meta"):
        network = ResidualNetwork(ResidualConfig(depth=50, in_channels=3))
        # The authors' table says 3.8e9; 4.1e9 is usually quoted, for a variant that strides one convolution later.
        assert multiply_adds(network, torch.zeros(1, 3, 224, 224)) == pytest.approx(3.86e9, rel=1e-2)


@pytest.mark.parametrize(
    ("stem", "item", "cells"),
    [("7x7", (1, 1, 224, 224), (7, 7)), ("7x7", (1, 1, 33, 20), (2, 1)), ("7x1", (1, 1, 256, 32), (8, 2))],
)
def test_the_maps_of_pictures_and_of_sound(
    stem: Literal["7x7", "7x1"], item: tuple[int, ...], cells: tuple[int, int]
) -> None:
    with torch.device("meta"):
        network = ResidualNetwork(ResidualConfig(depth=18, stem=stem))
        assert network.maps(torch.zeros(item)).shape == (1, 512, *cells)


def test_the_stem_of_sound_keeps_the_bands_apart() -> None:
    stem = ResidualNetwork(ResidualConfig(depth=18, width=0.1, stem="7x1")).body[0]
    assert isinstance(stem, nn.Conv2d)
    assert stem.bias is None
    silence = torch.zeros(1, 1, 32, 8)
    one_band = silence.clone()
    one_band[..., 3] = 1.0
    assert stem(one_band)[..., [0, 1, 2, 4, 5, 6, 7]].count_nonzero() == 0
    assert stem(one_band)[..., 3].count_nonzero() > 0


def test_16_frames_of_112_pixels_become_4x4_cells() -> None:
    with torch.device("meta"):
        network = ResNet3d(ResNet3dConfig(depth=101, in_channels=3))
        assert network.maps(torch.zeros(2, 3, 16, 112, 112)).shape == (2, 2048, 1, 4, 4)


@pytest.mark.parametrize("depth", [18, 50])
def test_one_picture_of_32_pixels_is_a_clip(depth: Depth) -> None:
    network = ResNet3d(ResNet3dConfig(depth=depth, width=0.05)).eval()
    assert network.maps(torch.rand(2, 1, 1, 32, 32)).shape == (2, network.channels, 1, 1, 1)


@torch.no_grad()
def test_an_embedding_is_the_mean_of_the_maps() -> None:
    pictures, clips = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 17, 64, 64)
    flat = ResidualNetwork(ResidualConfig(depth=18, width=0.05)).eval()
    deep = ResNet3d(ResNet3dConfig(depth=18, width=0.05)).eval()
    assert flat.maps(pictures).shape[2:] == (2, 2)
    assert deep.maps(clips).shape[2:] == (2, 2, 2)
    torch.testing.assert_close(flat(pictures), flat.maps(pictures).mean(dim=(2, 3)))
    torch.testing.assert_close(deep(clips), deep.maps(clips).mean(dim=(2, 3, 4)))


@torch.no_grad()
def test_the_order_of_the_pictures_of_a_clip_matters() -> None:
    network = ResNet3d(ResNet3dConfig(depth=18, width=0.05)).eval()
    clips = torch.rand(2, 1, 6, 32, 32)
    assert not torch.allclose(network(clips.flip(2)), network(clips), rtol=1e-3)


@torch.no_grad()
def test_a_clip_of_mean_brightness_is_nothing_to_the_network() -> None:
    network = ResNet3d(ResNet3dConfig(depth=18, width=0.05)).eval()
    assert network(torch.full((1, 1, 4, 32, 32), 100 / 255)).count_nonzero() == 0
    assert network(torch.ones(1, 1, 4, 32, 32)).count_nonzero() > 0


def test_the_weights_of_50_layers_have_the_names_of_saved_checkpoints() -> None:
    with torch.device("meta"):
        shapes = {
            name: tuple(value.shape) for name, value in ResidualNetwork(ResidualConfig(depth=50)).state_dict().items()
        }
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def layer(convolution: str, norm: str) -> list[str]:
        return [f"{convolution}.weight", *(f"{norm}.{name}" for name in statistics)]

    names = layer("body.0", "body.1")
    for block in range(4, 20):  # behind convolution, normalisation, ReLU and pooling
        for number in (0, 3, 6):
            names += layer(f"body.{block}.path.{number}", f"body.{block}.path.{number + 1}")
        if block in (4, 7, 11, 17):  # the first of each stage
            names += layer(f"body.{block}.shortcut.0", f"body.{block}.shortcut.1")
    assert list(shapes) == names
    assert shapes["body.0.weight"] == (64, 1, 7, 7)
    assert shapes["body.7.path.0.weight"] == (128, 256, 1, 1)
    assert shapes["body.17.shortcut.0.weight"] == (2048, 1024, 1, 1)
