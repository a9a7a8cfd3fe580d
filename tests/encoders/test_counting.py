"""Parameters and multiply-adds, against figures worked out by hand."""

import torch
from torch import Tensor, nn

from emotrace.encoders.counting import count_parameters, multiply_adds
from emotrace.encoders.improved_alexnet import SharedConv2d
from emotrace.encoders.vgg19 import Vgg19, Vgg19Config


def test_a_convolution_costs_a_kernel_per_output_value() -> None:
    image, volume, line = torch.zeros(1, 6, 8, 10), torch.zeros(1, 2, 4, 6, 6), torch.zeros(1, 3, 20)
    assert multiply_adds(nn.Conv2d(6, 4, 3, stride=2, padding=1), image) == (4 * 4 * 5) * (6 * 3 * 3)
    assert multiply_adds(nn.Conv2d(6, 4, 3, groups=2), image) == (4 * 6 * 8) * (3 * 3 * 3)
    assert multiply_adds(nn.Conv3d(2, 5, 3), volume) == (5 * 2 * 4 * 4) * (2 * 27)
    assert multiply_adds(nn.Conv1d(3, 7, 5), line) == (7 * 16) * (3 * 5)


def test_a_linear_layer_costs_its_weights_per_row() -> None:
    assert multiply_adds(nn.Linear(12, 5), torch.zeros(1, 12)) == 60
    assert multiply_adds(nn.Linear(12, 5), torch.zeros(3, 7, 12)) == 21 * 60


def test_a_layer_counts_as_often_as_it_is_called_and_the_rest_is_free() -> None:
    layer = nn.Linear(4, 4)
    network = nn.Sequential(layer, nn.ReLU(), nn.BatchNorm1d(4), layer, nn.Dropout())
    assert multiply_adds(network, torch.zeros(1, 4)) == 2 * 16
    assert count_parameters(network) == 20 + 8


def test_a_shared_kernel_costs_as_much_as_one_input_channel() -> None:
    assert multiply_adds(SharedConv2d(512, 4096, 7), torch.zeros(1, 512, 7, 7)) == 7 * 7 * 4096


def test_vgg19_at_224_pixels_costs_what_a_pencil_says() -> None:
    stages = [
        224**2 * 9 * (3 * 64 + 64 * 64),
        112**2 * 9 * (64 * 128 + 128 * 128),
        56**2 * 9 * (128 * 256 + 3 * 256 * 256),
        28**2 * 9 * (256 * 512 + 3 * 512 * 512),
        14**2 * 9 * (4 * 512 * 512),
    ]
    fully_connected = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000
    with torch.device("meta"):
        network = Vgg19(Vgg19Config(in_channels=3, num_outputs=1000))
        found = multiply_adds(network, torch.zeros(1, 3, 224, 224))
    assert found == sum(stages) + fully_connected
    assert round(found / 1e9, 1) == 19.6


class _Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, rows: Tensor) -> Tensor:
        raise RuntimeError(f"{self.layer(rows).shape} is refused")


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
    network[2].eval()  # a part that is frozen
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(2):
        assert multiply_adds(network, torch.ones(1, 3)) == 9
    assert [layer.training for layer in network.modules()] == [True, True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    failing = _Fails()
    try:
        multiply_adds(failing, torch.ones(1, 2))
    except RuntimeError:
        assert not failing.layer._forward_hooks
        assert failing.training
    else:
        raise AssertionError("the network did not fail")
