"""VGGish and the fully convolutional AlexNet: published counts, grids, order of weights, response normalisation."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from emotrace.encoders.alexnet_fcn import AlexNetFcn, AlexNetFcnConfig
from emotrace.encoders.counting import count_parameters
from emotrace.encoders.vggish import Vggish, VggishConfig


def test_vggish_costs_the_published_parameters() -> None:
    with torch.device("meta"):
        network = Vggish(VggishConfig())
        assert network(torch.zeros(2, 1, 96, 64)).shape == (2, 128)
    assert network.embedding_dim == 128
    assert count_parameters(network) == 72_141_184


def test_the_first_fully_connected_layer_of_vggish_sees_channels_last() -> None:
    network = Vggish(VggishConfig(width=0.05)).eval()
    seen: list[torch.Tensor] = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    patches = torch.rand(2, 1, 96, 64)
    with torch.no_grad():
        network(patches)
        maps = network.body(patches)  # [2, channels, 6, 4]
    channels = maps.shape[1]
    assert maps.shape[2:] == (6, 4)
    row, column, channel = 4, 1, 7
    torch.testing.assert_close(seen[0][:, (row * 4 + column) * channels + channel], maps[:, channel, row, column])


def test_alexnet_costs_what_a_pencil_says() -> None:
    layers = [(1, 96, 11), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)]
    with torch.device("meta"):
        found = count_parameters(AlexNetFcn(AlexNetFcnConfig()))
    assert found == sum(inputs * outputs * side**2 + outputs for inputs, outputs, side in layers) == 3_723_968


@pytest.mark.parametrize(("bins", "frames", "cells"), [(200, 300, (5, 8)), (400, 300, (11, 8)), (200, 67, (5, 1))])
def test_alexnet_gives_the_published_grid(bins: int, frames: int, cells: tuple[int, int]) -> None:
    with torch.device("meta"):
        network = AlexNetFcn(AlexNetFcnConfig())
        assert network.channels == 256
        assert network(torch.zeros(2, 1, bins, frames)).shape == (2, 256, *cells)


def test_responses_are_normalised_over_five_channels() -> None:
    layer = AlexNetFcn(AlexNetFcnConfig(width=0.1)).body[1]
    as_torch = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
    maps = 100 * torch.randn(2, 10, 3, 3, dtype=torch.float64)
    squares = maps.square()
    for channel in range(10):
        window = squares[:, max(0, channel - 2) : channel + 3].sum(dim=1)
        wanted = maps[:, channel] / (2 + 1e-4 / 5 * window) ** 0.75
        torch.testing.assert_close(layer(maps)[:, channel], wanted)
    torch.testing.assert_close(layer(maps), as_torch(maps))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_alexnet_normalises_strong_responses_alike_and_takes_any_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = AlexNetFcn(AlexNetFcnConfig(width=0.1)).eval()
    path = tmp_path / "sound.onnx"
    axes = {"sound": {0: "N", 3: "frames"}, "maps": {0: "N", 3: "columns"}}
    torch.onnx.export(
        network,
        (torch.randn(2, 1, 80, 100),),
        path,
        input_names=["sound"],
        output_names=["maps"],
        dynamic_axes=axes,
        opset_version=18,
        dynamo=False,
    )
    sound = 300 * torch.randn(3, 1, 80, 150)  # so strong that alpha matters
    (found,) = onnxruntime.InferenceSession(path).run(None, {"sound": sound.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, network(sound).numpy(), atol=1e-4, rtol=1e-4)
