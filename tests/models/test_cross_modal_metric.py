"""What the cross-modal network with a metric must keep; see `clips.py` for the toy clips."""

import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.clips import Backbone, Modality
from emotrace.models.cross_modal_metric import Cross, CrossAttention, CrossModalMetric, CrossModalMetricConfig
from tests.models.clips import blank_clips, shapes_within, toy_clips, toy_sizes

SIZES = toy_sizes(bands=40, crop_side=48)
SAMPLING = CrossModalMetric.samplings["small"]
CLIPS = toy_clips(SIZES, SAMPLING, 6)


def _network(visual: Backbone = "frozen") -> CrossModalMetric:
    torch.manual_seed(0)
    return CrossModalMetric(CrossModalMetricConfig(sizes=SIZES, visual=visual)).eval()


@pytest.mark.parametrize("shown_in", [("voice",), ("face",)])
def test_it_learns_a_toy_task(shown_in: tuple[Modality, ...]) -> None:
    network = _network().train()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(15):
        optimiser.zero_grad()
        batch = toy_clips(SIZES, SAMPLING, 16, seed=step, shown_in=shown_in, complete=True)
        torch.autograd.backward(network.loss(batch))
        optimiser.step()
    fresh = toy_clips(SIZES, SAMPLING, 24, seed=1000, shown_in=shown_in, complete=True)
    with torch.no_grad():
        right = network.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


@torch.no_grad()
def test_the_published_sizes_are_those_that_were_read() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, crop_side=256)
        config = CrossModalMetricConfig(sizes=sizes, scale="published", visual="own")
        network = CrossModalMetric(config).eval()
        clips = blank_clips(sizes, CrossModalMetric.samplings["published"])
        shapes = shapes_within(network, clips)
        assert network.maps(clips).shape == (2, 6, 2048, 64)
    assert shapes["spatial"] == (2, 6, 64, 2048)
    assert shapes["channel.attention"] == (2, 6, 2048, 64)
    assert shapes["watch"] == (2, 6, 512)
    assert shapes["sound"] == (12, 512)
    assert shapes["listen"] == (2, 6, 512)
    assert shapes["cross"] == (2, 6, 1024)
    assert network.embed.in_features == 6144
    assert shapes["embed"] == (2, 512)
    assert shapes["classify"] == (2, 8)
    attentions = (network.spatial, network.channel, network.watch, network.listen)
    assert [each.attention.heads for each in attentions] == [8, 8, 8, 8]


def test_the_frozen_encoder_takes_the_place_of_the_published_network() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, num_regions=49, region_dim=128)
        network = CrossModalMetric(CrossModalMetricConfig(sizes=sizes, scale="published")).eval()
        shapes = shapes_within(network, blank_clips(sizes, CrossModalMetric.samplings["published"]))
    assert shapes["channel"] == (2, 6, 49, 128)
    assert network.channel.attention.heads == 7
    assert list(network.encoders()) == ["audio"]
    assert list(_network("own").encoders()) == ["visual", "audio"]


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("cross", ["reweight", "attend"])
def test_every_variant_learns_with_every_weight(literal: bool, cross: Cross) -> None:
    torch.manual_seed(0)
    network = CrossModalMetric(CrossModalMetricConfig(sizes=SIZES, literal=literal, cross=cross)).eval()
    assert any(isinstance(part, nn.LayerNorm) for part in network.modules()) != literal
    torch.autograd.backward(network.loss(CLIPS))
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_the_loss_is_cross_entropy_and_the_weighted_triplet_loss() -> None:
    network, clips = _network(), toy_clips(SIZES, SAMPLING)
    answer = network(clips)
    entropy = nn.functional.cross_entropy(answer.logits, clips.label).item()
    metric = network.margins.metric_loss(answer.embedding, clips.label).item()
    assert metric > 0
    assert network.loss(clips).item() == pytest.approx(entropy + 0.5 * metric, rel=1e-4)
    torch.manual_seed(0)
    plain = CrossModalMetric(CrossModalMetricConfig(sizes=SIZES, metric_weight=0.0)).eval()
    assert plain.loss(clips).item() == pytest.approx(entropy, rel=1e-4)


def _softmax(values: Tensor) -> Tensor:
    return values.exp() / values.exp().sum(dim=0)


@torch.no_grad()
def test_voice_and_face_are_mixed_as_the_equations_say() -> None:
    torch.manual_seed(0)
    heard, seen = torch.randn(6, 5), torch.randn(6, 5)
    everything = torch.ones(1, 6, dtype=torch.bool)
    variants: tuple[Cross, ...] = ("reweight", "attend")
    for variant in variants:
        layer = CrossAttention(5, variant)
        scores = heard @ layer.joint.weight.T @ seen.T
        if variant == "reweight":
            face, voice = _softmax(scores.T) @ seen, _softmax(scores) @ heard
        else:
            face, voice = _softmax(scores).T @ heard, _softmax(scores.T).T @ seen
        out = layer(heard[None], everything, seen[None], everything)
        expected = torch.cat([(face + seen).tanh(), (voice + heard).tanh()], dim=1)
        torch.testing.assert_close(out[0], expected)


@pytest.mark.parametrize("cross", ["reweight", "attend"])
@torch.no_grad()
def test_what_is_missing_has_no_share_in_the_mixture(cross: Cross) -> None:
    torch.manual_seed(0)
    layer = CrossAttention(5, cross)
    spoken, shown = torch.rand(3, 6) < 0.5, torch.rand(3, 6) < 0.5
    heard, seen = torch.randn(3, 6, 5) * spoken[..., None], torch.randn(3, 6, 5) * shown[..., None]
    out = layer(heard, spoken, seen, shown)
    assert not out[..., :5][~shown].any()
    assert not out[..., 5:][~spoken].any()
    # The only voice there is: its own share is all of it, and there is no face to attend to.
    voice = torch.zeros(1, 6, 5)
    voice[0, 1] = torch.randn(5)
    only_voice = layer(voice, voice.any(dim=-1), torch.zeros(1, 6, 5), torch.zeros(1, 6, dtype=torch.bool))
    factor = 2 if cross == "reweight" else 1
    torch.testing.assert_close(only_voice[0, 1, 5:], (factor * voice[0, 1]).tanh())
