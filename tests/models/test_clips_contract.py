"""What every clip-level system must keep: a line in CLIP_SYSTEMS adds all of these tests for it.

Axes as in `layers/clips.py`. A system that sees is tested with the frozen encoder's regions and with its own network;
one that also takes a voice of features alone is tested with that too, and with a single region of the face.
"""

from copy import deepcopy
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emotrace.inference.clip_runner import clip_inputs
from emotrace.layers.clips import Backbone, ClipAnswer, Clips, ClipSizes, Modality, Sampling
from emotrace.models import CLIP_SYSTEMS
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings, override
from emotrace.training.system_bundle import fits_a_bundle
from emotrace.training.system_export import clip_graph, export_clips, with_extras
from tests.models.clips import KINDS, assert_answers, assert_same, filled, only, rows, toy_clips, toy_sizes
from tests.models.graphs import run_graph

CROP_SIDES = dict.fromkeys(
    ("g-fbp", "ag-fbp", "am-fbp", "perception-attention", "disentangled", "dialogue-attention"), 16
)
"""Of those whose face network also takes small pictures; the others get 48 pixels, as from a recording."""
MOST_FRAMES = 132
"""Of a segment, so that the tests are fast; the convolutions leave three columns of them."""
RATE_HZ = 25.0
IDLE_WITH_ONE_REGION = {
    "vaanet": ("look.spatial.",),
    "positive-sample-propagation": ("localise.look.",),
    "cross-modal-metric": ("spatial.attention.query.", "spatial.attention.key."),
}
"""Parameters that say where to look: among one region there is no choice."""


@dataclass(frozen=True)
class Case:
    """A system as it is tested: its key, and what encodes its pictures; None where it sees none.

    Attributes:
        audio: what encodes its voice, where there is more than one way.
    """

    key: str
    visual: Backbone | None
    audio: Backbone = "own"

    @property
    def sizes(self) -> ClipSizes:
        if self.audio == "frozen":
            return toy_sizes(bands=5, num_regions=1)
        return toy_sizes(bands=67, crop_side=CROP_SIDES.get(self.key, 48), num_persons=3)

    @property
    def sampling(self) -> Sampling:
        published = CLIP_SYSTEMS[self.key].samplings["small"]
        return replace(published, frames=min(published.frames, MOST_FRAMES))

    @property
    def settings(self) -> SystemSettings:
        own = [f"visual.backbone={self.visual}"] if self.visual else []
        return override(PRESETS[self.key].settings, [*own, f"audio.backbone={self.audio}"])

    @property
    def backbones(self) -> dict[str, Backbone]:
        """The fields of `Config` that make the case."""
        seeing: dict[str, Backbone] = {"visual": self.visual} if self.visual else {}
        return seeing | ({"audio": self.audio} if self.audio == "frozen" else {})

    @property
    def modalities(self) -> frozenset[Modality]:
        return CLIP_SYSTEMS[self.key].modalities

    def clips(self, batch: int = len(KINDS), seed: int = 0, *, complete: bool = False) -> Clips:
        return toy_clips(self.sizes, self.sampling, batch, seed, visual=self.visual, complete=complete)


def _cases() -> dict[str, Case]:
    cases = {}
    for key, model in CLIP_SYSTEMS.items():
        visuals: tuple[Backbone | None, ...] = ("frozen", "own") if "face" in model.modalities else (None,)
        for visual in visuals:
            cases[key if visual is None else f"{key}-{visual}"] = Case(key, visual)
        if "audio" in {each.name for each in fields(model.Config)}:
            cases[f"{key}-rows"] = Case(key, visuals[0], "frozen")
    return cases


CASES = _cases()
every_system = pytest.mark.parametrize("name", list(CASES))


def _drawn(name: str, seed: int = 0) -> Any:
    case = CASES[name]
    model: Any = CLIP_SYSTEMS[case.key]  # its own Config, which no type can say
    torch.manual_seed(seed)
    return model(model.Config(sizes=case.sizes, **case.backbones)).eval()


@cache
def _kept(name: str) -> Any:
    system = _drawn(name)
    with torch.no_grad():  # without it, all batch normalisation would be the identity
        system.train()(CASES[name].clips(seed=1))
    return system.eval()


def _system(name: str) -> Any:
    """Return a system that a test may change."""
    return deepcopy(_kept(name))


@cache
def _clips(name: str) -> Clips:
    return CASES[name].clips()


def _gradients(system: Any, clips: Clips) -> list[Tensor | None]:
    """Return the gradients of the loss in training, dropout being the same at every call."""
    system.zero_grad()
    torch.manual_seed(0)
    torch.autograd.backward(system.train().loss(clips))
    return [value.grad for value in system.parameters()]


def _assert_answers(answer: ClipAnswer, clips: Clips, sizes: ClipSizes) -> None:
    assert_answers(answer, clips, sizes, weighs=not answer.audio_weight.isnan().any())


def _idle(system: nn.Module) -> list[str]:
    return [name for name, value in system.named_parameters() if value.grad is None or not value.grad.any()]


@every_system
def test_it_names_its_paper_and_its_configuration_is_frozen(name: str) -> None:
    system = _kept(name)
    assert system.paper
    assert set(system.samplings) == {"small", "published"}
    assert [each.name for each in fields(system.config) if each.default is MISSING] == ["sizes"]
    with pytest.raises(AttributeError):
        system.config.sizes = CASES[name].sizes


