"""How far back the network reaches, that it never looks ahead, and that it can be saved and exported."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor

from emotrace.encoders.counting import count_parameters
from emotrace.layers.temporal_convolution import TemporalConvolution


def _network(in_dim: int = 6, *, blocks: int = 4, dropout: float = 0.1) -> TemporalConvolution:
    torch.manual_seed(0)
    return TemporalConvolution(in_dim, [8] * blocks, dropout=dropout).eval()


def _steps(count: int, width: int = 6, recordings: int = 2) -> Tensor:
    return torch.randn(recordings, count, width, generator=Generator().manual_seed(1))


def _seen(network: TemporalConvolution, count: int, step: int) -> Tensor:
    """Return the steps whose input the answer at a step depends on."""
    inputs = _steps(count, recordings=1).requires_grad_()
    torch.autograd.backward(network(inputs)[0, step].sum())
    assert inputs.grad is not None
    return inputs.grad[0].abs().sum(dim=1).nonzero().flatten()


@pytest.mark.parametrize(("blocks", "expected"), [(1, 9), (4, 121)])
def test_the_receptive_field_is_what_the_gradient_says(blocks: int, expected: int) -> None:
    network = _network(blocks=blocks)
    assert network.receptive_field == expected
    seen = _seen(network, expected + 30, expected + 10)
    assert torch.equal(seen, torch.arange(11, expected + 11))


def test_no_answer_depends_on_a_later_step() -> None:
    assert _seen(_network(), 60, 20).max() == 20


@torch.no_grad()
def test_a_stretch_with_its_context_gives_the_answers_of_the_whole() -> None:
    network, steps = _network(), _steps(300)
    first, context = 200, network.receptive_field - 1
    stretch = network(steps[:, first - context :])[:, context:]
    torch.testing.assert_close(stretch, network(steps)[:, first:])


@pytest.mark.parametrize(("in_dim", "channels", "expected"), [(512, 128, 968_832), (128, 32, 60_960), (39, 32, 43_872)])
def test_the_published_sizes_have_the_published_number_of_weights(in_dim: int, channels: int, expected: int) -> None:
    assert count_parameters(TemporalConvolution(in_dim, [channels] * 4)) == expected


def test_every_weight_gets_a_gradient() -> None:
    network = _network().train()
    torch.autograd.backward(network(_steps(40)).square().sum())
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())


def test_dropout_leaves_whole_channels_out() -> None:
    network = TemporalConvolution(6, [64], dropout=0.5).train()
    dropped = network.blocks[0].body(_steps(50).transpose(1, 2))  # type: ignore[operator]
    silent = (dropped == 0).all(dim=-1)
    assert 0.3 < silent.float().mean() < 0.7
    assert (dropped[~silent] != 0).all()


def test_dropout_of_values_leaves_out_some_of_every_channel() -> None:
    network = TemporalConvolution(6, [64], dropout=0.5, dropped="values").train()
    silent = network.blocks[0].body(_steps(50).transpose(1, 2)) == 0  # type: ignore[operator]
    shares = silent.float().mean(dim=-1)
    assert 0.4 < shares.mean() < 0.6
    assert ((shares > 0) & (shares < 1)).all()


def test_saved_weights_give_the_same_answer(tmp_path: Path) -> None:
    network, steps = _network(), _steps(40)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(5)
    other = TemporalConvolution(6, [8] * 4).eval()
    assert not torch.equal(other(steps), network(steps))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(steps), network(steps))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_the_exported_network_gives_the_same_numbers(tmp_path: Path) -> None:
    network, path = _network(), tmp_path / "network.onnx"
    axes = {"steps": {0: "B", 1: "S"}}
    torch.onnx.export(
        network, (_steps(20),), path, input_names=["steps"], dynamic_axes=axes, dynamo=False, opset_version=18
    )
    session = onnxruntime.InferenceSession(path)
    for count in (1, 20, 150):
        with torch.no_grad():
            expected = network(_steps(count, recordings=3))
        found = session.run(None, {"steps": _steps(count, recordings=3).numpy()})[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
