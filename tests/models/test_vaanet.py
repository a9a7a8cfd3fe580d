"""What VAANet must keep; see `clips.py` for the toy clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emotrace.layers.clips import Backbone, Clips, ClipSizes, Modality
from emotrace.models.vaanet import SnippetAttention, TemporalAttention, Vaanet, VaanetConfig
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
SAMPLING = Vaanet.samplings["small"]
BACKBONES: tuple[Backbone, ...] = ("frozen", "own")
CLIPS = {visual: toy_clips(SIZES, SAMPLING, 6, visual=visual) for visual in BACKBONES}


def _network(visual: Backbone = "frozen", seed: int = 0) -> Vaanet:
    torch.manual_seed(seed)
    return Vaanet(VaanetConfig(sizes=SIZES, visual=visual)).eval()


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
    sampling = Vaanet.samplings["published"]
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
def test_the_published_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        sizes = toy_sizes(8, bands=64, crop_side=112)
        network = Vaanet(VaanetConfig(sizes=sizes, scale="published", visual="own")).eval()
        clips = _published(sizes)
        shapes = _shapes(network, clips)
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
        shapes = _shapes(network, _published(sizes))
    assert shapes["look.narrow"] == (24, 512, 49)
    assert list(network.encoders()) == ["audio"]
    assert list(_network("own").encoders()) == ["visual", "audio"]


def test_the_published_sound_network_ends_in_a_map_of_eight_by_two() -> None:
    with torch.device("meta"):
        network = Vaanet(VaanetConfig(sizes=SIZES, scale="published"))
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
