"""What the cross-modal network with a metric must keep; see `clips.py` for the toy clips."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emotrace.layers.clips import Backbone, Clips, ClipSizes, Modality
from emotrace.models.cross_modal_metric import Cross, CrossAttention, CrossModalMetric, CrossModalMetricConfig
from tests.models.clips import (
    GRAPH_INPUTS,
    AsGraph,
    assert_answers,
    assert_same,
    filled,
    only,
    rows,
    toy_clips,
    toy_sizes,
)

SIZES = toy_sizes(bands=40, crop_side=48)
SAMPLING = CrossModalMetric.samplings["small"]
BACKBONES: tuple[Backbone, ...] = ("frozen", "own")
CLIPS = {visual: toy_clips(SIZES, SAMPLING, 6, visual=visual) for visual in BACKBONES}


def _network(visual: Backbone = "frozen", seed: int = 0) -> CrossModalMetric:
    torch.manual_seed(seed)
    return CrossModalMetric(CrossModalMetricConfig(sizes=SIZES, visual=visual)).eval()


def _shapes(network: nn.Module, clips: Clips) -> dict[str, tuple[int, ...]]:
    """The shape that every part of a network gives."""
    shapes = {}

    def note(name: str) -> None:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)

        network.get_submodule(name).register_forward_hook(hook)

    for name, _ in network.named_modules():
        note(name)
    network(clips)
    return shapes


def _published(sizes: ClipSizes) -> Clips:
    """Two blank clips on the device that stores nothing."""
    sampling = CrossModalMetric.samplings["published"]
    views, segments = (2, sampling.snippets, sampling.pictures), (2, sampling.segments, sampling.frames)
    return Clips(
        pictures=torch.zeros(*views, sizes.crop_side, sizes.crop_side),
        regions=torch.zeros(*views, sizes.num_regions, sizes.region_dim),
        pictures_valid=torch.ones(*views, dtype=torch.bool),
        sound=torch.zeros(*segments, sizes.bands),
        sound_valid=torch.ones(*segments, dtype=torch.bool),
        label=torch.zeros(2, dtype=torch.int64),
    )


@pytest.mark.parametrize("visual", BACKBONES)
@torch.no_grad()
def test_there_is_one_answer_per_clip_and_no_audio_weight(visual: Backbone) -> None:
    assert_answers(_network(visual)(CLIPS[visual]), CLIPS[visual], SIZES, weighs=False)


@pytest.mark.parametrize("visual", BACKBONES)
def test_every_weight_gets_a_gradient(visual: Backbone) -> None:
    # Not in training: a bias before batch normalisation counts only where the statistics are fixed.
    network = _network(visual)
    torch.autograd.backward(network.loss(CLIPS[visual]))
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


@pytest.mark.parametrize("visual", BACKBONES)
@pytest.mark.parametrize("garbage", [torch.nan, 1e9])
def test_what_is_not_valid_changes_neither_answers_nor_gradients(visual: Backbone, garbage: float) -> None:
    clean, soiled = _network(visual).train(), _network(visual).train()
    clips = CLIPS[visual]
    torch.autograd.backward(clean.loss(clips))
    torch.autograd.backward(soiled.loss(filled(clips, garbage)))
    for ours, theirs in zip(soiled.parameters(), clean.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)
    with torch.no_grad():
        assert_same(soiled.eval()(filled(clips, garbage)), clean.eval()(clips))


@pytest.mark.parametrize("visual", BACKBONES)
@pytest.mark.parametrize("there", [("voice",), ("face",), ()])
def test_a_modality_may_be_missing_altogether(visual: Backbone, there: tuple[Modality, ...]) -> None:
    network = _network(visual)
    clips = only(CLIPS[visual], *there)
    with torch.no_grad():
        assert_answers(network(clips), clips, SIZES, weighs=False)
    loss = network.train().loss(clips)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert all(value.grad is None or value.grad.isfinite().all() for value in network.parameters())


def test_one_clip_with_one_valid_item_of_each_can_be_learnt_from() -> None:
    clips = rows(toy_clips(SIZES, SAMPLING, complete=True), [0])
    seen, heard = torch.zeros_like(clips.pictures_valid), torch.zeros_like(clips.sound_valid)
    seen[0, 2, 1], heard[0, 1, 5] = True, True
    loss = _network().train().loss(clips._replace(pictures_valid=seen, sound_valid=heard))
    torch.autograd.backward(loss)
    assert loss.isfinite()


@pytest.mark.parametrize("visual", BACKBONES)
@torch.no_grad()
def test_other_clips_of_the_batch_change_nothing(visual: Backbone) -> None:
    network, clips = _network(visual), CLIPS[visual]
    together = network(clips)
    for place in range(len(clips.label)):
        alone = network(rows(clips, [place]))
        assert_same(alone, type(alone)(*(values[[place]] for values in together)))


@torch.no_grad()
def test_saved_weights_give_the_same_answer(tmp_path: Path) -> None:
    network, other = _network(), _network(seed=1)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert_same(other(CLIPS["frozen"]), network(CLIPS["frozen"]))


@pytest.mark.filterwarnings(
    # Whether pictures are there at all does not depend on the data.
    "ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning:emotrace.layers.clips"
)
@pytest.mark.parametrize("visual", BACKBONES)
@torch.no_grad()
def test_exported_it_says_the_same_of_batches_of_any_size(visual: Backbone, tmp_path: Path) -> None:
    network, clips = _network(visual), CLIPS[visual]
    # What an untrained network saw: without it, all batch normalisation would be the identity.
    network.train()(clips)
    network.eval()
    path = tmp_path / "network.onnx"
    torch.onnx.export(
        AsGraph(network).eval(),
        tuple(getattr(rows(clips, [0, 1, 2]), name) for name in GRAPH_INPUTS),
        path,
        input_names=list(GRAPH_INPUTS),
        output_names=["logits", "embedding", "audio_weight"],
        dynamic_axes={name: {0: "batch"} for name in (*GRAPH_INPUTS, "logits", "embedding", "audio_weight")},
        dynamo=False,
        opset_version=18,
    )
    session = onnxruntime.InferenceSession(path)
    for batch in (slice(0, 1), slice(None)):
        some = rows(clips, batch)
        inputs = {each.name: getattr(some, each.name).numpy() for each in session.get_inputs()}
        expected = network(some)
        for found, wanted in zip(session.run(None, inputs), expected, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shown_in", [("voice", "face"), ("voice",), ("face",)])
def test_it_learns_a_toy_task(shown_in: tuple[Modality, ...]) -> None:
    network = _network().train()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(25):
        optimiser.zero_grad()
        batch = toy_clips(SIZES, SAMPLING, 16, seed=step, shown_in=shown_in, complete=True)
        torch.autograd.backward(network.loss(batch))
        optimiser.step()
    fresh = toy_clips(SIZES, SAMPLING, 40, seed=1000, shown_in=shown_in, complete=True)
    with torch.no_grad():
        right = network.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


@torch.no_grad()
def test_the_published_sizes_are_those_that_were_read() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, crop_side=256)
        config = CrossModalMetricConfig(sizes=sizes, scale="published", visual="own")
        network = CrossModalMetric(config).eval()
        clips = _published(sizes)
        shapes = _shapes(network, clips)
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
        shapes = _shapes(network, _published(sizes))
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
    torch.autograd.backward(network.loss(CLIPS["frozen"]))
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_the_loss_is_cross_entropy_and_the_weighted_triplet_loss() -> None:
    network, clips = _network(), toy_clips(SIZES, SAMPLING)
    answer = network(clips)
    entropy = nn.functional.cross_entropy(answer.logits, clips.label).item()
    metric = network.margins.metric_loss(answer.embedding, clips.label).item()
    assert metric > 0
    assert network.loss(clips).item() == pytest.approx(entropy + 0.5 * metric, rel=1e-4)


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
