"""What the paper claims of its fusion network, and what we add for a missing modality."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from emotrace.layers.fusion import State
from emotrace.losses import modal_scaling_loss
from emotrace.models.bimodal_attention import BimodalAttention, BimodalAttentionConfig

CONFIG = BimodalAttentionConfig(audio_dim=6, region_dim=5, hidden_dim=8, attention_dim=4, dropout=0.0, missing="mask")
BetaForm = Literal["sentinel", "gate"]
BOTH, VOICE_ALONE, FACE_ALONE, NEITHER = (True, True), (True, False), (False, True), (False, False)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _inputs(present: tuple[bool, bool], region_dim: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    voice, face = present
    valid = torch.ones(2, 4, dtype=torch.bool)
    return torch.randn(2, 4, 6), torch.randn(2, 4, 9, region_dim), valid & voice, valid & face


def _network(config: BimodalAttentionConfig) -> BimodalAttention:
    return BimodalAttention(config).eval()


@pytest.mark.parametrize("beta_form", ["sentinel", "gate"])
@pytest.mark.parametrize(("present", "weight"), [(VOICE_ALONE, 1), (FACE_ALONE, 0), (NEITHER, 0.5)])
def test_a_missing_modality_has_no_weight(beta_form: BetaForm, present: tuple[bool, bool], weight: float) -> None:
    network = _network(replace(CONFIG, beta_form=beta_form))
    output = network(*_inputs(present), network.initial_state(2))
    assert output.audio_weight.unique().tolist() == [weight]


@pytest.mark.parametrize("present", [BOTH, VOICE_ALONE, FACE_ALONE, NEITHER])
def test_the_weight_of_a_missing_modality_is_what_the_modal_scaling_loss_asks_for(
    present: tuple[bool, bool],
) -> None:
    network = _network(CONFIG)
    audio, regions, audio_valid, video_valid = _inputs(present)
    weight = network(audio, regions, audio_valid, video_valid, network.initial_state(2)).audio_weight.detach()
    energy = audio_valid.float()
    loss = modal_scaling_loss(weight.requires_grad_(), energy, video_valid, torch.ones_like(audio_valid))
    (gradient,) = torch.autograd.grad(loss, weight)
    assert bool(gradient.any()) == (present == BOTH)


def test_without_residual_a_silent_voice_does_not_reach_the_heads_through_the_mix() -> None:
    """With one region the attention has no choice, so nothing of the voice's past is left."""
    network = _network(replace(CONFIG, residual=False))
    audio, regions, audio_valid, video_valid = _inputs(FACE_ALONE)
    regions = regions[:, :, :1]
    past: State = (torch.randn(2, 8), torch.randn(2, 8))
    calm = network(audio, regions, audio_valid, video_valid, network.initial_state(2))
    agitated = network(audio, regions, audio_valid, video_valid, past)
    torch.testing.assert_close(calm.arousal_valence, agitated.arousal_valence)


def test_with_residual_the_voices_past_reaches_the_heads() -> None:
    network = _network(CONFIG)
    streams = _inputs(FACE_ALONE)
    past: State = (torch.randn(2, 8), torch.randn(2, 8))
    calm = network(*streams, network.initial_state(2))
    agitated = network(*streams, past)
    assert not torch.allclose(calm.arousal_valence, agitated.arousal_valence)


def test_with_neither_modality_and_no_residual_the_answer_is_the_heads_bias() -> None:
    network = _network(replace(CONFIG, residual=False))
    output = network(*_inputs(NEITHER), network.initial_state(2))
    assert network.heads.arousal_valence is not None
    torch.testing.assert_close(output.arousal_valence, network.heads.arousal_valence.bias.expand(2, 4, 2))
    torch.testing.assert_close(output.emotion_logits, network.heads.emotions.bias.expand(2, 4, 8))


@pytest.mark.parametrize("residual", [True, False])
@torch.no_grad()
def test_the_answer_is_equation_30_and_the_heads(residual: bool) -> None:
    network = _network(replace(CONFIG, residual=residual))
    audio, regions, audio_valid, video_valid = _inputs(BOTH)
    state = network.initial_state(2)
    output = network(audio, regions, audio_valid, video_valid, state)
    hidden, _ = network.voice(audio, audio_valid, state)
    pooled, beta = network.attention(network.face(regions), hidden)
    mixed = beta[..., None] * hidden + (1 - beta[..., None]) * pooled
    fused = mixed + hidden if residual else mixed
    torch.testing.assert_close(output.audio_weight, beta)
    arousal_valence, logits = network.heads(fused)
    torch.testing.assert_close(output.arousal_valence, arousal_valence)
    torch.testing.assert_close(output.emotion_logits, logits)


@torch.no_grad()
def test_with_zeros_a_missing_modality_is_features_of_zero() -> None:
    network = _network(replace(CONFIG, missing="zeros"))
    audio, regions, absent, _ = _inputs(NEITHER)
    present = torch.ones_like(absent)
    state = network.initial_state(2)
    found = network(audio, regions, absent, absent, state)
    expected = network(torch.zeros_like(audio), torch.zeros_like(regions), present, present, state)
    torch.testing.assert_close(found.arousal_valence, expected.arousal_valence)
    torch.testing.assert_close(found.audio_weight, expected.audio_weight)


@pytest.mark.parametrize("beta_form", ["sentinel", "gate"])
def test_the_modal_scaling_loss_teaches_the_weight_where_zeros_say_nothing(beta_form: BetaForm) -> None:
    """The paper's claim in small: after training, a missing face gives the voice more weight than a missing voice."""
    network = BimodalAttention(replace(CONFIG, missing="zeros", beta_form=beta_form))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    everything = torch.ones(2, 4, dtype=torch.bool)

    def weight(present: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
        streams = _inputs(present)
        output = network(*streams, network.initial_state(2))
        scale = modal_scaling_loss(output.audio_weight, streams[2].float(), streams[3], everything)
        return output.audio_weight.mean(), scale

    for _ in range(40):
        optimiser.zero_grad()
        torch.autograd.backward(weight(VOICE_ALONE)[1] + weight(FACE_ALONE)[1])
        optimiser.step()
    assert weight(VOICE_ALONE)[0].item() > 0.8
    assert weight(FACE_ALONE)[0].item() < 0.2


def test_regions_as_wide_as_the_voice_state_are_not_projected() -> None:
    network = _network(replace(CONFIG, region_dim=8))
    assert not list(network.face.parameters())
    output = network(*_inputs(BOTH, region_dim=8), network.initial_state(2))
    assert output.arousal_valence.shape == (2, 4, 2)


def test_dropout_makes_training_random_and_leaves_the_weight_alone() -> None:
    network = BimodalAttention(replace(CONFIG, dropout=0.5)).train()
    streams = _inputs(BOTH)
    one, two = (network(*streams, network.initial_state(2)) for _ in range(2))
    assert not torch.allclose(one.arousal_valence, two.arousal_valence)
    torch.testing.assert_close(one.audio_weight, two.audio_weight)


def test_the_papers_sizes_have_the_parameters_they_should() -> None:
    with torch.device("meta"):
        network = BimodalAttention(BimodalAttentionConfig(audio_dim=512, region_dim=512))
    linear = 512 * 512 + 512
    lstm = 4 * (512 * 512 + 512 * 512 + 2 * 512)
    attention = 3 * 512 * 256 + 256
    heads = 512 * 10 + 10
    assert sum(parameter.numel() for parameter in network.parameters()) == linear + lstm + attention + heads