@every_system
@torch.no_grad()
def test_there_is_one_answer_per_clip_of_every_kind_whatever_its_label(name: str) -> None:
    system, clips = _kept(name), _clips(name)
    answer = system(clips)
    _assert_answers(answer, clips, CASES[name].sizes)
    assert_same(system(clips._replace(label=torch.full_like(clips.label, -1))), answer, tolerance=0)


@every_system
def test_every_parameter_learns(name: str) -> None:
    # Not in training: a bias before batch normalisation counts only where the statistics are fixed.
    system = _system(name)
    torch.autograd.backward(system.loss(_clips(name)))
    case = CASES[name]
    idle = IDLE_WITH_ONE_REGION.get(case.key, ()) if case.sizes.num_regions == 1 else ()
    assert [each for each in _idle(system) if not each.startswith(idle)] == []


@every_system
@torch.no_grad()
def test_it_hears_and_sees(name: str) -> None:
    system, clips = _kept(name), CASES[name].clips(2, complete=True)
    answer = system(clips).logits
    other = {
        "voice": clips._replace(sound=clips.sound.flip(-1)),
        "face": clips._replace(pictures=clips.pictures.flip(-2), regions=clips.regions.flip(-1)),
    }
    for modality in CASES[name].modalities:
        assert not torch.allclose(system(other[modality]).logits, answer, atol=1e-4)


@every_system
@torch.no_grad()
def test_other_clips_of_the_batch_change_nothing(name: str) -> None:
    system, clips = _kept(name), _clips(name)
    together = system(clips)
    for chosen in ([0], [4], [5, 2, 3]):
        assert_same(system(rows(clips, chosen)), ClipAnswer(*(values[chosen] for values in together)))


@every_system
@torch.no_grad()
def test_garbage_in_what_is_not_valid_changes_nothing(name: str) -> None:
    system, clips = _kept(name), _clips(name)
    expected = system(clips)
    for garbage in (torch.nan, torch.inf, 1e9):
        assert_same(system(filled(clips, garbage)), expected, tolerance=0)


@every_system
def test_garbage_in_what_is_not_valid_changes_no_gradient(name: str) -> None:
    clips, clean, soil = _clips(name), _system(name), _system(name)
    expected = _gradients(clean, clips)
    for ours, theirs in zip(_gradients(soil, filled(clips, torch.nan)), expected, strict=True):
        assert ours is not None
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    for key, values in clean.state_dict().items():  # the statistics of batch normalisation among them
        assert torch.equal(values, soil.state_dict()[key])


@every_system
@torch.no_grad()
def test_snippets_and_segments_after_the_end_of_a_clip_change_nothing(name: str) -> None:
    system, clips = _kept(name), CASES[name].clips(2, complete=True)
    seen, heard = clips.pictures_valid.clone(), clips.sound_valid.clone()
    seen[:, -1], heard[:, -1, -MOST_FRAMES // 2 :] = False, False
    shorter = clips._replace(pictures_valid=seen, sound_valid=heard)
    assert_same(system(shorter), system(filled(shorter, 0.0)), tolerance=0)
    assert not torch.allclose(system(shorter).logits, system(clips).logits)


@every_system
def test_a_modality_may_be_missing_altogether(name: str) -> None:
    complete, learner = CASES[name].clips(2, complete=True), _system(name)
    known: tuple[tuple[Modality, ...], ...] = (("voice",), ("face",), ())
    for there in known:
        clips = only(complete, *there)
        with torch.no_grad():
            answer = _kept(name)(clips)
        _assert_answers(answer, clips, CASES[name].sizes)
        if there and not answer.audio_weight.isnan().any():
            assert (answer.audio_weight == float("voice" in there)).all()
        assert all(gradient is None or gradient.isfinite().all() for gradient in _gradients(learner, clips))


@every_system
def test_one_clip_with_one_valid_item_of_each_can_be_learnt_from(name: str) -> None:
    clips = CASES[name].clips(1, complete=True)
    seen, heard = torch.zeros_like(clips.pictures_valid), torch.zeros_like(clips.sound_valid)
    seen[0, -1, 0], heard[0, 0, 5] = True, True
    gradients = _gradients(_system(name), clips._replace(pictures_valid=seen, sound_valid=heard))
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


@every_system
@torch.no_grad()
def test_saved_weights_give_the_same_answer(name: str, tmp_path: Path) -> None:
    system, clips, other = _kept(name), rows(_clips(name), [0, 1]), _drawn(name, seed=1)
    assert not torch.allclose(other(clips).logits, system(clips).logits)
    save_file(system.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert_same(other(clips), system(clips), tolerance=0)


# Whether there is sound at all is the same at every run.
@pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning:emotrace.training.clip_system")
@every_system
@torch.no_grad()
def test_the_exported_system_gives_the_same_numbers(name: str) -> None:
    case, clips = CASES[name], _clips(name)
    assert fits_a_bundle(case.settings)
    system = StandardisedClipSystem(_system(name), case.sizes).eval()
    system.mean.fill_(0.2)
    system.deviation.fill_(1.5)
    shapes = case.sampling
    graph = with_extras(clip_graph(case.settings, case.sizes, RATE_HZ), system).model_copy(
        update={"sampling": (shapes.snippets, shapes.pictures, shapes.segments, shapes.frames)}
    )
    content = export_clips(system, graph)
    for windows in (slice(0, 1), slice(None)):
        some = rows(clips, windows)
        answer = system(some)
        found = run_graph(content, {each: getattr(some, each) for each in clip_inputs(graph)})
        expected = [answer.embedding if graph.turns else answer.logits, answer.audio_weight]
        expected += system.explain(some) if graph.explains else []
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
