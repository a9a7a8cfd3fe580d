"""The whole of `emotrace train default` on corpora of a few files: what comes out is a bundle that works."""

from pathlib import Path

import pytest

import emotrace
from emotrace.bundle import Bundle
from emotrace.errors import CorpusError
from emotrace.evaluation import evaluate
from emotrace.training import settings
from emotrace.training.default import train_default
from emotrace.training.presets import DefaultSettings
from tests.media_factory import talking_clip
from tests.training.trees import write_corpora

QUICK = settings.override(
    DefaultSettings(training_recordings=2, validation_recordings=1),
    [
        "face.epochs=1",
        "face.polish_epochs=1",
        "face.batch_size=8",
        "face.precision=32-true",
        "voice.epochs=1",
        "voice.batch_size=4",
        "voice.members=1",
        "fusion.epochs=1",
        "fusion.batch_size=2",
        "fusion.ticks=50",
        "voice_parts=2",
    ],
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return train_default(data, tmp_path_factory.mktemp("run"), QUICK)


def test_the_bundle_loads_and_analyses_a_clip(trained: Bundle, tmp_path: Path) -> None:
    loaded = emotrace.load_bundle(trained.folder)
    assert loaded.digest == trained.digest
    timeline = emotrace.analyze(talking_clip(tmp_path / "talk.mp4", seconds=1.0), bundle=loaded)
    assert len(timeline) >= 25
    assert timeline.metadata.bundle_digest == trained.digest


def test_the_bundle_says_how_it_was_made(trained: Bundle) -> None:
    assert DefaultSettings.model_validate(trained.manifest.settings) == QUICK
    assert sum(trained.manifest.face_prior) == pytest.approx(1)
    assert sum(trained.manifest.voice_prior) == pytest.approx(1)
    assert trained.manifest.licence in trained.card
    assert set(trained.manifest.files) == {"face.onnx", "voice.onnx", "fusion.onnx", "MODEL_CARD.md"}


def test_the_bundle_evaluates_on_face_and_voice(trained: Bundle, data: Path) -> None:
    assert evaluate(trained, "ferplus", data / "ferplus", "test")["images"] == 16
    assert evaluate(trained, "ravdess", data / "ravdess", "test")["utterances"] == 4


@pytest.mark.slow
def test_a_run_that_is_resumed_after_its_end_gives_the_same_bundle(trained: Bundle, data: Path) -> None:
    resumed = train_default(data, trained.folder.parent, QUICK, resume=True)
    assert resumed.digest == trained.digest


def test_a_missing_corpus_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="ferplus"):
        train_default(tmp_path / "nowhere", tmp_path / "run", QUICK)
    assert not (tmp_path / "run").exists()
