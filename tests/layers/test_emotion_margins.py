"""Learnable margins between emotions, and the triplet loss on them."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from emotrace.labels import EMOTIONS
from emotrace.layers.emotion_margins import EmotionMargins

FOUR = ("anger", "happiness", "sadness", "neutral")


def _by_hand(embedding: Tensor, labels: list[int], margins: Tensor) -> float:
    """The mean over anchors of their worst triplet, triplet by triplet."""
    units = embedding / embedding.norm(dim=1, keepdim=True)
    worst = []
    for anchor, label in enumerate(labels):
        same = [i for i, other in enumerate(labels) if other == label and i != anchor]
        others = [i for i, other in enumerate(labels) if other != label]
        triplets = [
            (units[anchor] - units[p]).square().sum()
            - (units[anchor] - units[n]).square().sum()
            + margins[label, labels[n]]
            for p, n in itertools.product(same, others)
        ]
        if triplets:
            worst.append(max(0.0, float(max(triplets))))
    return sum(worst) / len(worst)


def test_margins_are_symmetric_positive_and_zero_on_the_diagonal() -> None:
    margins = EmotionMargins((*EMOTIONS, "calm"))()
    assert torch.equal(margins, margins.T)
    assert not margins.diagonal().any()
    assert (margins[~torch.eye(9, dtype=torch.bool)] > 0.2).all()


def test_emotions_further_apart_start_with_a_larger_margin() -> None:
    names = (*EMOTIONS, "calm")
    margins = EmotionMargins(names)()

    def between(one: str, other: str) -> float:
        return float(margins[names.index(one), names.index(other)].detach())

    assert between("anger", "contempt") < between("anger", "surprise") < between("happiness", "sadness")
    assert between("happiness", "calm") == between("happiness", "neutral")
    # The origin is |(0.81, 0.51)| away from happiness, and 0.2 is the base.
    assert between("happiness", "neutral") == pytest.approx(0.2 + (0.81**2 + 0.51**2) ** 0.5, abs=1e-5)
    assert 0.2 < between("calm", "neutral") < 0.3


def test_a_class_without_a_place_has_the_mean_margin_to_all() -> None:
    names = (*EMOTIONS, "trust")
    margins = EmotionMargins(names)().detach()
    upper = margins[:8, :8][torch.ones(8, 8).triu(1).bool()]
    torch.testing.assert_close(margins[8, :8], upper.mean().expand(8))


def test_the_loss_is_the_worst_triplet_of_every_clip_that_has_one() -> None:
    module = EmotionMargins(FOUR)
    embedding = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 0, 2, 1, 3, 1]
    expected = _by_hand(embedding, labels, module().detach())
    assert expected > 0
    assert module.metric_loss(embedding, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-5)


def test_classes_far_apart_cost_nothing() -> None:
    # Opposite directions are 4 apart, more than any margin.
    embedding = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]])
    assert EmotionMargins(FOUR).metric_loss(embedding, torch.tensor([0, 0, 1, 1])).item() == 0
    assert EmotionMargins(FOUR).metric_loss(embedding, torch.tensor([0, 1, 0, 1])).item() > 1


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [2]])
def test_without_a_triplet_loss_and_gradients_are_zero(labels: list[int]) -> None:
    module = EmotionMargins(FOUR)
    with torch.no_grad():
        module.raw.add_(1)
    embedding = torch.randn(len(labels), 5).requires_grad_()
    loss = module.metric_loss(embedding, torch.tensor(labels))
    torch.autograd.backward(loss)
    assert loss.item() == 0
    for gradient in (embedding.grad, module.raw.grad):
        assert gradient is not None
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_an_embedding_of_zeros_has_a_bounded_gradient() -> None:
    embedding = torch.zeros(4, 5).requires_grad_()
    torch.autograd.backward(EmotionMargins(FOUR).metric_loss(embedding, torch.tensor([0, 0, 1, 1])))
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


def test_margins_that_are_always_violated_shrink_by_a_quarter_in_the_mean() -> None:
    module = EmotionMargins(FOUR)
    start = module().detach()
    optimiser = torch.optim.Adam(module.parameters(), 0.05)
    labels = torch.arange(8) % 4
    for _ in range(300):
        optimiser.zero_grad()
        torch.autograd.backward(module.metric_loss(torch.ones(8, 3), labels))
        optimiser.step()
    off = ~torch.eye(4, dtype=torch.bool)
    # Every anchor pulls at one margin, by 1 in all; the square of what they lose pulls them back.
    assert (start - module())[off].mean().item() == pytest.approx(0.25, abs=0.02)
    assert (module()[off] > 0.5).all()


def _spread(metric_weight: float) -> float:
    """Mean distance between classes by that within them, after training; classes are read from noisy inputs."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 4
    inputs = torch.randn(4, 12, generator=generator)[labels] + 0.7 * torch.randn(48, 12, generator=generator)
    torch.manual_seed(0)
    embed, classify, module = nn.Linear(12, 6), nn.Linear(6, 4), EmotionMargins(FOUR)
    optimiser = torch.optim.Adam([*embed.parameters(), *classify.parameters(), *module.parameters()], 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        entropy = nn.functional.cross_entropy(classify(embed(inputs)), labels)
        torch.autograd.backward(entropy + metric_weight * module.metric_loss(embed(inputs), labels))
        optimiser.step()
    units = nn.functional.normalize(embed(inputs).detach(), dim=1)
    distances = torch.cdist(units, units).square()
    same = labels[:, None] == labels
    return float(distances[~same].mean() / distances[same].mean())


def test_with_the_triplet_loss_classes_are_further_apart_for_their_size_than_with_cross_entropy_alone() -> None:
    assert _spread(0.5) > 1.3 * _spread(0.0)
