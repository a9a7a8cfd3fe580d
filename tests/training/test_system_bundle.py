"""A trained system becomes a bundle that analyses a file."""

from pathlib import Path

import numpy as np
import pytest

import emotrace
from emotrace.bundle import load_bundle
from emotrace.demo import make_demo
from emotrace.inference.offline import NO_EMOTIONS
from emotrace.labels import EMOTIONS
from emotrace.layers.steps import Sizes
from emotrace.report import write_report
from emotrace.report_words import summary_in_words
from emotrace.training.presets import PRESETS
from emotrace.training.system_bundle import fits_a_bundle, save_as_bundle
from emotrace.training.systems import SavedSystem, build

SHAPES = {"descriptors": (560,), "spectrum": (120, 120), "egemaps": (88,)}
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
    save_as_bundle(folder, saved, {"ccc_arousal": 0.5}, "a toy", tells_emotions=tells_emotions)


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


@pytest.mark.parametrize("key", ["kalman-fusion", "attention-cut", "voice-only", "attention-improved-alexnet"])
def test_what_a_bundle_cannot_hold_is_known_beforehand(key: str) -> None:
    assert not fits_a_bundle(PRESETS[key].settings)
