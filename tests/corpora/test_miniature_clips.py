"""The small recordings that stand for the corpora in tests are heard and seen as what they are meant to be."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from emotrace.features.extract import extract
from emotrace.features.faces import HaarDetector
from emotrace.media import open_clip
from emotrace.recipe import Recipe
from emotrace.types import Features
from tests.corpora.miniature_clips import point_of, write_clip

CLASSES = {
    "AFEW and CREMA-D": ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    "RAVDESS": ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
    "IEMOCAP": ("anger", "happiness", "sadness", "neutral", "excitement", "frustration"),
    "VideoEmotion-8": ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust"),
    "Ekman-6": ("anger", "disgust", "fear", "joy", "sadness", "surprise"),
}


def features(path: Path, label: str, seed: int = 0) -> Features:
    arousal, valence = point_of(label)
    write_clip(path, arousal=arousal, valence=valence, seconds=1.6, seed=seed)
    (found,) = extract(open_clip(path), Recipe(), HaarDetector())
    return found


def test_face_and_speech_are_found(tmp_path: Path) -> None:
    found = features(tmp_path / "clip.mp4", "anger")
    assert found.face_detected.mean() > 0.8
    assert found.speech.mean() > 0.3
    assert len(found.times) == pytest.approx(40, abs=2)


def test_one_person_shows_two_classes_with_two_faces_and_two_voices(tmp_path: Path) -> None:
    anger, sadness = features(tmp_path / "anger.avi", "anger"), features(tmp_path / "sadness.mp4", "sadness")
    shown = [each.face_crops.astype(np.float32).mean(axis=0) for each in (anger, sadness)]
    assert np.abs(shown[0] - shown[1]).max() > 15
    loudness = [float(np.nanmean(each.speech_energy)) for each in (anger, sadness)]
    assert loudness[0] != pytest.approx(loudness[1], rel=0.1)


def test_the_same_seed_gives_the_same_bytes_and_another_another_person(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_clip(tmp_path / name, arousal=0.5, valence=0.5, seconds=0.4, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(("video", "audio"), [(True, True), (True, False), (False, True)])
def test_only_the_tracks_asked_for_are_written(tmp_path: Path, video: bool, audio: bool) -> None:
    path = tmp_path / "new" / "clip.flv"
    write_clip(path, arousal=0, valence=0, seconds=0.8, video=video, audio=audio)
    info = open_clip(path).info
    assert (info.has_video, info.has_audio) == (video, audio)
    assert info.duration_seconds == pytest.approx(0.8, abs=0.1)
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.flv"]


@pytest.mark.parametrize("classes", CLASSES.values(), ids=CLASSES)
def test_the_classes_of_a_corpus_stand_apart(classes: Sequence[str]) -> None:
    points = [np.array(point_of(label)) for label in classes]
    assert min(np.linalg.norm(one - other) for one, other in combinations(points, 2)) > 0.3
