"""What positive sample propagation must keep; see `clips.py` for the toy clips.

The claim of the paper is that it finds the seconds of an event: of clips with a class in some segments of voice and
face, and noise elsewhere, it is shown what is where (full) or the class of the clip alone (weak).
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.clips import Backbone, Clips
from emotrace.layers.localiser import Supervision
from emotrace.models.positive_sample_propagation import PspNetwork, PspNetworkConfig
from tests.models.clips import assert_same, blank_clips, filled, only, rows, toy_clips, toy_sizes

SIZES = toy_sizes(bands=20, crop_side=48)
SAMPLING = PspNetwork.samplings["small"]
NOISE = 0.9
"""Of every segment: where a single one told everything, the weak network would soon find the class everywhere."""
EVERY = pytest.mark.parametrize("supervision", ["full", "weak"])


def _network(supervision: Supervision = "full", seed: int = 0) -> PspNetwork:
    torch.manual_seed(seed)
    return PspNetwork(PspNetworkConfig(sizes=SIZES, supervision=supervision)).eval()


def _event_clips(batch: int, seed: int, *, told: bool) -> tuple[Clips, Tensor]:
    """Return clips and where their events are [B, T]: a run of 1 to 6 segments; class 0 is the background."""
    generator = torch.Generator().manual_seed(seed)
    shown = toy_clips(SIZES, SAMPLING, batch, seed, complete=True)
    blank = toy_clips(SIZES, SAMPLING, batch, seed + 50_000, shown_in=(), complete=True)
    length = torch.randint(1, 7, (batch, 1), generator=generator)
    start = (torch.rand(batch, 1, generator=generator) * (9 - length)).long()
    parts = torch.arange(SAMPLING.snippets)
    event = (parts >= start) & (parts < start + length) & (shown.label > 0)[:, None]
    sound = torch.where(event[..., None, None], shown.sound, blank.sound)
    regions = torch.where(event[..., None, None, None], shown.regions, blank.regions)
    background = torch.where(event, shown.label[:, None], 0)
    clips = shown._replace(
        sound=sound + NOISE * torch.randn(*event.shape, 1, SIZES.bands, generator=generator),
        regions=regions + NOISE * torch.randn(regions.shape, generator=generator),
        part_label=background if told else torch.full_like(background, -1),
    )
    return clips, event


def _train(network: PspNetwork, steps: int, rate: float, *, told: bool) -> None:
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(network.loss(_event_clips(16, step, told=told)[0]))
        optimiser.step()
    network.eval()


def _full_accuracy(seed: int) -> float:
    network = _network("full", seed)
    _train(network, 25, 3e-3, told=True)
    fresh, _ = _event_clips(100, 1000, told=True)
    with torch.no_grad():
        return (network.segment_logits(fresh).argmax(dim=2) == fresh.part_label).float().mean().item()


def _weak_ranking(seed: int) -> float:
    """Return how often an event's segment has more of its class than another one of the same clip.

    Trained briefly: once a clip's class is sure, more training only spreads it.
    """
    network = _network("weak", seed)
    _train(network, 15, 1e-3, told=False)
    fresh, event = _event_clips(100, 1000, told=False)
    with torch.no_grad():
        scores = network.segment_logits(fresh)[torch.arange(100), :, fresh.label]
    higher = scores[:, :, None] > scores[:, None]
    pairs = event[:, :, None] & ~event[:, None]
    some = event.any(dim=1)
    return ((higher & pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)))[some].mean().item()


def test_it_finds_the_event_where_it_is_told_every_segment() -> None:
    assert _full_accuracy(0) > 0.9


def test_it_ranks_the_segments_of_a_clip_where_it_is_told_the_class_alone() -> None:
    assert _weak_ranking(0) > 0.9


@EVERY
@torch.no_grad()
def test_the_answer_is_the_mean_over_the_known_segments(supervision: Supervision) -> None:
    network, clips = _network(supervision), toy_clips(SIZES, SAMPLING)
    known = clips.pictures_valid.any(dim=2) | clips.sound_valid.any(dim=2)
    answer, scores = network(clips), network.segment_logits(clips)
    assert 0 < known.sum() < known.numel()
    assert not scores[~known].any()
    for index in range(len(known)):
        expected = scores[index, known[index]].mean(dim=0) if known[index].any() else torch.zeros(4)
        torch.testing.assert_close(answer.logits[index], expected)
    assert answer.audio_weight.isnan().all()


@EVERY
@torch.no_grad()
def test_it_shows_the_classes_of_segments_and_what_is_propagated(supervision: Supervision) -> None:
    network, clips = _network(supervision), toy_clips(SIZES, SAMPLING)
    seen, heard = clips.pictures_valid.any(dim=2), clips.sound_valid.any(dim=2)
    segments, ties = network.explain(clips)
    torch.testing.assert_close(segments.sum(dim=2), (seen | heard).float())
    known = (seen | heard)[..., None].expand_as(segments)
    torch.testing.assert_close(segments[known], network.segment_logits(clips).softmax(dim=2)[known])
    assert ties.shape == (len(clips.label), 8, 8)
    assert not ties[~(seen[:, :, None] & heard[:, None])].any()
    assert (ties.sum(dim=2) <= 1 + 1e-5).all()
    assert ties.any()


def test_segments_are_learnt_as_they_are_told_and_as_the_clip_where_they_are_not() -> None:
    network, clips = _network(), rows(toy_clips(SIZES, SAMPLING, complete=True), [0])
    label, unknown = clips.label[:, None].expand(1, 8), torch.full((1, 8), -1)
    told = network.loss(clips._replace(part_label=label)).item()
    assert network.loss(clips._replace(part_label=unknown)).item() == pytest.approx(told)
    other = (label + 1) % 4
    scores = network.segment_logits(clips)[0]
    for count in (3, 8):
        parts = torch.where(torch.arange(8) < count, other, unknown)
        entropy = nn.functional.cross_entropy(scores[:count], parts[0, :count]).item()
        assert network.loss(clips._replace(part_label=parts)).item() == pytest.approx(entropy, rel=1e-4)


def test_the_pair_loss_weighs_a_hundred_times_the_entropy() -> None:
    clips, _ = _event_clips(12, 0, told=True)
    losses = []
    for weight in (0.0, 1.0, 100.0):
        torch.manual_seed(0)
        losses.append(PspNetwork(PspNetworkConfig(sizes=SIZES, pair_weight=weight)).eval().loss(clips).item())
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(100 * (losses[1] - losses[0]), rel=1e-2)
    assert _network().loss(clips).item() == losses[2]


def test_the_weak_loss_is_the_binary_entropy_of_the_clip_and_knows_no_segment() -> None:
    network, clips = _network("weak"), toy_clips(SIZES, SAMPLING)
    chances = network(clips).logits.softmax(dim=1)
    expected = nn.functional.binary_cross_entropy(chances, torch.eye(4)[clips.label]).item()
    assert network.loss(clips).item() == pytest.approx(expected, rel=1e-4)
    other = clips._replace(part_label=(clips.part_label + 1) % 4)
    assert network.loss(other).item() == network.loss(clips).item()


def test_the_weak_loss_pulls_also_where_the_answer_is_wrong_for_sure() -> None:
    network, clips = _network("weak"), toy_clips(SIZES, SAMPLING, complete=True)
    last = network.localise.classify[2]
    assert isinstance(last, nn.Linear)
    last.weight.data *= 1e4
    torch.autograd.backward(network.loss(clips))
    assert last.weight.grad is not None
    assert last.weight.grad.isfinite().all()
    assert last.weight.grad.any()


def test_every_weight_of_the_weak_network_learns() -> None:
    network = _network("weak")
    torch.autograd.backward(network.loss(toy_clips(SIZES, SAMPLING)))
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@torch.no_grad()
def test_garbage_and_other_clips_change_nothing_for_the_weak_network() -> None:
    network, clips = _network("weak"), toy_clips(SIZES, SAMPLING)
    expected = network(clips)
    assert_same(network(filled(clips, torch.nan)), expected, tolerance=0)
    alone = network(rows(clips, [1]))
    torch.testing.assert_close(alone.logits[0], expected.logits[1], atol=1e-5, rtol=1e-5)


@EVERY
def test_clips_of_which_nothing_is_known_have_no_slope(supervision: Supervision) -> None:
    network = _network(supervision)
    torch.autograd.backward(network.loss(only(toy_clips(SIZES, SAMPLING, 2))))
    assert not any(value.grad is not None and value.grad.any() for value in network.parameters())


@pytest.mark.parametrize(("supervision", "share"), [("full", 0.99), ("weak", 0.95)])
def test_the_published_threshold_is_a_share_of_the_even_one(supervision: Supervision, share: float) -> None:
    with torch.device("meta"):
        small = PspNetwork(PspNetworkConfig(sizes=SIZES, supervision=supervision))
        published = PspNetwork(PspNetworkConfig(sizes=SIZES, supervision=supervision, scale="published"))
        told = PspNetwork(PspNetworkConfig(sizes=SIZES, supervision=supervision, threshold=0.3))
    assert small.localise.propagate.threshold == pytest.approx(share / 8)
    assert published.localise.propagate.threshold == pytest.approx(share / 10)
    assert told.localise.propagate.threshold == 0.3


@pytest.mark.parametrize("visual", ["frozen", "own"])
@torch.no_grad()
def test_at_the_published_size_vggish_hears_a_log_mel_spectrogram(visual: Backbone) -> None:
    sizes = toy_sizes(29, bands=64, crop_side=96, num_regions=49, region_dim=512)
    with torch.device("meta"):
        network = PspNetwork(PspNetworkConfig(sizes=sizes, scale="published", visual=visual)).eval()
        clips = blank_clips(sizes, PspNetwork.samplings["published"])
        assert network.hear(clips.sound, clips.sound_valid).shape == (2, 10, 128)
        assert network(clips).embedding.shape == (2, 256)
    assert list(network.encoders()) == (["visual", "audio"] if visual == "own" else ["audio"])
    if visual == "frozen":  # cells as wide as VGG-19's
        assert sum(value.numel() for value in network.localise.parameters()) == 1_548_657


@pytest.mark.parametrize(("bands", "frames"), [(64, 1), (1, 1), (709, 3)])
@torch.no_grad()
def test_any_rows_of_features_can_be_heard(bands: int, frames: int) -> None:
    sizes = toy_sizes(bands=bands, num_regions=1)
    network = PspNetwork(PspNetworkConfig(sizes=sizes, scale="published", audio="frozen")).eval()
    clips = toy_clips(sizes, replace(PspNetwork.samplings["published"], frames=frames), 2, complete=True)
    assert not torch.allclose(network(clips).logits, network(clips._replace(sound=-clips.sound)).logits)
    assert network.encoders() == {}
