"""The published face networks: their published counts and costs, small widths and crops, and gradients everywhere."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from emotrace.encoders.alexnet import AlexNet, AlexNetConfig
from emotrace.encoders.classic import scaled
from emotrace.encoders.conv3d import Conv3dEncoder, Conv3dEncoderConfig
from emotrace.encoders.counting import count_parameters, multiply_adds
from emotrace.encoders.inception_v3 import SMALLEST_SIDE, InceptionV3, InceptionV3Config
from emotrace.encoders.vgg19 import Vgg19, Vgg19Config
from emotrace.errors import SettingsError

TINY = 0.06


def vgg19(width: float, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return Vgg19(Vgg19Config(in_channels=in_channels, width=width, num_outputs=num_outputs, dropout=0.0))


def alexnet(width: float, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return AlexNet(AlexNetConfig(in_channels=in_channels, width=width, num_outputs=num_outputs, dropout=0.0))


def inception_v3(width: float, in_channels: int = 1, num_outputs: int = 1) -> nn.Module:
    return InceptionV3(InceptionV3Config(in_channels=in_channels, width=width, num_outputs=num_outputs, dropout=0.0))


Build = Callable[..., nn.Module]
REGRESSIONS = [(vgg19, 48), (alexnet, 48), (inception_v3, SMALLEST_SIDE)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("build", "side", "parameters", "cost"),
    [
        (vgg19, 224, 143_667_240, 19.63e9),
        (alexnet, 224, 61_100_840, 0.714e9),
        (inception_v3, 299, 23_834_568, 5.71e9),
    ],
)
def test_parameters_and_cost_are_the_published_ones(build: Build, side: int, parameters: int, cost: float) -> None:
    with torch.device("meta"):
        network = build(1.0, in_channels=3, num_outputs=1000)
        assert count_parameters(network) == parameters
        assert multiply_adds(network, torch.zeros(1, 3, side, side)) == pytest.approx(cost, rel=1e-3)


def test_the_clip_encoder_counts_what_its_docstring_says() -> None:
    with torch.device("meta"):
        network = Conv3dEncoder(Conv3dEncoderConfig())
    sizes = [(1, 32), (32, 64), (64, 128), (128, 256)]
    assert count_parameters(network) == sum(27 * inputs * outputs + 2 * outputs for inputs, outputs in sizes)
    assert network.embedding_dim == 256


@pytest.mark.parametrize(("build", "side"), REGRESSIONS)
@pytest.mark.parametrize("in_channels", [1, 3])
def test_small_crops_become_as_many_values_as_asked_for(build: Build, side: int, in_channels: int) -> None:
    network = build(TINY, in_channels=in_channels, num_outputs=2).eval()
    for height, width in ((side, side), (side + 13, side + 6)):
        assert network(torch.rand(3, in_channels, height, width)).shape == (3, 2)


@pytest.mark.parametrize("pictures", [1, 2, 7, 16])
def test_clips_of_any_length_become_embeddings(pictures: int) -> None:
    network = Conv3dEncoder(Conv3dEncoderConfig(width=TINY)).eval()
    assert network(torch.rand(3, pictures, 48, 48)).shape == (3, network.embedding_dim)


def test_the_order_of_the_pictures_of_a_clip_matters() -> None:
    network = Conv3dEncoder(Conv3dEncoderConfig(width=TINY)).eval()
    clips = torch.rand(2, 6, 48, 48)
    assert not torch.allclose(network(clips.flip(1)), network(clips), rtol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(74, 80), (80, 74)])
def test_inception_refuses_crops_below_75_pixels(height: int, width: int) -> None:
    with pytest.raises(SettingsError, match=f"crops of {height}x{width} pixels, expected 75x75 at least"):
        inception_v3(TINY)(torch.rand(2, 1, height, width))


@pytest.mark.parametrize(("build", "side"), REGRESSIONS)
def test_light_and_contrast_change_nothing(build: Build, side: int) -> None:
    network = build(TINY).eval()
    crops = torch.rand(2, 1, side, side)
    torch.testing.assert_close(network(crops * 0.6 + 0.2), network(crops), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        *((build(TINY), (8, 1, side, side)) for build, side in REGRESSIONS),
        (Conv3dEncoder(Conv3dEncoderConfig(width=TINY)), (8, 4, 48, 48)),
    ],
)
def test_every_parameter_gets_a_gradient(network: nn.Module, shape: tuple[int, ...]) -> None:
    answers = network.train()(torch.rand(shape))
    torch.autograd.backward((answers * torch.randn_like(answers)).sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


def test_without_normalisation_a_signal_keeps_its_spread_through_all_of_vgg19() -> None:
    body = vgg19(0.25).get_submodule("body").eval()
    # With the weights that torch draws by itself the maps of different crops are the same to seven digits.
    with torch.no_grad():
        features = body(torch.randn(8, 1, 48, 48))
    assert 0.1 < float(features.std(dim=0).mean()) < 10


def test_widths_are_rounded_and_never_vanish() -> None:
    assert [scaled(channels, 0.1) for channels in (96, 64, 4, 1)] == [10, 6, 1, 1]
    assert scaled(4096, 1.0) == 4096
    with pytest.raises(SettingsError, match="width = 0, expected a positive factor"):
        scaled(96, 0)
