"""What the leader-follower network must keep; see `steps_b.py` for the recordings."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emotrace.encoders.counting import count_parameters
from emotrace.errors import SettingsError
from emotrace.layers.clips import Backbone
from emotrace.layers.steps import Sizes, Steps, SystemOutput
from emotrace.models.leader_follower import FollowerAttention, Form, LeaderFollower, LeaderFollowerConfig
from tests.models.steps_b import (
    assert_causal,
    assert_one_answer_per_step,
    assert_same,
    each,
    loss,
    soiled,
    toy,
    train,
)

SIZES = Sizes(voice_shape=(96, 64), num_regions=4, region_dim=6, crop_side=16, step_samples=0, steps_per_second=5)
STEPS = toy(SIZES, pictures=1, recordings=2, steps=12)
KINDS = list(itertools.product(("frozen", "own"), ("abaw2", "abaw3")))


def _network(visual: Backbone = "frozen", form: Form = "abaw2", *, dropout: float = 0.0) -> LeaderFollower:
    torch.manual_seed(0)
    config = LeaderFollowerConfig(sizes=SIZES, visual=visual, form=form, dropout=dropout)
    return LeaderFollower(config).eval()


@pytest.mark.parametrize(("visual", "form"), KINDS)
@torch.no_grad()
def test_there_is_one_answer_per_step_and_no_audio_weight(visual: Backbone, form: Form) -> None:
    output = _network(visual, form)(STEPS)
    assert_one_answer_per_step(output, STEPS)
    assert output.audio_weight.isnan().all()


def test_the_corpus_says_how_many_emotions_there_are() -> None:
    network = LeaderFollower(LeaderFollowerConfig(sizes=replace(SIZES, classes=("joy", "anger", "calm"))))
    assert network(STEPS).emotion_logits.shape[-1] == 3


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


@pytest.mark.parametrize(("visual", "form"), KINDS)
def test_every_weight_gets_a_gradient(visual: Backbone, form: Form) -> None:
    network = _network(visual, form).train()
    torch.autograd.backward(loss(network(STEPS), STEPS))
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


@pytest.mark.parametrize(("visual", "form"), KINDS)
def test_no_answer_depends_on_a_later_step_and_each_on_its_own(visual: Backbone, form: Form) -> None:
    network, now = _network(visual, form), 5
    known = torch.ones_like(STEPS.audio_valid)
    inputs = {name: getattr(STEPS, name).clone().requires_grad_() for name in network.needs_of[visual]}
    output = network(STEPS._replace(audio_valid=known, video_valid=known, **inputs))
    torch.autograd.backward(output.arousal_valence[:, now].square().sum() + output.emotion_logits[:, now].sum())
    for values in inputs.values():
        assert values.grad is not None
        seen = values.grad.flatten(2).abs().sum(dim=(0, 2))
        assert not seen[now + 1 :].any()
        assert seen[: now + 1].all()


@torch.no_grad()
def test_another_end_of_the_recording_changes_no_earlier_answer() -> None:
    assert_causal(_network(), STEPS, 7)


@pytest.mark.parametrize("visual", ["frozen", "own"])
def test_what_is_not_known_is_never_read(visual: Backbone) -> None:
    network = _network(visual)
    assert_same(network(soiled(STEPS)), network(STEPS))
    torch.autograd.backward(loss(network(soiled(STEPS)), STEPS))
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())


@pytest.mark.parametrize("known", [(True, False), (False, True), (False, False)])
@torch.no_grad()
def test_a_modality_may_be_missing_all_along(known: tuple[bool, bool]) -> None:
    heard, seen = (torch.full_like(STEPS.audio_valid, value) for value in known)
    for visual in ("frozen", "own"):
        output = _network(visual)(STEPS._replace(audio_valid=heard, video_valid=seen))
        assert output.arousal_valence.isfinite().all()
        assert torch.equal(output.valid, heard | seen)


@pytest.mark.parametrize(("visual", "form"), KINDS)
@torch.no_grad()
def test_other_recordings_of_the_batch_change_nothing(visual: Backbone, form: Form) -> None:
    network = _network(visual, form)
    together = network(STEPS)
    for place, alone in enumerate(each(STEPS)):
        for found, expected in zip(network(alone), together, strict=True):
            torch.testing.assert_close(found[0], expected[place], equal_nan=True, atol=1e-5, rtol=1e-4)


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
        config = LeaderFollowerConfig(sizes=replace(SIZES, crop_side=40), scale="published", visual="own")
        network = LeaderFollower(config)
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


@pytest.mark.parametrize(("visual", "form"), KINDS)
@torch.no_grad()
def test_saved_weights_give_the_same_answer(visual: Backbone, form: Form, tmp_path: Path) -> None:
    network = _network(visual, form)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = LeaderFollower(network.config).eval()
    assert not torch.equal(other(STEPS).arousal_valence, network(STEPS).arousal_valence)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert_same(other(STEPS), network(STEPS))


@pytest.mark.parametrize("form", ["abaw2", "abaw3"])
def test_it_learns(form: Form) -> None:
    network = _network(form=form)
    first, last = train(network, network, STEPS, 30)
    assert last < 0.7 * first


class _Exported(nn.Module):
    """Tensors in place of `Steps`, as a graph has no others."""

    def __init__(self, network: LeaderFollower) -> None:
        super().__init__()
        self.network = network

    def forward(self, voice: Tensor, face: Tensor, audio_valid: Tensor, video_valid: Tensor) -> tuple[Tensor, Tensor]:
        face_input = "crops" if self.network.config.visual == "own" else "regions"
        steps = _steps(voice, face, audio_valid, video_valid, face_input)
        output: SystemOutput = self.network(steps)
        return output.arousal_valence, output.emotion_logits


def _steps(voice: Tensor, face: Tensor, audio_valid: Tensor, video_valid: Tensor, face_input: str) -> Steps:
    nothing = audio_valid[..., None][..., :0]
    bare = Steps(voice, nothing, nothing, nothing, audio_valid, video_valid, nothing, nothing, nothing)
    return bare._replace(**{face_input: face})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("visual", "form"), KINDS)
def test_the_exported_network_gives_the_same_numbers(visual: Backbone, form: Form, tmp_path: Path) -> None:
    network, path = _network(visual, form), tmp_path / "network.onnx"
    face = "crops" if visual == "own" else "regions"
    names = ("voice", face, "audio_valid", "video_valid")
    torch.onnx.export(
        _Exported(network).eval(),
        tuple(getattr(STEPS, name)[:1, :7] for name in names),
        path,
        input_names=list(names),
        output_names=["arousal_valence", "emotion_logits"],
        dynamic_axes={name: {0: "B", 1: "S"} for name in (*names, "arousal_valence", "emotion_logits")},
        dynamo=False,
        opset_version=18,
    )
    session = onnxruntime.InferenceSession(path)
    for steps in (1, 7, 12):
        inputs = {name: getattr(STEPS, name)[:, :steps] for name in names}
        with torch.no_grad():
            expected = network(STEPS._replace(**inputs))
        found = session.run(None, {name: values.numpy() for name, values in inputs.items()})
        np.testing.assert_allclose(found[0], expected.arousal_valence.numpy(), atol=1e-5)
        np.testing.assert_allclose(found[1], expected.emotion_logits.numpy(), atol=1e-5)
