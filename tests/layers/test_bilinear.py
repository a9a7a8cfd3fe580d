"""Factorised bilinear pooling against the bilinear form that it factorises."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from emotrace.layers.bilinear import AdaptiveBilinearPooling, FactorizedBilinearPooling

BATCH, FIRST, SECOND, OUTPUT, RANK = 3, 5, 7, 6, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _layer(dropout: float = 0.0) -> FactorizedBilinearPooling:
    return FactorizedBilinearPooling(FIRST, SECOND, OUTPUT, RANK, dropout)


def _vectors() -> tuple[Tensor, Tensor]:
    return torch.randn(BATCH, FIRST), torch.randn(BATCH, SECOND)


@torch.no_grad()
def test_every_output_is_a_bilinear_form_of_low_rank() -> None:
    layer, (first, second) = _layer(), _vectors()
    pooled = layer.pool(first, second)
    for output in range(OUTPUT):
        own = slice(output * RANK, (output + 1) * RANK)
        form = layer.first.weight[own].T @ layer.second.weight[own]  # U_i V_i^T
        assert torch.linalg.matrix_rank(form) == RANK
        expected = torch.stack([a @ form @ v for a, v in zip(first, second, strict=True)])
        torch.testing.assert_close(pooled[:, output], expected)


@torch.no_grad()
def test_the_answer_is_the_signed_square_root_scaled_to_length_one() -> None:
    layer, vectors = _layer(), _vectors()
    pooled, answer = layer.pool(*vectors), layer(*vectors)
    torch.testing.assert_close(answer.norm(dim=-1), torch.ones(BATCH), atol=1e-4, rtol=0)
    rooted = pooled.sign() * pooled.abs().sqrt()
    torch.testing.assert_close(answer, rooted / rooted.norm(dim=-1, keepdim=True), atol=1e-3, rtol=0)


@torch.no_grad()
def test_scaling_one_vector_changes_nothing() -> None:
    layer, (first, second) = _layer(), _vectors()
    torch.testing.assert_close(layer(5 * first, second), layer(first, second), atol=1e-3, rtol=0)
    torch.testing.assert_close(layer(-first, second), -layer(first, second))


@torch.no_grad()
def test_the_two_vectors_have_the_same_role() -> None:
    layer, (first, second) = _layer(), _vectors()
    swapped = FactorizedBilinearPooling(SECOND, FIRST, OUTPUT, RANK)
    swapped.first.weight.copy_(layer.second.weight)
    swapped.second.weight.copy_(layer.first.weight)
    assert torch.equal(swapped(second, first), layer(first, second))


@pytest.mark.parametrize("zero", ["first", "second", "both"])
def test_a_vector_of_zeros_gives_zeros_and_finite_gradients(zero: str) -> None:
    layer, (first, second) = _layer(), _vectors()
    first = (first * (zero == "second")).requires_grad_()
    second = (second * (zero == "first")).requires_grad_()
    answer = layer(first, second)
    assert not answer.any()
    torch.autograd.backward(answer.sum())
    for value in (first, second, *layer.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_dropout_leaves_out_products_before_they_are_summed() -> None:
    layer = _layer(dropout=0.5)
    torch.nn.init.ones_(layer.first.weight)
    torch.nn.init.ones_(layer.second.weight)
    one = torch.zeros(200, FIRST), torch.zeros(200, SECOND)
    one[0][:, 0], one[1][:, 0] = 1, 1
    # Each of the k products is 1: kept, it counts twice. Dropout of the sum would give 0 and 8 only.
    assert set(layer.pool(*one).flatten().tolist()) == {0, 2, 4, 6, 8}
    assert set(layer.eval().pool(*one).flatten().tolist()) == {RANK}


def _adaptive() -> AdaptiveBilinearPooling:
    return AdaptiveBilinearPooling(FIRST, SECOND, OUTPUT, RANK)


def _all(value: bool) -> Tensor:
    return torch.full((BATCH,), value)


@torch.no_grad()
def test_a_modality_that_is_not_known_has_no_weight_and_no_effect() -> None:
    layer, (sound, face) = _adaptive(), _vectors()
    silent, weight = layer(sound * 0, face, _all(False), _all(True))
    assert weight.tolist() == [0] * BATCH
    assert not torch.allclose(silent[0], silent[1], atol=1e-2)
    blind, weight = layer(sound, face * 0, _all(True), _all(False))
    assert weight.tolist() == [1] * BATCH
    assert not torch.allclose(blind[0], blind[1], atol=1e-2)
    nothing, weight = layer(sound * 0, face * 0, _all(False), _all(False))
    assert weight.tolist() == [0] * BATCH
    torch.testing.assert_close(nothing[0], nothing[1])


@torch.no_grad()
def test_the_weights_enter_as_in_the_augmented_vectors() -> None:
    layer, (sound, face) = _adaptive(), _vectors()
    fused, weight = layer(sound, face, _all(True), _all(True))
    shares = layer.gate(torch.cat([sound, face], dim=-1)).softmax(dim=-1)
    torch.testing.assert_close(weight, shares[:, 0])
    one = torch.ones(BATCH, 1)
    first, second = torch.cat([shares[:, :1] * sound, one], dim=1), torch.cat([shares[:, 1:] * face, one], dim=1)
    torch.testing.assert_close(fused, layer.pooling(first, second))


def test_every_weight_of_the_adaptive_pooling_learns() -> None:
    layer = _adaptive()
    fused, _ = layer(*_vectors(), _all(True), _all(True))
    torch.autograd.backward(fused[:, 0].sum())
    assert all(value.grad is not None and value.grad.any() for value in layer.parameters())


def test_the_exported_layer_gives_the_same_numbers(tmp_path: Path) -> None:
    layer, (sound, face) = _adaptive().eval(), _vectors()
    known = torch.tensor([[True, False, True], [True, True, False]])
    path, names = tmp_path / "bilinear.onnx", ["sound", "face", "heard", "seen"]
    outputs = ["fused", "weight"]
    torch.onnx.export(
        layer,
        (sound[:2], face[:2], *known[:, :2]),
        path,
        input_names=names,
        output_names=outputs,
        dynamic_axes={name: {0: "B"} for name in [*names, *outputs]},
        opset_version=18,
        dynamo=False,
    )
    inputs = [sound, face, *known]
    feed = {name: values.numpy() for name, values in zip(names, inputs, strict=True)}
    found = onnxruntime.InferenceSession(path).run(None, feed)
    for ours, theirs in zip(found, layer(*inputs), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-6)
