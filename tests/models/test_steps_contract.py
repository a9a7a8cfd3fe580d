"""What every frame-level system must keep: a line in COMPARATORS adds all of these tests for it.

Axes as in `layers/steps.py`. Systems that are fitted are fitted on the toy recordings first.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emotrace.layers.steps import Begins, Finishes, Sizes, Steps, System, SystemOutput
from emotrace.models import COMPARATORS
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings, override
from emotrace.training.system_bundle import fits_a_bundle
from emotrace.training.system_export import export_frames, frame_graph
from emotrace.training.systems import StandardisedSystem, reading_of
from emotrace.training.tracks import Reading
from tests.models.graphs import run_graph
from tests.models.steps import assert_same, each, loss, soiled, toy, with_another_end, with_known

SIZES = Sizes(
    voice_shape=(12,),
    num_regions=4,
    region_dim=6,
    crop_side=24,
    step_samples=160,
    steps_per_second=5,
    classes=("calm", "joy", "anger", "fear"),
)
VOICES = {"leader-follower": (96, 64)}
"""Voice inputs of those that take no other, with a network of their own."""
QUICK: Mapping[str, Mapping[str, Any]] = {
    "deep-belief": {"face_side": 8, "face_width": 1 / 8, "hidden_dims": (24, 16), "updates": 100, "rate": 0.2},
}
"""Smaller sizes where those of `Config` take long."""
STEPS, RATE_HZ = 8, 25.0


@dataclass(frozen=True)
class Case:
    """A system as it is tested: its key, and its variant as fields of `Config` and as settings."""

    key: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()

    @property
    def sizes(self) -> Sizes:
        voices = {} if self.changes.get("audio") == "frozen" else VOICES
        return replace(SIZES, voice_shape=voices.get(self.key, SIZES.voice_shape))

    @property
    def settings(self) -> SystemSettings:
        return override(PRESETS[self.key].settings, list(self.assignments))

    @property
    def reading(self) -> Reading:
        return reading_of(self.settings, RATE_HZ)

    def steps(self, *, recordings: int = 2, steps: int = STEPS, seed: int = 0) -> Steps:
        return toy(self.sizes, self.reading.pictures, recordings=recordings, steps=steps, seed=seed)


CASES = {key: Case(key) for key in COMPARATORS} | {
    "leader-follower-own": Case("leader-follower", {"visual": "own"}, ("visual.backbone=own",)),
    "leader-follower-abaw3": Case("leader-follower", {"form": "abaw3"}, ("form=abaw3",)),
    "leader-follower-rows": Case("leader-follower", {"audio": "frozen"}, ("audio.backbone=frozen",)),
    "decision-product": Case("decision-fusion", {"rule": "product"}, ("decision_rule=product",)),
    "decision-rules": Case("decision-fusion", {"rule": "rules"}, ("decision_rule=rules",)),
}
EVERY = list(CASES)
FITTED = [key for key, model in COMPARATORS.items() if issubclass(model, Begins | Finishes)]
EXPORTED = [name for name, case in CASES.items() if "waveform" not in case.reading.needs]
"""A recipe gives all inputs but the waveform."""
every_system = pytest.mark.parametrize("name", EVERY)


def _drawn(name: str, sizes: Sizes | None = None, seed: int = 0) -> Any:
    case = CASES[name]
    model: Any = COMPARATORS[case.key]  # its own Config, which no type can say
    torch.manual_seed(seed)
    return model(model.Config(sizes=sizes or case.sizes, **case.changes, **QUICK.get(case.key, {}))).eval()


def _fit(system: nn.Module, steps: Steps) -> None:
    """Fit what is fitted before and after epochs; batch normalisation sees the recordings, as it does in epochs."""
    if isinstance(system, Begins):
        system.begin(each(steps))
    _see(system, steps)
    if isinstance(system, Finishes):
        system.finish(each(steps))


@torch.no_grad()
def _see(system: nn.Module, steps: Steps) -> None:
    cast(System, system.train()).outputs_to_train(steps)
    system.eval()


@pytest.fixture(autouse=True, scope="module")
def _quick_support_vectors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emotrace.layers.support_vectors._MAX_STEPS", 20)
        yield


LEARNING = [name for name in EVERY if any(value.requires_grad for value in _drawn(name).parameters())]


@cache
def _kept(name: str) -> Any:
    system = _drawn(name)
    fit = _fit if name in COMPARATORS else _see  # what is fitted is the same in a variant
    fit(system, CASES[name].steps())
    return system


def _system(name: str) -> Any:
    """Return a fitted system that a test may change."""
    return deepcopy(_kept(name))


def _everywhere_known(name: str) -> tuple[Steps, dict[str, Tensor]]:
    """Return recordings in which both modalities are known at all steps, and what gets gradients of them."""
    steps = with_known(CASES[name].steps(seed=1), voice=True, face=True)
    inputs: dict[str, Tensor] = {
        need: getattr(steps, need).clone().requires_grad_() for need in CASES[name].reading.needs
    }
    return steps._replace(**inputs), inputs


def _said(output: SystemOutput) -> Tensor:
    """Return all numbers that are said, [B, S, ...]; without the audio weight of a system that has none."""
    return torch.cat([*output[:2], output.audio_weight.nan_to_num()[..., None]], dim=-1)


def _gradients(system: nn.Module, steps: Steps) -> list[Tensor | None]:
    """Return the gradients of all losses in training, dropout being the same at every call."""
    system.zero_grad()
    torch.manual_seed(0)
    outputs = cast(System, system.train()).outputs_to_train(steps)
    torch.autograd.backward(torch.stack([loss(output, steps) for output in outputs]).sum())
    return [value.grad for value in system.parameters()]


def _assert_answers(output: SystemOutput, steps: Steps, sizes: Sizes) -> None:
    assert output.arousal_valence.shape == (*steps.emotion.shape, 2)
    assert output.emotion_logits.shape == (*steps.emotion.shape, sizes.num_emotions)
    assert output.audio_weight.shape == output.valid.shape == steps.emotion.shape
    assert _said(output).isfinite().all()
    weight = output.audio_weight
    assert weight.isnan().all() or ((weight >= 0) & (weight <= 1)).all()
    assert not (output.valid & ~(steps.audio_valid | steps.video_valid)).any()


@every_system
def test_it_names_its_paper_and_its_configuration_is_frozen(name: str) -> None:
    system = _kept(name)
    assert system.paper
    assert system.needs
    assert [each.name for each in fields(system.config) if each.default is MISSING] == ["sizes"]
    with pytest.raises(AttributeError):
        system.config.sizes = SIZES


@every_system
@torch.no_grad()
def test_there_is_one_answer_per_step_which_counts_where_anything_is_known(name: str) -> None:
    system, steps = _kept(name), CASES[name].steps()
    output = system(steps)
    _assert_answers(output, steps, CASES[name].sizes)
    assert torch.equal(output.valid, steps.audio_valid | steps.video_valid)
    for part in system.outputs_to_train(steps):
        _assert_answers(part, steps, CASES[name].sizes)
        assert part.valid.any()


@every_system
def test_every_parameter_learns_or_all_is_fitted(name: str) -> None:
    system, steps = _system(name), CASES[name].steps()
    outputs = system.outputs_to_train(steps)
    if not outputs:
        assert CASES[name].key in FITTED
        assert not any(value.requires_grad for value in system.parameters())
        return
    torch.autograd.backward(torch.stack([loss(output, steps) for output in outputs]).sum())
    assert [key for key, value in system.named_parameters() if value.grad is None or not value.grad.any()] == []


@every_system
@torch.no_grad()
def test_garbage_in_a_missing_modality_changes_nothing(name: str) -> None:
    system, steps = _kept(name), CASES[name].steps(seed=1)
    expected = system(steps)
    for garbage in (torch.nan, torch.inf, 1e9):
        assert_same(system(soiled(steps, garbage)), expected)


@pytest.mark.parametrize("name", LEARNING)
def test_garbage_in_a_missing_modality_changes_no_gradient(name: str) -> None:
    steps, clean, soil = CASES[name].steps(), _system(name), _system(name)
    for ours, theirs in zip(_gradients(soil, soiled(steps)), _gradients(clean, steps), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    for key, values in clean.state_dict().items():  # the statistics of batch normalisation among them
        assert torch.equal(values, soil.state_dict()[key])


@pytest.mark.parametrize("name", FITTED)
def test_garbage_in_a_missing_modality_changes_nothing_that_is_fitted(name: str) -> None:
    fitted, soil = _kept(name).state_dict(), _drawn(name)
    _fit(soil, soiled(CASES[name].steps()))
    assert [key for key, values in soil.state_dict().items() if not torch.equal(values, fitted[key])] == []


@every_system
@torch.no_grad()
def test_a_modality_may_be_missing_all_along(name: str) -> None:
    system, steps = _kept(name), CASES[name].steps()
    for voice, face in ((True, False), (False, True), (False, False)):
        some = soiled(with_known(steps, voice=voice, face=face))
        output = system(some)
        _assert_answers(output, some, CASES[name].sizes)
        if voice != face and not output.audio_weight.isnan().any():
            assert (output.audio_weight == float(voice)).all()


@every_system
def test_no_answer_depends_on_a_later_step_and_each_on_its_own(name: str) -> None:
    steps, inputs = _everywhere_known(name)
    now = STEPS // 2
    torch.autograd.backward(_said(_kept(name)(steps))[:, now].square().sum())
    for values in inputs.values():
        assert values.grad is not None
        seen = values.grad.flatten(2).abs().sum(dim=2)
        assert not seen[:, now + 1 :].any()
        assert seen[:, now].any()


@every_system
@torch.no_grad()
def test_another_end_of_the_recording_changes_no_earlier_answer(name: str) -> None:
    system, steps, first = _kept(name), CASES[name].steps(), STEPS // 2
    one, other = _said(system(steps)), _said(system(with_another_end(steps, first)))
    torch.testing.assert_close(other[:, :first], one[:, :first], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other[:, first:], one[:, first:])


@every_system
@torch.no_grad()
def test_steps_after_the_end_of_a_recording_change_no_answer(name: str) -> None:
    system, steps = _kept(name), CASES[name].steps()
    padding = soiled(with_known(CASES[name].steps(steps=4), voice=False, face=False))
    longer = Steps(*(torch.cat(parts, dim=1) for parts in zip(steps, padding, strict=True)))
    found, expected = _said(system(longer)), _said(system(steps))
    torch.testing.assert_close(found[:, :STEPS], expected, atol=1e-5, rtol=1e-5)
    assert found.isfinite().all()


@every_system
@torch.no_grad()
def test_other_recordings_of_the_batch_change_nothing(name: str) -> None:
    system, steps = _kept(name), CASES[name].steps()
    together = system(steps)
    for place, alone in enumerate(each(steps)):
        mine = SystemOutput(*(values[place : place + 1] for values in together))
        assert_same(system(alone), mine, tolerance=1e-5)


@every_system
@torch.no_grad()
def test_saved_weights_give_the_same_answer(name: str, tmp_path: Path) -> None:
    system, steps, other = _kept(name), CASES[name].steps(), _drawn(name, seed=1)
    assert not torch.allclose(other(steps).arousal_valence, system(steps).arousal_valence)
    save_file(system.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert_same(other(steps), system(steps))


@pytest.mark.parametrize("name", [key for key in COMPARATORS if key not in VOICES])
def test_a_spectrum_is_a_voice_too(name: str) -> None:
    sizes = replace(CASES[name].sizes, voice_shape=(48, 36))
    steps = toy(sizes, CASES[name].reading.pictures, recordings=2, steps=STEPS)
    system = _drawn(name, sizes)
    _fit(system, steps)
    with torch.no_grad():
        _assert_answers(system(steps), steps, sizes)
        assert_same(system(soiled(steps)), system(steps))
    outputs: Sequence[SystemOutput] = system.outputs_to_train(soiled(steps))
    for output in outputs:
        torch.autograd.backward(output.arousal_valence.square().sum(), retain_graph=True)
    assert all(value.grad is None or value.grad.isfinite().all() for value in system.parameters())


@pytest.mark.filterwarnings(
    # Whether there is a voice at all, or an item among those that are encoded, is the same at every run.
    "ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning:emotrace.training.systems",
    "ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning:emotrace.layers.known",
)
@pytest.mark.parametrize("name", EXPORTED)
@torch.no_grad()
def test_the_exported_system_gives_the_same_numbers(name: str) -> None:
    case = CASES[name]
    assert fits_a_bundle(case.settings)
    system = StandardisedSystem(_system(name), case.sizes).eval()
    system.mean.fill_(0.2)
    system.deviation.fill_(1.5)
    context = getattr(system.system, "context_steps", None)
    content, graph = export_frames(system, case.sizes, frame_graph(case.settings, case.sizes, context, RATE_HZ))
    lengths = [case.steps(recordings=1, steps=count, seed=2) for count in (1, 7, 60)]
    nothing_known = soiled(with_known(lengths[1], voice=False, face=False), 0.0)
    for steps in (*lengths, nothing_known):
        found = run_graph(content, {name: getattr(steps, name) for name in graph.inputs})
        for ours, theirs in zip(found, system(steps)[:3], strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
