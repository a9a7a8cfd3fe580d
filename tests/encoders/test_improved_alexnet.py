"""The paper's face network: what each reading of the fully connected layer counts, and its grid of regions."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig
from emotrace.encoders.improved_alexnet import ImprovedAlexNet, ImprovedAlexNetConfig, SharedConv2d

SMALL = ImprovedAlexNetConfig(in_channels=1, channels=(4, 6, 8), region_pooling=1, fc_grid=6, fc_dim=16, dropout=0.0)
"""For 48x48 grey crops, whose last map is 6x6."""
FcMode = Literal["conv", "shared"]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_a_fully_connected_layer_as_convolution_is_a_linear_layer() -> None:
    network = ImprovedAlexNet(replace(SMALL, fc_mode="conv"))
    convolution = network.fc1
    assert isinstance(convolution, nn.Conv2d)
    linear = nn.Linear(8 * 6 * 6, 16)
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.flatten(1))
        linear.bias.copy_(convolution.bias if convolution.bias is not None else torch.zeros(16))
    maps = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(convolution(maps).flatten(1), linear(maps.flatten(1)))


def test_a_shared_kernel_is_an_ordinary_convolution_with_equal_weights_for_all_channels() -> None:
    shared = SharedConv2d(8, 16, 3)
    ordinary = nn.Conv2d(8, 16, 3)
    with torch.no_grad():
        ordinary.weight.copy_(shared.convolution.weight.expand(16, 8, 3, 3))
        ordinary.bias = shared.convolution.bias
    maps = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(shared(maps), ordinary(maps))


def test_both_readings_of_the_first_fully_connected_layer_have_the_weights_they_should() -> None:
    with torch.device("meta"):  # 470 MB otherwise
        ordinary = ImprovedAlexNet(ImprovedAlexNetConfig(fc_mode="conv"))
        shared = ImprovedAlexNet(ImprovedAlexNetConfig(fc_mode="shared"))
    assert _count(ordinary.fc1) == 102_760_448 + 4_096  # 7 * 7 * 512 * 4096, which the paper calls 10M
    assert _count(shared.fc1) == 200_704 + 4_096  # 7 * 7 * 4096
    assert _count(ordinary) - _count(shared) == 102_760_448 - 200_704


@pytest.mark.parametrize(
    ("size", "first_stride", "region_pooling", "regions"),
    [(224, 1, 2, 196), (224, 2, 1, 196), (224, 1, 1, 784), (48, 1, 1, 36)],
)
def test_the_grid_of_regions(size: int, first_stride: Literal[1, 2], region_pooling: int, regions: int) -> None:
    config = replace(SMALL, in_channels=3, first_stride=first_stride, region_pooling=region_pooling)
    found, logits = ImprovedAlexNet(config).eval()(torch.rand(2, 3, size, size))
    assert found.shape == (2, regions, 8)
    assert logits.shape == (2, 8)


def test_the_papers_widths_give_regions_of_512_channels() -> None:
    network = ImprovedAlexNet(ImprovedAlexNetConfig(fc_dim=8)).eval()
    with torch.no_grad():
        regions, _ = network(torch.rand(1, 3, 224, 224))
    assert regions.shape == (1, 196, 512)


def test_it_can_stand_in_for_the_default_face_network() -> None:
    crops = torch.rand(3, 1, 48, 48)
    ours = ImprovedAlexNet(SMALL).eval()(crops)
    default = FaceCnn(FaceCnnConfig(stages=((4, 1), (4, 1), (4, 1), (8, 1)), region_dim=8)).eval()(crops)
    assert [output.shape for output in ours] == [output.shape for output in default]


def test_batch_normalisation_stands_behind_the_pooling_unless_asked_otherwise() -> None:
    literal, usual = ImprovedAlexNet(SMALL), ImprovedAlexNet(replace(SMALL, order="norm-relu-pool"))
    assert [type(layer).__name__ for layer in literal.body[0].children()] == [
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "BatchNorm2d",
    ]
    assert [type(layer).__name__ for layer in usual.body[0].children()] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "MaxPool2d",
    ]


def test_regions_average_the_cells_they_cover() -> None:
    fine = ImprovedAlexNet(SMALL).eval()
    coarse = ImprovedAlexNet(replace(SMALL, region_pooling=2)).eval()
    coarse.load_state_dict(fine.state_dict())
    crops = torch.rand(2, 1, 48, 48)
    cells = fine(crops)[0].unflatten(1, (6, 6))
    first_square = cells[:, :2, :2].mean(dim=(1, 2))
    torch.testing.assert_close(coarse(crops)[0][:, 0], first_square)


def test_the_regression_head_gives_arousal_and_valence() -> None:
    _, outputs = ImprovedAlexNet(replace(SMALL, head="arousal-valence")).eval()(torch.rand(2, 1, 48, 48))
    assert outputs.shape == (2, 2)


def test_brightness_and_contrast_change_nothing() -> None:
    network = ImprovedAlexNet(SMALL).eval()
    crops = torch.rand(2, 1, 48, 48)
    torch.testing.assert_close(network(crops * 0.6 + 0.2)[1], network(crops)[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("fc_mode", ["conv", "shared"])
@pytest.mark.parametrize("order", ["relu-pool-norm", "norm-relu-pool"])
@pytest.mark.parametrize("head", ["emotions", "arousal-valence"])
def test_every_parameter_gets_a_gradient(
    fc_mode: FcMode, order: Literal["relu-pool-norm", "norm-relu-pool"], head: Literal["emotions", "arousal-valence"]
) -> None:
    network = ImprovedAlexNet(replace(SMALL, fc_mode=fc_mode, order=order, head=head))
    _, outputs = network(torch.rand(4, 1, 48, 48))
    torch.autograd.backward(outputs.square().sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("fc_mode", ["conv", "shared"])
def test_the_first_fully_connected_layer_starts_with_the_same_spread_in_both_readings(fc_mode: FcMode) -> None:
    network = ImprovedAlexNet(replace(SMALL, channels=(4, 6, 256), fc_mode=fc_mode, fc_dim=256))
    spread = network.fc1(torch.randn(32, 256, 6, 6)).std().item()
    assert spread == pytest.approx(1 / math.sqrt(3), rel=0.2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_exported_network_gives_the_same_numbers(tmp_path: Path) -> None:
    network = ImprovedAlexNet(SMALL).eval()
    path = tmp_path / "face.onnx"
    torch.onnx.export(
        network,
        (torch.rand(2, 1, 48, 48),),
        path,
        input_names=["crops"],
        output_names=["regions", "logits"],
        dynamic_axes={"crops": {0: "B"}, "regions": {0: "B"}, "logits": {0: "B"}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(path)
    crops = torch.rand(5, 1, 48, 48)
    with torch.no_grad():
        expected = network(crops)
    for output, wanted in zip(session.run(None, {"crops": crops.numpy()}), expected, strict=True):
        np.testing.assert_allclose(output, wanted.numpy(), atol=1e-5)
