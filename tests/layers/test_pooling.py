"""Attention pooling against loops that follow the equations letter by letter, and what masks must keep."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.pooling import CellAttention, FrameAttention, masked_softmax

BATCH, CELLS, DIM, ATTENTION_DIM = 5, 7, 6, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _vectors_and_valid() -> tuple[Tensor, Tensor]:
    """All valid, some, one, none, some."""
    valid = torch.rand(BATCH, CELLS) < 0.5
    valid[0], valid[2], valid[3] = True, torch.arange(CELLS) == 4, False
    valid[[1, 4], :2] = True
    return torch.randn(BATCH, CELLS, DIM), valid


def _mean_of_valid(vectors: Tensor, valid: Tensor) -> Tensor:
    rows = zip(vectors, valid, strict=True)
    return torch.stack([row[known].mean(dim=0) if known.any() else torch.zeros(DIM) for row, known in rows])


def _layers() -> list[nn.Module]:
    return [CellAttention(DIM, ATTENTION_DIM), FrameAttention(DIM)]


@torch.no_grad()
def test_cells_are_weighed_by_the_equation() -> None:
    layer = CellAttention(DIM, ATTENTION_DIM, temperature=0.3)
    vectors, valid = _vectors_and_valid()
    w, b, u = layer.project.weight, layer.project.bias, layer.weigh.weight[0]
    for row, known, found in zip(vectors, valid, layer(vectors, valid), strict=True):
        if known.any():
            powers = torch.stack([torch.exp(0.3 * (u @ torch.tanh(w @ cell + b))) for cell in row[known]])
            torch.testing.assert_close(found, (powers / powers.sum()) @ row[known])


@torch.no_grad()
def test_frames_are_weighed_by_the_equation() -> None:
    layer = FrameAttention(DIM)
    vectors, valid = _vectors_and_valid()
    for row, known, found in zip(vectors, valid, layer(vectors, valid), strict=True):
        if known.any():
            weights = torch.stack([torch.sigmoid(layer.weigh.weight[0] @ frame) for frame in row[known]])
            torch.testing.assert_close(found, weights @ row[known] / weights.sum())


@torch.no_grad()
def test_a_temperature_of_zero_averages_the_valid_cells() -> None:
    vectors, valid = _vectors_and_valid()
    pooled = CellAttention(DIM, ATTENTION_DIM, temperature=0)(vectors, valid)
    torch.testing.assert_close(pooled, _mean_of_valid(vectors, valid))
    sharper = CellAttention(DIM, ATTENTION_DIM, temperature=1)(vectors, valid)
    assert not torch.allclose(sharper, _mean_of_valid(vectors, valid), atol=1e-3)


@pytest.mark.parametrize("layer", _layers())
@torch.no_grad()
def test_any_leading_axes_will_do(layer: nn.Module) -> None:
    vectors, valid = _vectors_and_valid()
    torch.testing.assert_close(layer(vectors[None, :, None], valid[None, :, None])[0, :, 0], layer(vectors, valid))


@pytest.mark.parametrize("layer", _layers())
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, 1e30])
def test_what_is_not_valid_is_never_read(layer: nn.Module, garbage: float) -> None:
    vectors, valid = _vectors_and_valid()
    soiled = vectors.masked_fill(~valid.unsqueeze(-1), garbage).requires_grad_()
    pooled = layer(soiled, valid)
    assert torch.equal(pooled, layer(vectors, valid))
    assert torch.equal(pooled[3], torch.zeros(DIM))
    torch.autograd.backward(pooled.square().sum())
    assert soiled.grad is not None
    assert not soiled.grad[~valid].any()
    assert soiled.grad[valid].any()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in layer.parameters())


@torch.no_grad()
def test_frames_whose_weights_round_to_zero_are_still_averaged() -> None:
    layer = FrameAttention(1)
    layer.weigh.weight.fill_(1)
    frames = torch.tensor([[[-500.0], [-500.0]]])
    torch.testing.assert_close(layer(frames, torch.ones(1, 2, dtype=torch.bool)), torch.tensor([[-500.0]]))


def test_shares_sum_to_one_where_anything_is_valid_and_to_zero_elsewhere() -> None:
    _, valid = _vectors_and_valid()
    shares = masked_softmax(torch.randn(BATCH, CELLS) * 100, valid)
    torch.testing.assert_close(shares.sum(dim=-1), valid.any(dim=-1).float())
    assert not shares[~valid].any()


@pytest.mark.parametrize("dim", [0, 1])
def test_a_masked_softmax_is_torchs_among_what_is_valid_along_any_axis(dim: int) -> None:
    scores, places = torch.randn(4, 4), torch.tensor([True, False, True, True])
    shares = masked_softmax(scores, places.unsqueeze(1 - dim), dim=dim)
    chosen = places.nonzero().flatten()
    expected = scores.index_select(dim, chosen).softmax(dim=dim)
    torch.testing.assert_close(shares.index_select(dim, chosen), expected)
    assert not shares.select(dim, 1).any()


@pytest.mark.parametrize("layer", _layers())
def test_the_exported_layer_gives_the_same_numbers(layer: nn.Module, tmp_path: Path) -> None:
    vectors, valid = _vectors_and_valid()
    path = tmp_path / "pooling.onnx"
    names = ["vectors", "valid"]
    torch.onnx.export(
        layer,
        (vectors[:2], valid[:2]),
        path,
        input_names=names,
        output_names=["pooled"],
        dynamic_axes={name: {0: "B"} for name in [*names, "pooled"]},
        opset_version=18,
        dynamo=False,
    )
    (found,) = onnxruntime.InferenceSession(path).run(None, {"vectors": vectors.numpy(), "valid": valid.numpy()})
    np.testing.assert_allclose(found, layer(vectors, valid).detach().numpy(), atol=1e-6)
