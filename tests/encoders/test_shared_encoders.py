"""What every encoder of a published system keeps, at small width: shapes, gradients, batches of any size, export."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from emotrace.encoders.alexnet_fcn import AlexNetFcn, AlexNetFcnConfig
from emotrace.encoders.ir50 import Ir50, Ir50Config
from emotrace.encoders.residual import ResidualConfig, ResidualNetwork
from emotrace.encoders.resnet3d import ResNet3d, ResNet3dConfig
from emotrace.encoders.vggish import Vggish, VggishConfig

TINY = 0.06


@dataclass(frozen=True)
class Case:
    """A small encoder, the shape of one input, and that of what it gives."""

    name: str
    build: Callable[[], nn.Module]
    item: tuple[int, ...]
    answer: tuple[int, ...]


def ir50(in_channels: int, side: int) -> Case:
    config = Ir50Config(in_channels=in_channels, side=side, width=TINY)
    return Case(f"ir50-{in_channels}-{side}", lambda: Ir50(config), (in_channels, side, side), (32,))


CASES = [
    ir50(1, 40),
    ir50(3, 17),
    Case("resnet18", lambda: ResidualNetwork(ResidualConfig(depth=18, in_channels=3, width=TINY)), (3, 40, 33), (31,)),
    Case(
        "resnet18-7x1",
        lambda: ResidualNetwork(ResidualConfig(depth=18, width=TINY, stem="7x1")),
        (1, 64, 32),
        (31,),
    ),
    Case("resnet50", lambda: ResidualNetwork(ResidualConfig(depth=50, width=TINY)), (1, 48, 48), (124,)),
    Case("resnet101", lambda: ResidualNetwork(ResidualConfig(depth=101, width=TINY)), (1, 40, 40), (124,)),
    Case("resnet3d-18", lambda: ResNet3d(ResNet3dConfig(depth=18, in_channels=3, width=TINY)), (3, 5, 32, 40), (31,)),
    Case("resnet3d-50", lambda: ResNet3d(ResNet3dConfig(depth=50, width=TINY)), (1, 4, 40, 40), (124,)),
    Case("resnet3d-101", lambda: ResNet3d(ResNet3dConfig(depth=101, width=TINY)), (1, 1, 40, 40), (124,)),
    Case("vggish", lambda: Vggish(VggishConfig(width=TINY)), (1, 96, 64), (8,)),
    Case("alexnet-fcn", lambda: AlexNetFcn(AlexNetFcnConfig(width=TINY)), (1, 72, 100), (15, 1, 2)),
]
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _items(case: Case, count: int) -> Tensor:
    """Return noise of very different strength: alike items would leave little but roundings behind a normalisation."""
    return torch.rand(count, *case.item) * torch.rand(count, *(1 for _ in case.item))


def _network(case: Case) -> nn.Module:
    """Return the network as after some training: its normalisation has statistics of its own, its blocks add little.

    At random weights a hundred layers make a rounding in single precision grow to some 1e-4 of the answer.
    """
    torch.manual_seed(0)
    network = case.build()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            layer.momentum = None  # the mean of all batches, not nearly the values at the start
        path = getattr(layer, "path", None)
        if isinstance(path, nn.Sequential):
            nn.init.constant_(path[-1].get_parameter("weight"), 0.2)
    with torch.no_grad():
        for _ in range(2):
            network.train()(_items(case, 8))
    return network.eval()


@EACH
@torch.no_grad()
def test_items_become_answers_of_the_shape_that_the_encoder_names(case: Case) -> None:
    network = _network(case)
    answers = network(_items(case, 3))
    assert answers.shape == (3, *case.answer)
    named = getattr(network, "embedding_dim", None) or getattr(network, "channels", None)
    assert named == case.answer[0]
    assert answers.std(dim=0).max() > 1e-4 * answers.abs().mean()  # not the same for every item


@EACH
def test_every_parameter_gets_a_gradient(case: Case) -> None:
    # Not in training: there a normalisation takes the bias before it away, and rounding would pass as a gradient.
    network = _network(case)
    answers = network(_items(case, 8))
    torch.autograd.backward((answers * torch.randn_like(answers)).sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@EACH
@torch.no_grad()
def test_batch_mates_change_nothing_outside_training(case: Case) -> None:
    network = _network(case).double()
    items = _items(case, 4).double()
    torch.testing.assert_close(network(items[2:3]), network(items)[2:3], atol=1e-9, rtol=1e-9)


@EACH
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Constant folding:UserWarning")
def test_the_exported_network_gives_the_same_numbers_for_any_batch(case: Case, tmp_path: Path) -> None:
    network = _network(case)
    path = tmp_path / "encoder.onnx"
    torch.onnx.export(
        network,
        (_items(case, 2),),
        path,
        input_names=["items"],
        output_names=["answers"],
        dynamic_axes={"items": {0: "N"}, "answers": {0: "N"}},
        opset_version=18,
        dynamo=False,
    )
    items = _items(case, 5)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"items": items.numpy()})
    with torch.no_grad():
        wanted: Tensor = network(items)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4, rtol=1e-4)
