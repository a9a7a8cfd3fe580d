"""The systems that hear spectrograms, given rows of features in their place: openSMILE's, say, beside action units."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from emotrace.errors import SettingsError
from emotrace.layers.clips import Backbone, Modality, Sampling, Scale
from emotrace.layers.steps import Sizes
from emotrace.models import CLIP_SYSTEMS
from emotrace.models.leader_follower import Form, LeaderFollower, LeaderFollowerConfig
from emotrace.training.presets import PRESETS
from emotrace.training.settings import override
from emotrace.training.systems import build, reading_of
from tests.models.clips import toy_clips, toy_sizes
from tests.models.steps import toy, train

SYSTEMS = ("fcn-attention", "g-fbp", "ag-fbp", "am-fbp", "vaanet", "cross-modal-metric")
SIZES = toy_sizes(bands=12, num_regions=1)
LEARNT = [(key, modality) for key in SYSTEMS for modality in sorted(CLIP_SYSTEMS[key].modalities)]
RATES = {"vaanet": 6e-3, "cross-modal-metric": 2e-3}
STEPS = Sizes(voice_shape=(12,), num_regions=1, region_dim=6, crop_side=20, step_samples=0, steps_per_second=5)


def _drawn(key: str, **changes: Any) -> Any:
    model: Any = CLIP_SYSTEMS[key]  # its own Config, which no type can say
    torch.manual_seed(0)
    return model(model.Config(**({"sizes": SIZES, "audio": "frozen"} | changes))).eval()


def _sampling(key: str, frames: int = 6) -> Sampling:
    return replace(CLIP_SYSTEMS[key].samplings["small"], frames=frames)


@pytest.mark.parametrize(("key", "modality"), LEARNT)
def test_it_learns_a_toy_task(key: str, modality: Modality) -> None:
    system, sampling = _drawn(key).train(), _sampling(key)
    optimiser = torch.optim.Adam(system.parameters(), RATES.get(key, 6e-3))
    for step in range(30):
        optimiser.zero_grad()
        clips = toy_clips(SIZES, sampling, 16, seed=step, shown_in=(modality,), complete=True)
        torch.autograd.backward(system.loss(clips))
        optimiser.step()
    fresh = toy_clips(SIZES, sampling, 24, seed=1000, shown_in=(modality,), complete=True)
    with torch.no_grad():
        right = system.eval()(fresh).logits.argmax(dim=1) == fresh.label
    assert right.float().mean() > 0.8


@pytest.mark.parametrize("scale", ["small", "published"])
@pytest.mark.parametrize(("features", "width", "frames"), [(1, 1, 1), (12, 709, 1), (6000, 2000, 2)])
@pytest.mark.parametrize("key", SYSTEMS)
def test_any_widths_and_a_single_row_will_do(key: str, features: int, width: int, frames: int, scale: Scale) -> None:
    sizes = toy_sizes(bands=features, num_regions=1, region_dim=width)
    with torch.device("meta"):
        system = _drawn(key, sizes=sizes, scale=scale)
    published = CLIP_SYSTEMS[key].samplings[scale]
    clips = toy_clips(sizes, replace(published, frames=frames), 2)
    answer = system(type(clips)(*(values.to("meta") for values in clips)))
    assert answer.logits.shape == (2, 4)


@pytest.mark.parametrize("key", SYSTEMS)
def test_no_weights_trained_elsewhere_fit_a_voice_of_features(key: str) -> None:
    assert "audio" not in _drawn(key).encoders()
    if "face" in CLIP_SYSTEMS[key].modalities:
        assert list(_drawn(key, visual="own", sizes=toy_sizes(bands=12, crop_side=48)).encoders()) == ["visual"]


@pytest.mark.parametrize("key", SYSTEMS)
def test_the_settings_choose_the_encoder(key: str) -> None:
    backbones: tuple[Backbone, ...] = ("own", "frozen")
    sizes = toy_sizes(bands=67, num_regions=1)
    for backbone in backbones:
        built = build(override(PRESETS[key].settings, [f"audio.backbone={backbone}"]), sizes)
        assert getattr(built.system, "config").audio == backbone  # noqa: B009 (a module, to the type checker)


@pytest.mark.parametrize("form", ["abaw2", "abaw3"])
def test_the_face_leads_and_the_rows_alone_follow(form: Form) -> None:
    torch.manual_seed(0)
    system = LeaderFollower(LeaderFollowerConfig(sizes=STEPS, audio="frozen", form=form, dropout=0.0))
    assert len(system.temporal) == 2
    assert system.encoders() == {}
    first, last = train(system, system, toy(STEPS, 1, recordings=2, steps=12), 10)
    assert last < 0.7 * first


@pytest.mark.parametrize(("features", "width"), [(1, 1), (6000, 2000)])
@torch.no_grad()
def test_the_leader_may_be_one_region_of_any_width_and_so_may_the_follower(features: int, width: int) -> None:
    sizes = replace(STEPS, voice_shape=(features,), region_dim=width)
    system = LeaderFollower(LeaderFollowerConfig(sizes=sizes, audio="frozen")).eval()
    steps = toy(sizes, 1, recordings=2, steps=3)
    assert system(steps).arousal_valence.shape == (2, 3, 2)


def test_a_spectrogram_is_no_row_of_features() -> None:
    with pytest.raises(SettingsError, match=r"\(96, 64\), expected a row of features.*audio.backbone=own"):
        LeaderFollower(LeaderFollowerConfig(sizes=replace(STEPS, voice_shape=(96, 64)), audio="frozen"))


def test_of_rows_of_features_a_step_hears_the_newest_alone() -> None:
    settings = PRESETS["leader-follower"].settings
    assert reading_of(settings, 25.0).heard == 24
    assert reading_of(override(settings, ["audio.backbone=frozen"]), 25.0).heard == 1
