"""What the leader-follower network must keep; see `steps.py` for the recordings."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from emotrace.encoders.counting import count_parameters
from emotrace.errors import SettingsError
from emotrace.layers.clips import Backbone
from emotrace.layers.steps import Sizes, Steps
from emotrace.models.leader_follower import FollowerAttention, Form, LeaderFollower, LeaderFollowerConfig
from tests.models.steps import assert_same, toy, train

SIZES = Sizes(voice_shape=(96, 64), num_regions=4, region_dim=6, crop_side=20, step_samples=0, steps_per_second=5)
STEPS = toy(SIZES, pictures=1, recordings=2, steps=12)


def _network(visual: Backbone = "frozen", form: Form = "abaw2", *, dropout: float = 0.0) -> LeaderFollower:
    torch.manual_seed(0)
    config = LeaderFollowerConfig(sizes=SIZES, visual=visual, form=form, dropout=dropout)
    return LeaderFollower(config).eval()


def test_only_the_later_form_bounds_its_answers() -> None:
    for form, bounded in (("abaw2", False), ("abaw3", True)):
        network = _network(form=form)  # type: ignore[arg-type]
        assert network.heads.arousal_valence is not None
        nn.init.constant_(network.heads.arousal_valence.bias, 5.0)
        assert bool((network(STEPS).arousal_valence.abs() <= 1).all()) == bounded


@pytest.mark.parametrize("shape", [(12,), (120, 120), (64, 96)])
def test_another_front_end_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="front_end=log-mel"):
        LeaderFollower(LeaderFollowerConfig(sizes=replace(SIZES, voice_shape=shape)))


@torch.no_grad()
def test_a_stretch_with_its_context_gets_the_answers_of_the_whole() -> None:
    network = _network()
    assert network.context_steps == 120
    steps = toy(SIZES, pictures=1, recordings=1, steps=140)
    first = 130
    stretch = Steps(*(values[:, first - network.context_steps :] for values in steps))
    found, expected = network(stretch), network(steps)
    torch.testing.assert_close(
        found.arousal_valence[:, network.context_steps :], expected.arousal_valence[:, first:], atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_long_recordings_are_embedded_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    network = _network()
    expected = network(STEPS)
    monkeypatch.setattr("emotrace.models.leader_follower._PATCHES_AT_ONCE", 3)
    for found, wanted in zip(network(STEPS), expected, strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_cepstra_are_those_of_the_fifth_newest_frame_and_its_slopes() -> None:
    network = _network()
    rising = torch.arange(96.0)[:, None] * torch.linspace(-0.1, 0.3, 64)  # every band a line over time
    cepstra = network._cepstra(rising[None, None])[0, 0]
    torch.testing.assert_close(cepstra[:13], network.mfcc(rising[-5]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(cepstra[13:26], network.mfcc(rising[1]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(cepstra[26:], torch.zeros(13), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("side", "seen"), [(48, range(4, 44)), (20, range(2, 18))])
def test_its_own_network_sees_the_centre_of_the_crop(side: int, seen: range) -> None:
    sizes = replace(SIZES, crop_side=side)
    network = LeaderFollower(LeaderFollowerConfig(sizes=sizes, visual="own")).eval()
    steps = toy(sizes, pictures=1, recordings=1, steps=2)
    crops = steps.crops.clone().requires_grad_()
    known = torch.ones_like(steps.video_valid)
    torch.autograd.backward(network(steps._replace(crops=crops, video_valid=known)).arousal_valence.sum())
    assert crops.grad is not None
    counts = crops.grad.abs().sum(dim=(0, 1, 2)) > 0
    assert counts.any(dim=0).nonzero().flatten().tolist() == list(seen)
    assert counts.any(dim=1).nonzero().flatten().tolist() == list(seen)


@pytest.mark.parametrize(("form", "kind"), [("abaw2", nn.Dropout1d), ("abaw3", nn.Dropout)])
def test_only_the_later_form_drops_single_values(form: Form, kind: type[nn.Module]) -> None:
    found = {type(part) for part in _network(form=form).temporal.modules() if "Dropout" in type(part).__name__}
    assert found == {kind}


@pytest.mark.parametrize(("form", "heads"), [("abaw2", 1), ("abaw3", 2)])
@torch.no_grad()
def test_the_attention_is_that_of_an_explicit_loop(form: Form, heads: int) -> None:
    torch.manual_seed(3)
    attention = FollowerAttention((10, 4, 7), form, 0.0).eval()
    known = [torch.randn(2, 3, width) for width in (10, 4, 7)]
    found = attention(known)
    assert found.shape == (2, 3, 96)
    size = 32 // heads
    for recording, step in itertools.product(range(2), range(3)):
        vectors = [each[recording, step] for each in known]
        rows = []
        for i in range(3):
            parts = []
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                key = attention.key[i](vectors[i])[part]
                scores = [key @ attention.query[j](vectors[j])[part] / math.sqrt(size) for j in range(3)]
                shares = torch.stack(scores).softmax(dim=0)
                given = [shares[j] * attention.value[j](vectors[j])[part] for j in range(3)]
                parts.append(torch.stack(given).sum(dim=0))
            rows.append(torch.cat(parts) + attention.value[i](vectors[i]))
        expected = attention.finish(torch.stack(rows)[None])[0]
        torch.testing.assert_close(found[recording, step], expected, atol=1e-5, rtol=1e-4)


def test_the_published_size_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        config = LeaderFollowerConfig(sizes=replace(SIZES, crop_side=48), scale="published", visual="own")
        network = LeaderFollower(config)
    assert network.visual.encoder is not None
    assert (network.visual.encoder.config.side, network.visual.encoder.embed.in_features) == (40, 512 * 5 * 5)
    assert [count_parameters(part) for part in network.temporal] == [968_832, 60_960, 43_872]
    assert network.heads.arousal_valence is not None
    assert network.heads.arousal_valence.in_features == 224
    for_one_dimension = count_parameters(network.heads.arousal_valence) // 2
    assert count_parameters(network.attention) + for_one_dimension == 19_137


def test_the_groups_of_release_hold_no_weight_twice_and_all_but_the_early_stages() -> None:
    network = _network("own")
    groups = network.release_groups()
    released = [id(value) for group in groups for value in group]
    assert len(groups) == 3
    assert len(released) == len(set(released))
    assert {id(value) for value in network.temporal.parameters()} <= {id(value) for value in groups[0]}
    never = [name for name, value in network.named_parameters() if id(value) not in released]
    assert never
    assert all(name.startswith("visual.encoder.st") for name in never)  # stem and stages
    frozen = _network()
    assert [set(map(id, group)) for group in frozen.release_groups()] == [set(map(id, frozen.parameters()))]


def test_its_encoders_can_be_filled_one_by_one() -> None:
    assert set(_network().encoders()) == {"audio"}
    network, other = _network("own"), _network("own")
    encoders = network.encoders()
    assert set(encoders) == {"audio", "visual"}
    for encoder in encoders.values():
        for value in encoder.parameters():
            nn.init.constant_(value, 0.25)
    for name, encoder in other.encoders().items():
        encoder.load_state_dict(encoders[name].state_dict())
    assert_same(other(STEPS), network(STEPS))


@pytest.mark.parametrize("form", ["abaw2", "abaw3"])
def test_it_learns(form: Form) -> None:
    network = _network(form=form)
    first, last = train(network, network, STEPS, 10)
    assert last < 0.7 * first
