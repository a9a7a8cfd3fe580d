"""Losses of training against hand-computed gradients, the metrics, and garbage outside the mask."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from emotrace import losses, metrics

MAIN_LOSSES = [losses.rmse_loss, losses.ccc_loss, losses.windowed_ccc_loss]
MainLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
PRESENCE = list(itertools.product([0.0, 0.4, 1.0], [0.0, 1.0]))
"""Pairs of speech energy m and face detection n."""


def _batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(3, 9, 2, generator=generator, dtype=torch.float64) * 2 - 1
    prediction = 0.5 * truth + 0.3 * torch.randn(3, 9, 2, generator=generator, dtype=torch.float64) + 0.2
    valid = torch.rand(3, 9, generator=generator) < 0.7
    return prediction, truth, valid


def _one(value: float) -> Tensor:
    return torch.full((1, 1), value, dtype=torch.float64)


COUNTS = torch.ones(1, 1, dtype=torch.bool)


def test_rmse_loss_is_the_metric_averaged_over_dimensions() -> None:
    prediction, truth, valid = _batch()
    expected = [metrics.rmse(truth[..., d], prediction[..., d], valid) for d in range(2)]
    assert losses.rmse_loss(prediction, truth, valid).item() == pytest.approx(sum(expected) / 2, abs=1e-6)


def test_rmse_loss_has_a_finite_gradient_at_a_perfect_prediction() -> None:
    _, truth, valid = _batch()
    prediction = truth.clone().requires_grad_()
    torch.autograd.backward(losses.rmse_loss(prediction, truth, valid))
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(truth))


def test_ccc_loss_is_one_minus_the_metric_averaged_over_dimensions() -> None:
    prediction, truth, valid = _batch()
    expected = [1 - metrics.ccc(truth[..., d], prediction[..., d], valid) for d in range(2)]
    assert losses.ccc_loss(prediction, truth, valid).item() == pytest.approx(sum(expected) / 2, abs=1e-6)


def test_ccc_loss_of_a_perfect_prediction_is_zero() -> None:
    _, truth, valid = _batch()
    assert losses.ccc_loss(truth, truth, valid).item() == pytest.approx(0, abs=1e-6)


def test_ccc_loss_of_a_constant_prediction_is_one() -> None:
    _, truth, valid = _batch()
    assert losses.ccc_loss(torch.full_like(truth, 0.3), truth, valid).item() == pytest.approx(1)


@pytest.mark.parametrize("loss", MAIN_LOSSES)
def test_the_gradient_is_the_numeric_one(loss: MainLoss) -> None:
    prediction, truth, valid = _batch()
    assert torch.autograd.gradcheck(lambda values: loss(values, truth, valid), prediction.requires_grad_())


@pytest.mark.parametrize("loss", MAIN_LOSSES)
def test_what_does_not_count_changes_neither_loss_nor_gradient(loss: MainLoss) -> None:
    prediction, truth, valid = _batch()
    hidden = ~valid.unsqueeze(-1)
    clean = prediction.clone().requires_grad_()
    torch.autograd.backward(loss(clean, truth, valid))
    soiled = prediction.masked_fill(hidden, 1e6).requires_grad_()
    value = loss(soiled, truth.masked_fill(hidden, torch.nan), valid)
    torch.autograd.backward(value)
    assert clean.grad is not None
    assert soiled.grad is not None
    assert value.item() == loss(prediction, truth, valid).item()
    assert torch.equal(soiled.grad, clean.grad)
    assert not soiled.grad[~valid].any()


@pytest.mark.parametrize("loss", MAIN_LOSSES)
def test_nothing_that_counts_gives_no_gradient(loss: MainLoss) -> None:
    prediction, truth, valid = _batch()
    prediction.requires_grad_()
    torch.autograd.backward(loss(prediction, truth, torch.zeros_like(valid)))
    assert prediction.grad is not None
    assert not prediction.grad.any()


@pytest.mark.parametrize(("energy", "face"), PRESENCE)
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9])
def test_the_gradient_of_the_modal_scaling_loss_is_equation_32(energy: float, face: float, beta: float) -> None:
    audio_weight = _one(beta).requires_grad_()
    torch.autograd.backward(losses.modal_scaling_loss(audio_weight, _one(energy), _one(face), COUNTS))
    assert audio_weight.grad is not None
    assert audio_weight.grad.item() == pytest.approx(2 * beta + face - energy - 1)


@pytest.mark.parametrize(("energy", "face"), PRESENCE)
def test_the_modal_scaling_loss_is_least_halfway_between_the_modalities(energy: float, face: float) -> None:
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    values = [losses.modal_scaling_loss(_one(b), _one(energy), _one(face), COUNTS).item() for b in grid.tolist()]
    least = grid[torch.tensor(values).argmin()].item()
    assert least == pytest.approx((1 + energy - face) / 2, abs=1e-3)


@pytest.mark.parametrize(("energy", "face"), PRESENCE)
def test_the_gated_form_is_the_literal_one_weighed_by_the_difference(energy: float, face: float) -> None:
    literal = losses.modal_scaling_loss(_one(0.3), _one(energy), _one(face), COUNTS)
    gated = losses.modal_scaling_loss(_one(0.3), _one(energy), _one(face), COUNTS, form="gated")
    assert gated.item() == pytest.approx(abs(energy - face) * literal.item())


def test_sound_that_is_not_there_has_no_energy() -> None:
    unknown = losses.modal_scaling_loss(_one(0.3), _one(torch.nan), _one(1), COUNTS)
    silent = losses.modal_scaling_loss(_one(0.3), _one(0), _one(1), COUNTS)
    assert unknown.item() == silent.item()


def test_the_modal_scaling_loss_is_the_mean_over_ticks_that_count() -> None:
    audio_weight = torch.tensor([[1.0, 0.5, torch.nan]])
    face_detected = torch.tensor([[True, True, False]])
    valid = torch.tensor([[True, True, False]])
    # m = 0, n = 1: (0 - 1)^2 / 2 + (1 - 0)^2 / 2 = 1, and (0 - 0.5)^2 / 2 + (1 - 0.5)^2 / 2 = 0.25
    loss = losses.modal_scaling_loss(audio_weight, torch.zeros(1, 3), face_detected, valid)
    assert loss.item() == pytest.approx((1 + 0.25) / 2)


def test_soft_cross_entropy_with_one_hot_targets_is_torchs() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10).reshape(2, 5) % 4
    valid = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    targets = torch.nn.functional.one_hot(labels, 4).float()
    expected = torch.nn.functional.cross_entropy(logits[valid], labels[valid])
    assert losses.soft_cross_entropy(logits, targets, valid).item() == pytest.approx(expected.item(), rel=1e-6)


def test_soft_cross_entropy_is_least_at_the_targets() -> None:
    targets = torch.tensor([[0.7, 0.2, 0.1]])
    valid = torch.tensor([True])
    at_targets = losses.soft_cross_entropy(targets.log(), targets, valid)
    assert at_targets.item() == pytest.approx(-(targets * targets.log()).sum().item())
    assert losses.soft_cross_entropy(torch.zeros(1, 3), targets, valid) > at_targets


def test_soft_cross_entropy_ignores_what_does_not_count() -> None:
    logits = torch.tensor([[1.0, 2.0], [torch.nan, torch.inf]], requires_grad=True)
    targets = torch.tensor([[0.5, 0.5], [torch.nan, 1.0]])
    torch.autograd.backward(losses.soft_cross_entropy(logits, targets, torch.tensor([True, False])))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[1].any()


def test_the_windowed_ccc_loss_is_the_official_concordance_of_each_window() -> None:
    prediction, truth, valid = _batch()
    found = [
        1 - metrics.ccc_official(truth[b, :, d], prediction[b, :, d], valid[b]) for b in range(3) for d in range(2)
    ]
    loss = losses.windowed_ccc_loss(prediction, truth, valid)
    assert loss.item() == pytest.approx(sum(found) / len(found), abs=1e-6)


def test_a_window_filled_up_and_one_with_a_single_tick_change_nothing() -> None:
    prediction, truth, valid = _batch()
    expected = losses.windowed_ccc_loss(prediction, truth, valid).item()
    more = torch.zeros(3, 4, 2, dtype=torch.float64)
    filled, as_well = (torch.cat([values, more], dim=1) for values in (prediction, truth))
    not_there = torch.cat([valid, torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    assert losses.windowed_ccc_loss(filled, as_well, not_there).item() == pytest.approx(expected)
    single = torch.zeros(1, 9, dtype=torch.bool).index_fill(1, torch.tensor([3]), True)
    longer, too = (torch.cat([values, values[:1]]) for values in (prediction, truth))
    assert losses.windowed_ccc_loss(longer, too, torch.cat([valid, single])).item() == pytest.approx(expected)


def test_in_the_windowed_ccc_loss_a_long_window_counts_as_much_as_a_short_one() -> None:
    prediction, truth, valid = _batch()
    valid[0, 4:] = False
    alone = [losses.windowed_ccc_loss(prediction[b : b + 1], truth[b : b + 1], valid[b : b + 1]) for b in range(3)]
    together = losses.windowed_ccc_loss(prediction, truth, valid)
    assert together.item() == pytest.approx(sum(each.item() for each in alone) / 3)
