"""Recordings on disk -> files of features, made once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora.rated import RatedRecording
from emotrace.demo import make_demo
from emotrace.errors import CorpusError
from emotrace.features.extract import extract
from emotrace.features.faces import HaarDetector
from emotrace.media import open_clip
from emotrace.recipe import Recipe
from emotrace.training.arrays import read_arrays, write_arrays
from emotrace.training.extraction import (
    FRONT_ENDS,
    FrontEnd,
    audio_recipe,
    extract_all,
    is_missing,
    stored,
    stored_voice,
    voice_arrays,
)

RECIPE = Recipe()
SECONDS = 4.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> RatedRecording:
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    make_demo(path, seconds=SECONDS, size=(320, 240))
    labels = np.stack([np.linspace(-1, 1, 100), np.linspace(1, 0, 100)], axis=1).astype(np.float32)
    return RatedRecording("talk", "me", "train", path, path, 25.0, labels)


@pytest.fixture(scope="module")
def made(clip: RatedRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    told: list[tuple[int, int]] = []
    extract_all([clip], RECIPE, ["descriptors", "spectrum"], folder, dict, lambda *pair: told.append(pair))
    assert told == [(0, 1), (1, 1)]
    return folder


def test_the_features_are_those_of_an_analysis(clip: RatedRecording, made: Path) -> None:
    kept = read_arrays(stored(made, clip))
    heard = read_arrays(stored_voice(made, clip, "descriptors"))
    assert clip.video is not None
    with open_clip(clip.video) as opened:
        blocks = list(extract(opened, RECIPE, HaarDetector()))
    assert len(blocks) == 1
    np.testing.assert_array_equal(kept["crops"], blocks[0].face_crops)
    np.testing.assert_array_equal(kept["face_index"], blocks[0].face_index)
    np.testing.assert_array_equal(kept["speech_energy"], blocks[0].speech_energy)
    np.testing.assert_array_equal(heard["voice"], blocks[0].voice_inputs)
    np.testing.assert_array_equal(heard["voice_index"], blocks[0].voice_index)
    np.testing.assert_array_equal(heard["audio_valid"], blocks[0].voice_valid & (blocks[0].voice_index >= 0))


def test_labels_stand_on_the_ticks(clip: RatedRecording, made: Path) -> None:
    kept = read_arrays(stored(made, clip))
    assert clip.labels is not None
    kept_labels = kept["arousal_valence"]
    assert len(kept_labels) == len(kept["speech"])
    np.testing.assert_allclose(kept_labels[:100], clip.labels, atol=1e-6)
    np.testing.assert_array_equal(kept_labels[100:], np.broadcast_to(clip.labels[-1], kept_labels[100:].shape))
    assert (kept["emotion"] == -1).all()


def test_what_is_there_is_not_made_again(clip: RatedRecording, made: Path) -> None:
    before = stored(made, clip).stat().st_mtime_ns
    extract_all([clip], RECIPE, ["descriptors"], made, dict, lambda *_: None)
    assert stored(made, clip).stat().st_mtime_ns == before


def test_other_labels_another_recipe_or_a_damaged_file_are_made_again(
    clip: RatedRecording, made: Path, tmp_path: Path
) -> None:
    assert not is_missing(clip, RECIPE, ["descriptors"], made)
    assert clip.labels is not None
    assert is_missing(replace(clip, labels=clip.labels[::-1].copy()), RECIPE, ["descriptors"], made)
    assert is_missing(clip, RECIPE.model_copy(update={"label_rate_hz": 50.0}), ["descriptors"], made)
    assert is_missing(clip, RECIPE, ["egemaps"], made)
    copy = stored(tmp_path, clip)
    copy.parent.mkdir()
    copy.write_bytes(stored(made, clip).read_bytes()[:1000])
    assert is_missing(clip, RECIPE, [], tmp_path)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_front_end_hears_something_at_every_tick_after_the_first(
    front_end: str, clip: RatedRecording, made: Path
) -> None:
    kept = read_arrays(stored(made, clip))
    assert front_end in FRONT_ENDS
    heard = voice_arrays(kept["waveform"], kept["speech"], RECIPE, front_end)
    assert len(heard["voice_index"]) == len(heard["audio_valid"]) == len(kept["speech"])
    assert heard["voice_index"].max() == len(heard["voice"]) - 1
    assert heard["audio_valid"].any()
    assert np.isfinite(heard["voice"]).all()


@pytest.mark.parametrize(("front_end", "bands"), [("log-mel", 64), ("log-spectrogram", 200)])
def test_slices_come_with_every_tick_in_half_precision(
    front_end: FrontEnd, bands: int, clip: RatedRecording, made: Path
) -> None:
    kept = read_arrays(stored(made, clip))
    heard = voice_arrays(kept["waveform"], kept["speech"], RECIPE, front_end)
    assert heard["voice"].dtype == np.float16
    assert heard["voice"].shape[1:] == (4, bands)
    assert heard["voice_index"].tolist() == list(range(-1, len(kept["speech"]) - 1))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_how_a_front_end_hears_is_a_recipe_that_a_bundle_can_hold(front_end: FrontEnd) -> None:
    recipe = RECIPE.model_copy(update={"audio": audio_recipe(RECIPE, front_end)})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_cutting_silence_out_leaves_the_last_words_in_force(clip: RatedRecording, made: Path) -> None:
    kept = read_arrays(stored(made, clip))
    speech = kept["speech"].copy()
    assert speech[:60].sum() > 15
    speech[60:] = False
    heard = voice_arrays(kept["waveform"], speech, RECIPE, "descriptors-cut")
    assert len(set(heard["voice_index"][60:])) == 1
    assert heard["audio_valid"][60:].all()


def test_sound_of_no_length_has_no_inputs() -> None:
    heard = voice_arrays(np.zeros(0, dtype=np.int16), np.zeros(10, dtype=bool), RECIPE, "descriptors")
    assert heard["voice"].shape == (0, 560)
    assert (heard["voice_index"] == -1).all()
    assert not heard["audio_valid"].any()


def test_labels_of_another_length_than_the_recording_are_refused(clip: RatedRecording, tmp_path: Path) -> None:
    assert clip.labels is not None
    long = replace(clip, labels=np.tile(clip.labels, (3, 1)))
    with pytest.raises(CorpusError, match=r"talk lasts 4\.. s but has labels for 12\.0 s"):
        extract_all([long], RECIPE, ["descriptors"], tmp_path, dict, lambda *_: None)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_arrays_come_back_and_say_where_they_are_from(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.zeros(0, dtype=bool)}
    write_arrays(tmp_path / "deep" / "x.safetensors", arrays, "here")
    for name, value in read_arrays(tmp_path / "deep" / "x.safetensors").items():
        np.testing.assert_array_equal(value, arrays[name])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.safetensors"]
