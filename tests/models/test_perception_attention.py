"""What the system of temporal alignment and perception attention must keep; see `clips.py` for the toy clips."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest
import torch
from torch import Generator, Tensor

from emotrace.layers.clips import Clips, Explains, Modality, Sampling, Scale
from emotrace.models.perception_attention import Alignment, PerceptionAttention, PerceptionAttentionConfig
from tests.models.clips import assert_same, blank_clips, filled, only, rows, shapes_within, toy_clips, toy_sizes

SIZES = toy_sizes(bands=16)
SAMPLING = PerceptionAttention.samplings["small"]
FORMS: tuple[tuple[Alignment, bool], ...] = (
    ("linear", False),
    ("linear", True),
    ("attention", False),
    ("attention", True),
)
every_form = pytest.mark.parametrize(("alignment", "perception"), FORMS)


def _network(alignment: Alignment = "attention", perception: bool = True) -> PerceptionAttention:
    torch.manual_seed(0)
    config = PerceptionAttentionConfig(sizes=SIZES, alignment=alignment, perception=perception)
    return PerceptionAttention(config).eval()


@pytest.mark.parametrize("shown_in", [("voice",), ("face",)])
@every_form
def test_it_learns_a_toy_task(alignment: Alignment, perception: bool, shown_in: tuple[Modality, ...]) -> None:
    network = _network(alignment, perception).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for step in range(10):
        optimiser.zero_grad()
        batch = toy_clips(SIZES, SAMPLING, 12, seed=step, shown_in=shown_in, complete=True)
        torch.autograd.backward(network.loss(batch))
        optimiser.step()
    fresh = toy_clips(SIZES, SAMPLING, 24, seed=1000, shown_in=shown_in, complete=True)
    with torch.no_grad():
        right = network.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


@every_form
@torch.no_grad()
def test_shares_sum_to_one_over_what_is_known(alignment: Alignment, perception: bool) -> None:
    network, clips = _network(alignment, perception), toy_clips(SIZES, SAMPLING)
    shares, counts = network.explain(filled(clips, torch.nan))
    assert shares.shape == (12, 16, 64)
    assert counts.shape == (12, 16, 4)
    spoken = clips.sound_valid.reshape(12, 64, 4).any(dim=2)
    joined = (shares > 0).any(dim=2)
    assert not shares.masked_select(~spoken[:, None].expand_as(shares)).any()
    torch.testing.assert_close(shares.sum(dim=2), joined.float())
    if alignment == "attention":
        assert torch.equal(joined, spoken.any(dim=1, keepdim=True).expand(-1, 16))
    known = clips.pictures_valid[..., 0] | joined
    assert not counts[~known].any()
    torch.testing.assert_close(counts.sum(dim=1), known.any(dim=1, keepdim=True).float().expand(-1, 4))
    assert isinstance(network, Explains)
    assert network.explanations == ("alignment", "perception")


@torch.no_grad()
def test_the_linear_form_hears_the_sound_of_the_same_time() -> None:
    shares, counts = _network("linear", perception=False).explain(toy_clips(SIZES, SAMPLING, complete=True))
    torch.testing.assert_close(shares @ torch.arange(64.0), (torch.arange(16) * 4 + 1.5).expand(12, -1))
    torch.testing.assert_close(counts, torch.full((12, 16, 4), 1 / 16))


@torch.no_grad()
def test_emotions_with_one_embedding_find_the_same() -> None:
    network, clips = _network(), toy_clips(SIZES, SAMPLING, complete=True)
    assert network.perceive is not None
    _, apart = network.explain(clips)
    assert not torch.allclose(apart[..., 0], apart[..., 1], atol=1e-4)
    network.perceive.emotions.copy_(network.perceive.emotions[:1].expand(4, -1))
    _, together = network.explain(clips)
    torch.testing.assert_close(together, together[..., :1].expand(-1, -1, 4))
    assert together.std(dim=1).min() > 0
    # r_k are equal, so that every one is the embedding.
    answer = network(clips)
    torch.testing.assert_close(answer.logits, network.classify(answer.embedding))


@torch.no_grad()
def test_a_class_is_scored_by_the_equations() -> None:
    network, clips = _network(), toy_clips(SIZES, SAMPLING, 3, complete=True)
    states: list[Tensor] = []
    network.join.register_forward_hook(lambda part, inputs, output: states.append(output[0]))
    answer, perceive = network(clips), network.perceive
    assert perceive is not None
    u, u_s, u_e, d = perceive.weigh.weight[0], perceive.state.weight, perceive.emotion.weight, perceive.state.bias
    for clip, of_clip in enumerate(states[0]):
        found = []
        for emotion in perceive.emotions:
            scores = torch.stack([u @ torch.tanh(u_s @ state + u_e @ emotion + d) for state in of_clip])
            found.append(scores.softmax(dim=0) @ of_clip)
        for index, each in enumerate(found):
            logit = network.classify.weight[index] @ each + network.classify.bias[index]
            torch.testing.assert_close(answer.logits[clip, index], logit, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(answer.embedding[clip], torch.stack(found).mean(dim=0), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_without_perception_the_mean_of_the_known_steps_is_classified() -> None:
    network, clips = _network("linear", perception=False), toy_clips(SIZES, SAMPLING)
    states: list[Tensor] = []
    network.join.register_forward_hook(lambda part, inputs, output: states.append(output[0]))
    answer, (shares, _) = network(clips), network.explain(clips)
    known = clips.pictures_valid[..., 0] | (shares > 0).any(dim=2)
    assert known[5].sum() == 8  # the second half
    pairs = zip(states[0], known, strict=True)
    pooled = torch.stack([each[there].mean(dim=0) if there.any() else torch.zeros(64) for each, there in pairs])
    torch.testing.assert_close(answer.embedding, pooled)
    torch.testing.assert_close(answer.logits, network.classify(pooled))


@every_form
@torch.no_grad()
def test_garbage_in_what_is_not_valid_changes_nothing(alignment: Alignment, perception: bool) -> None:
    network, clips = _network(alignment, perception), toy_clips(SIZES, SAMPLING)
    expected = network(clips)
    for garbage in (torch.nan, torch.inf, 1e9):
        assert_same(network(filled(clips, garbage)), expected, tolerance=0)
    for chosen in ([0], [4], [5, 2, 3]):
        assert_same(network(rows(clips, chosen)), type(expected)(*(values[chosen] for values in expected)))


@torch.no_grad()
def test_a_missing_face_is_a_vector_of_zeros() -> None:
    network, seen = _network(), []
    network.see.bias.fill_(5.0)  # what a face of zeros would show
    network.join.register_forward_hook(lambda part, inputs, output: seen.append(inputs[0]))
    network(only(toy_clips(SIZES, SAMPLING, complete=True), "voice"))
    assert not seen[0].any()


@every_form
def test_every_parameter_learns(alignment: Alignment, perception: bool) -> None:
    network = _network(alignment, perception)
    torch.autograd.backward(network.loss(toy_clips(SIZES, SAMPLING)))
    assert [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_dropout_is_for_training_alone() -> None:
    network, clips = _network(), toy_clips(SIZES, SAMPLING)
    assert torch.equal(network(clips).logits, network(clips).logits)
    network.train()
    assert not torch.equal(network(clips).logits, network(clips).logits)
    assert torch.equal(network(clips).embedding, network(clips).embedding)


@torch.no_grad()
def test_the_published_sizes() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(7, bands=64, num_regions=49, region_dim=128)
        network = PerceptionAttention(PerceptionAttentionConfig(sizes=sizes, scale="published")).eval()
        clips = blank_clips(sizes, PerceptionAttention.samplings["published"])
        shapes = shapes_within(network, clips)
        shares, counts = network.explain(clips)
        own = PerceptionAttention(PerceptionAttentionConfig(sizes=toy_sizes(crop_side=48), visual="own"))
    assert shapes["see"] == (2, 32, 128)
    assert shapes["perceive"] == (2, 32, 7)
    assert shapes["perceive.emotion"] == (7, 64)
    assert shares.shape == (2, 32, 192)
    assert counts.shape == (2, 32, 7)
    assert not network.encoders()
    assert list(own.encoders()) == ["visual"]


class _Short(PerceptionAttention):
    """Half the time in which to learn."""

    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType({"small": Sampling(8, 1, 8, 16)})


KINDS, MOST_BLOCKS, CODES, STEPS, GROUPS = 4, 8, 6, 8, 32
WARP_SIZES = toy_sizes(KINDS, bands=CODES + KINDS, num_regions=1, region_dim=CODES)


def _code(moment: Tensor) -> Tensor:
    """Return what a moment in 0..1 of a story looks and sounds like: [..., CODES]."""
    places = moment[..., None] * (CODES - 1) - torch.arange(CODES)
    return 2 * (-places.square() / 2).exp()


def _story(heard_at: Tensor, seen_at: Tensor, kinds: Tensor, label: Tensor, generator: Generator) -> Clips:
    """Return clips that tell the moments [B, GROUPS] to the ear, with a kind each, and those [B, STEPS] to the eye."""
    told = torch.cat([_code(heard_at), 2 * torch.eye(KINDS)[kinds]], dim=-1).repeat_interleave(4, dim=1)
    shown = _code(seen_at)
    sound = told + 0.1 * torch.randn(told.shape, generator=generator)
    regions = shown + 0.1 * torch.randn(shown.shape, generator=generator)
    blank = blank_clips(WARP_SIZES, _Short.samplings["small"], len(label))
    return blank._replace(sound=sound.reshape(blank.sound.shape), regions=regions[:, :, None, None], label=label)


def _pace(batch: int, generator: Generator) -> Tensor:
    """Return when each group is heard [B, GROUPS]: every clip has a pace of its own, slow at first or fast at first."""
    time = (torch.arange(GROUPS) + 0.5) / GROUPS
    bend = 1.6 * torch.rand(batch, 1, generator=generator) - 0.8
    return time + bend * time * (1 - time)


def _riddles(batch: int, generator: Generator) -> Clips:
    """Return clips whose sound says another kind in every block of a story, the face showing one block: which kind?"""
    heard_at = _pace(batch, generator)
    blocks = torch.randint(2, MOST_BLOCKS + 1, (batch, 1), generator=generator)
    shift = torch.rand(batch, 1, generator=generator)
    kinds = torch.randint(0, KINDS, (batch, MOST_BLOCKS + 1), generator=generator)
    mine = (torch.rand(batch, 1, generator=generator) * blocks + shift).long()
    first, last = ((mine - shift) / blocks).clamp(min=0), ((mine + 1 - shift) / blocks).clamp(max=1)
    seen_at = first + (last - first) * torch.rand(batch, STEPS, generator=generator).sort(dim=1).values
    heard_kinds = kinds.gather(1, (heard_at * blocks + shift).long())
    return _story(heard_at, seen_at, heard_kinds, kinds.gather(1, mine)[:, 0], generator)


def test_alignment_recovers_a_time_warp_that_it_never_met() -> None:
    torch.manual_seed(0)
    network = _Short(PerceptionAttentionConfig(sizes=WARP_SIZES)).eval()  # dropout would only take time
    optimiser, generator, steps = torch.optim.Adam(network.parameters()), Generator().manual_seed(0), 160
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.008 * min(1.0, 2 * (1 - step / steps))
        optimiser.zero_grad()
        torch.autograd.backward(network.loss(_riddles(32, generator)))
        optimiser.step()
    heard_at, batch = _pace(32, generator), 32
    for warp in (2.0, 0.5):
        seen_at = (((torch.arange(STEPS) + 0.5) / STEPS) ** warp).expand(batch, -1)
        kinds = torch.randint(0, KINDS, (batch, GROUPS), generator=generator)
        clips = _story(heard_at, seen_at, kinds, kinds[:, 0], generator)
        true = (heard_at[:, None] - seen_at[..., None]).abs().argmin(dim=2).float()
        with torch.no_grad():
            found = network.explain(clips)[0] @ torch.arange(float(GROUPS))
        even = (torch.arange(STEPS) + 0.5) * GROUPS / STEPS - 0.5
        follows = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(found, true, strict=True)])
        assert follows.mean() > 0.95
        assert (found - true).abs().mean() < 0.5 * (even - true).abs().mean()
