"""What VAANet must keep; see `clips.py` for the toy clips."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from emotrace.encoders.residual import ResidualNetwork
from emotrace.layers.clips import Backbone, Modality
from emotrace.models.vaanet import SnippetAttention, TemporalAttention, Vaanet, VaanetConfig
from tests.models.clips import blank_clips, rows, shapes_within, toy_clips, toy_sizes

SIZES = toy_sizes(bands=40, crop_side=48)
SAMPLING = Vaanet.samplings["small"]


def _network(visual: Backbone = "frozen") -> Vaanet:
    torch.manual_seed(0)
    return Vaanet(VaanetConfig(sizes=SIZES, visual=visual)).eval()


@pytest.mark.parametrize("shown_in", [("voice",), ("face",)])
def test_it_learns_a_toy_task(shown_in: tuple[Modality, ...]) -> None:
    network = _network().train()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(18):
        optimiser.zero_grad()
        batch = toy_clips(SIZES, SAMPLING, 12, seed=step, shown_in=shown_in, complete=True)
        torch.autograd.backward(network.loss(batch))
        optimiser.step()
    fresh = toy_clips(SIZES, SAMPLING, 24, seed=1000, shown_in=shown_in, complete=True)
    with torch.no_grad():
        right = network.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


@torch.no_grad()
def test_the_published_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, crop_side=112)
        network = Vaanet(VaanetConfig(sizes=sizes, scale="published", visual="own")).eval()
        clips = blank_clips(sizes, Vaanet.samplings["published"])
        shapes = shapes_within(network, clips)
        assert network.maps(clips).shape == (2, 12, 2048, 16)
    assert shapes["look.narrow"] == (24, 512, 16)
    assert shapes["look.spatial"] == (24, 16)
    assert shapes["look.channel"] == (24, 512)
    assert shapes["watch"] == (2, 512)
    assert shapes["cepstrum"] == (2, 16, 256, 32)
    assert shapes["sound"] == (32, 512)
    assert shapes["hear"] == (32, 256)
    assert shapes["listen"] == (2, 256)
    assert network.classify.in_features == 768
    assert shapes["classify"] == (2, 8)


def test_the_frozen_encoder_takes_the_place_of_the_published_network() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, num_regions=49, region_dim=128)
        network = Vaanet(VaanetConfig(sizes=sizes, scale="published")).eval()
        shapes = shapes_within(network, blank_clips(sizes, Vaanet.samplings["published"]))
    assert shapes["look.narrow"] == (24, 512, 49)
    assert list(network.encoders()) == ["audio"]
    assert list(_network("own").encoders()) == ["visual", "audio"]


def test_the_published_sound_network_ends_in_a_map_of_eight_by_two() -> None:
    with torch.device("meta"):
        network = Vaanet(VaanetConfig(sizes=SIZES, scale="published"))
        assert isinstance(network.sound, ResidualNetwork)
        assert network.sound.maps(torch.zeros(1, 1, 256, 32)).shape == (1, 512, 8, 2)


@torch.no_grad()
def test_a_snippet_is_looked_at_as_the_equations_say() -> None:
    torch.manual_seed(0)
    layer = SnippetAttention(6, 4, 5).eval()
    maps = torch.randn(3, 6, 4)
    narrow, spatial, channel = layer.narrow[0], layer.spatial, layer.channel
    assert isinstance(narrow, nn.Conv1d)
    assert narrow.bias is not None
    # Untrained, batch normalisation out of training divides by sqrt(1 + 1e-5) only.
    features = (torch.einsum("ek,nkx->nex", narrow.weight[..., 0], maps) + narrow.bias[:, None]).relu()
    scores = [part.score.weight[0, :, 0] for part in (spatial, channel)]
    places = (torch.einsum("e,nex->nx", scores[0], features).tanh() @ spatial.mix.weight.T).softmax(dim=1) * 4
    features = features * places[:, None]
    channels = (torch.einsum("x,nex->ne", scores[1], features).tanh() @ channel.mix.weight.T).softmax(dim=1) * 5
    torch.testing.assert_close(layer(maps), (features * channels[..., None]).mean(dim=2), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_time_is_averaged_over_what_is_known_with_weights_that_need_not_sum_to_one() -> None:
    torch.manual_seed(0)
    layer = TemporalAttention(5, 3).eval()
    assert torch.equal(layer.mix.bias, torch.ones(3))
    known = torch.tensor([[True, False, True], [False, False, False]])
    items = torch.randn(2, 3, 5) * known[..., None]
    scores = (items[0] @ layer.score.weight[0, :, 0]).tanh() * known[0]
    weights = (layer.mix.weight @ scores + 1).relu()
    out = layer(items, known)
    expected = (weights[0] * items[0, 0] + weights[2] * items[0, 2]) / 2
    torch.testing.assert_close(out[0], expected, atol=1e-4, rtol=1e-4)
    assert not out[1].any()


def test_convolutions_of_the_attention_start_as_in_the_paper() -> None:
    convolution = _network().look.narrow[0]
    assert isinstance(convolution, nn.Conv1d)
    # Fan-out is the number of output channels: a variance of 2 / 64.
    assert convolution.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.15)


def test_a_mistake_in_polarity_costs_more() -> None:
    sizes = replace(SIZES, classes=("anger", "fear", "joy", "trust"))
    torch.manual_seed(0)
    network = Vaanet(VaanetConfig(sizes=sizes)).eval()
    plain = Vaanet(VaanetConfig(sizes=sizes, polarity_weight=0.0)).eval()
    plain.load_state_dict(network.state_dict())
    for each in (network, plain):
        nn.init.zeros_(each.classify.weight)
        each.classify.bias.data = torch.tensor([2.0, 0.0, 0.0, 0.0])  # always anger
    clips = rows(toy_clips(sizes, SAMPLING), [0, 0])
    opposite, same = (clips._replace(label=torch.full((2,), label)) for label in (2, 1))
    assert network.loss(opposite).item() == pytest.approx(1.5 * plain.loss(opposite).item())
    assert network.loss(same).item() == pytest.approx(plain.loss(same).item())
