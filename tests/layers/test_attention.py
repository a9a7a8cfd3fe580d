"""Attention over face regions against loops that follow the equations letter by letter."""

import math

import pytest
import torch
from torch import Tensor

from emotrace.layers.attention import GatedAttention, RegionAttention, SentinelAttention, pool_regions

NUM_REGIONS, REGION_DIM, STATE_DIM, ATTENTION_DIM = 6, 5, 4, 3


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _regions_and_state() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 3, NUM_REGIONS, REGION_DIM), torch.randn(2, 3, STATE_DIM)


@torch.no_grad()
def _scores_by_hand(attention: RegionAttention, regions: Tensor, state: Tensor) -> list[float]:
    """z of one tick, region by region: w_h . tanh(W f_i + W_g h)."""
    w, w_g, w_h = attention.regions.weight, attention.state.weight, attention.weigh.weight[0]
    return [float(w_h @ torch.tanh(w @ region + w_g @ state)) for region in regions]


@torch.no_grad()
def test_scores_are_equation_28() -> None:
    attention = RegionAttention(REGION_DIM, STATE_DIM, ATTENTION_DIM)
    regions, state = _regions_and_state()
    expected = _scores_by_hand(attention, regions[1, 2], state[1, 2])
    assert attention.score(regions, state)[1, 2].tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_scores_pool_to_the_mean() -> None:
    regions, _ = _regions_and_state()
    pooled = pool_regions(regions, torch.zeros(2, 3, NUM_REGIONS))
    torch.testing.assert_close(pooled, regions.mean(dim=-2))


def test_one_high_score_picks_its_region() -> None:
    regions, _ = _regions_and_state()
    scores = torch.zeros(2, 3, NUM_REGIONS)
    scores[..., 4] = 100
    torch.testing.assert_close(pool_regions(regions, scores), regions[..., 4, :])


def test_scores_of_one_third_and_two_thirds_weigh_the_regions_so() -> None:
    regions = torch.tensor([[0.0], [3.0]])
    assert pool_regions(regions, torch.tensor([0.0, math.log(2)])).item() == pytest.approx(2)


@torch.no_grad()
def test_the_sentinels_weight_is_the_last_element_of_the_joint_softmax() -> None:
    layer = SentinelAttention(REGION_DIM, STATE_DIM, ATTENTION_DIM)
    regions, state = _regions_and_state()
    pooled, audio_weight = layer(regions, state)
    scores = _scores_by_hand(layer.attention, regions[1, 2], state[1, 2])
    joint = layer.sentinel.weight @ state[1, 2] + layer.attention.state.weight @ state[1, 2]
    sentinel = float(layer.attention.weigh.weight[0] @ joint.tanh())
    shares = torch.tensor([*scores, sentinel]).softmax(dim=0)
    assert audio_weight[1, 2].item() == pytest.approx(shares[-1].item(), abs=1e-6)
    expected = (shares[:-1, None] * regions[1, 2]).sum(dim=0) / shares[:-1].sum()
    torch.testing.assert_close(pooled[1, 2], expected)


@torch.no_grad()
def test_the_gate_is_a_sigmoid_of_voice_and_pooled_face() -> None:
    layer = GatedAttention(REGION_DIM, STATE_DIM, ATTENTION_DIM)
    regions, state = _regions_and_state()
    pooled, audio_weight = layer(regions, state)
    torch.testing.assert_close(pooled, layer.attention(regions, state))
    joint = torch.tanh(layer.gate_state.weight @ state[1, 2] + layer.gate_face.weight @ pooled[1, 2])
    expected = torch.sigmoid(layer.gate.weight[0] @ joint + layer.gate.bias)
    assert audio_weight[1, 2].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("layer_class", [SentinelAttention, GatedAttention])
@torch.no_grad()
def test_the_order_of_regions_changes_nothing(
    layer_class: type[SentinelAttention] | type[GatedAttention],
) -> None:
    layer = layer_class(REGION_DIM, STATE_DIM, ATTENTION_DIM)
    regions, state = _regions_and_state()
    pooled, audio_weight = layer(regions, state)
    pooled_again, weight_again = layer(regions[..., torch.randperm(NUM_REGIONS), :], state)
    torch.testing.assert_close(pooled_again, pooled)
    torch.testing.assert_close(weight_again, audio_weight)


@pytest.mark.parametrize("layer_class", [SentinelAttention, GatedAttention])
@torch.no_grad()
def test_weights_lie_strictly_between_zero_and_one(
    layer_class: type[SentinelAttention] | type[GatedAttention],
) -> None:
    layer = layer_class(REGION_DIM, STATE_DIM, ATTENTION_DIM)
    regions, state = _regions_and_state()
    _, audio_weight = layer(regions * 1000, state * 1000)
    assert ((audio_weight > 0) & (audio_weight < 1)).all()
