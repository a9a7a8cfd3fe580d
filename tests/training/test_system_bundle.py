"""A trained system becomes a bundle that analyses a file."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emotrace
from emotrace.bundle import load_bundle
from emotrace.catalogue import CATALOGUE
from emotrace.corpora import ferplus, nemo, ravdess
from emotrace.demo import make_demo
from emotrace.errors import SettingsError
from emotrace.inference.offline import NO_EMOTIONS
from emotrace.labels import EMOTIONS
from emotrace.layers.clips import ClipSizes
from emotrace.layers.steps import Sizes
from emotrace.report import write_report
from emotrace.report_words import summary_in_words
from emotrace.training.presets import PRESETS
from emotrace.training.settings import EncoderSettings, SystemSettings
from emotrace.training.system_bundle import fits_a_bundle, save_as_bundle
from emotrace.training.systems import SavedSystem, build, is_clip_level

SHAPES = {"descriptors": (560,), "spectrum": (120, 120), "egemaps": (88,)}
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
FITTING = [key for key, preset in PRESETS.items() if fits_a_bundle(preset.settings)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    make_demo(path, seconds=4.0, size=(320, 240))
    return path


def _written(key: str, folder: Path, *, tells_emotions: bool) -> None:
    settings = PRESETS[key].settings
    sizes = Sizes(
        voice_shape=SHAPES[settings.front_end],
        num_regions=36,
        region_dim=128,
        crop_side=48,
        step_samples=3200,
        steps_per_second=5.0,
    )
    saved = SavedSystem(build(settings, sizes).eval(), settings, 0, ())
    save_as_bundle(folder, saved, {"ccc_arousal": 0.5}, "synthetic", "A toy.", tells_emotions=tells_emotions)


@pytest.mark.parametrize("key", ["bimodal-attention", "attention-spectrum", "attention-mask", "concatenation"])
def test_a_system_analyses_a_file_at_its_own_steps(key: str, clip: Path, tmp_path: Path) -> None:
    assert key in FITTING
    _written(key, tmp_path / "bundle", tells_emotions=True)
    timeline = emotrace.analyze(clip, bundle=tmp_path / "bundle", detector="haar")
    assert timeline.metadata.settings.label_rate_hz == 5.0
    np.testing.assert_allclose(np.diff(timeline["time"]), 0.2)
    known = ~np.isnan(timeline["arousal"])
    assert known.any()
    assert np.abs(timeline["arousal"][known]).max() <= 1
    total = np.sum([timeline[emotion] for emotion in EMOTIONS], axis=0)
    np.testing.assert_allclose(total[known], 1, atol=1e-5)


def test_a_system_without_emotions_leaves_their_columns_empty_and_says_so(clip: Path, tmp_path: Path) -> None:
    _written("bimodal-attention", tmp_path / "bundle", tells_emotions=False)
    timeline = emotrace.analyze(clip, bundle=tmp_path / "bundle", detector="haar")
    assert all(np.isnan(timeline[emotion]).all() for emotion in EMOTIONS)
    assert not np.isnan(timeline["valence"]).all()
    assert NO_EMOTIONS in timeline.metadata.problems
    assert "tells no emotions" in summary_in_words(timeline)
    timeline.to_csv(tmp_path / "talk.csv")
    write_report(timeline, tmp_path / "talk.html")
    assert NO_EMOTIONS in (tmp_path / "talk.html").read_text()
    assert "tells no emotions" in load_bundle(tmp_path / "bundle").card


def _settings(key: str, **changes: object) -> SystemSettings:
    return SystemSettings.model_validate(PRESETS[key].settings.model_dump() | changes)


def _card(folder: Path, settings: SystemSettings, corpus: str) -> tuple[str, dict[str, Any]]:
    """Return the model card and the manifest's settings of an untrained system of the least size."""
    bare = settings.model_copy(update={"visual": EncoderSettings(backbone=settings.visual.backbone)})
    sizes = (
        ClipSizes(classes=("anger", "calm"), bands=64, crop_side=48, num_regions=36, region_dim=128)
        if is_clip_level(settings)
        else Sizes(
            voice_shape=(96, 64), num_regions=36, region_dim=128, crop_side=48, step_samples=3200, steps_per_second=5.0
        )
    )
    saved = SavedSystem(build(bare, sizes).eval(), settings, 0, ())
    bundle = save_as_bundle(
        folder / "bundle", saved, {"accuracy": 0.5}, corpus, "Clips of actors.", tells_emotions=True
    )
    return bundle.card, bundle.manifest.settings


def test_a_card_names_corpus_citation_and_licence(tmp_path: Path) -> None:
    settings = _settings("vaanet", visual={"backbone": "own"})
    card, _ = _card(tmp_path, settings, "ravdess")
    assert "Clips of actors." in card
    for told in (ravdess.LICENCE, ravdess.CITATION, CATALOGUE["ravdess"].title):
        assert told in card
    assert "All of it was trained on these recordings" in card
    assert "windows of 300 steps" not in card


def test_a_card_names_all_that_composed_recordings_are_made_of(tmp_path: Path) -> None:
    card, _ = _card(tmp_path, _settings("vaanet"), "composed")
    assert "All of it was trained" not in card
    assert "face network is that of the default bundle" in card
    for corpus in (ferplus, ravdess, nemo):
        assert f"{corpus.LICENCE} | {corpus.CITATION}" in card
    assert "none" in _card(tmp_path, _settings("vaanet"), "synthetic")[0]
    with pytest.raises(SettingsError, match="Unknown corpus"):
        _card(tmp_path, _settings("vaanet"), "hearsay")


def test_a_card_says_what_an_encoder_started_from_and_not_where_that_lay(tmp_path: Path) -> None:
    weights = tmp_path / "secret place" / "faces.safetensors"
    settings = _settings("vaanet", visual={"backbone": "own", "weights": weights})
    assert "faces.safetensors`, sha256 not known" in _card(tmp_path, settings, "ravdess")[0]
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    card, told = _card(tmp_path, settings, "ravdess")
    assert f"visual encoder started from weights that were trained elsewhere: `{weights.name}`" in card
    assert hashlib.sha256(b"weights").hexdigest() in card
    assert "All of it was trained" not in card
    assert told["visual"]["weights"] == "faces.safetensors"
    assert "secret place" not in card + repr(told)


def test_a_card_says_where_the_figures_are_averages_of_windows(tmp_path: Path) -> None:
    assert "windows of 300 steps" in _card(tmp_path, _settings("leader-follower", prediction="windows"), "recola")[0]
    assert "windows of 300 steps" not in _card(tmp_path, _settings("leader-follower"), "recola")[0]


def test_a_bundle_holds_no_system_that_sees_through_another_face_network() -> None:
    for key in ("vaanet", "leader-follower"):
        assert fits_a_bundle(_settings(key))
        assert not fits_a_bundle(_settings(key, faces="improved-alexnet"))
        assert fits_a_bundle(_settings(key, faces="improved-alexnet", visual={"backbone": "own"}))
    assert fits_a_bundle(_settings("fcn-attention", faces="improved-alexnet"))  # it sees nothing


@pytest.mark.parametrize("key", ["end-to-end-lstm", "attention-cut", "voice-only", "attention-improved-alexnet"])
def test_what_a_bundle_cannot_hold_is_known_beforehand(key: str) -> None:
    assert not fits_a_bundle(PRESETS[key].settings)
