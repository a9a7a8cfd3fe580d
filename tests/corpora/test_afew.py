"""AFEW is read by its folders; what papers judge on is the test split, and validation is drawn from training."""

from collections import Counter
from pathlib import Path

import pytest

from emotrace.corpora import afew
from emotrace.errors import CorpusError
from emotrace.features.extract import extract
from emotrace.features.faces import HaarDetector
from emotrace.recipe import Recipe
from tests.corpora.miniature_open import write_afew


def test_the_official_validation_set_is_tested_on_and_a_fifth_of_training_validates(tmp_path: Path) -> None:
    clips = afew.read(write_afew(tmp_path, train=10, validation=3))
    for label in afew.CLASSES:
        assert Counter(clip.split for clip in clips if clip.label == label) == {"train": 8, "validation": 2, "test": 3}
    assert {clip.video.parts[-3] for clip in clips if clip.split == "test" and clip.video} == {"Val_AFEW"}
    assert {clip.video.parts[-3] for clip in clips if clip.split != "test" and clip.video} == {"Train_AFEW"}


def test_the_class_is_that_of_the_folder(tmp_path: Path) -> None:
    clips = afew.read(write_afew(tmp_path))
    found = {(clip.video.parent.name, clip.label) for clip in clips if clip.video}
    assert found == {
        ("Angry", "anger"),
        ("Disgust", "disgust"),
        ("Fear", "fear"),
        ("Happy", "happiness"),
        ("Neutral", "neutral"),
        ("Sad", "sadness"),
        ("Surprise", "surprise"),
    }
    assert {clip.fold for clip in clips} == {None}


def test_a_name_that_stands_in_both_sets_names_two_clips(tmp_path: Path) -> None:
    root = write_afew(tmp_path)
    for part in ("Train_AFEW", "Val_AFEW"):
        (root / part / "Sad" / "012345678.avi").touch()
    clips = afew.read(root)
    assert len({clip.name for clip in clips}) == len(clips)
    assert len({clip.subject for clip in clips}) == len(clips)


def test_two_readings_agree_and_another_clip_moves_few_others(tmp_path: Path) -> None:
    root = write_afew(tmp_path, train=10)
    before = {clip.name: clip.split for clip in afew.read(root)}
    assert {clip.name: clip.split for clip in afew.read(root)} == before
    (root / "Train_AFEW" / "Sad" / "999999999.avi").touch()
    after = {clip.name: clip.split for clip in afew.read(root)}
    assert sum(after[name] != split for name, split in before.items()) <= 1


def test_faces_cut_out_by_others_and_hidden_files_are_not_read(tmp_path: Path) -> None:
    root = write_afew(tmp_path)
    count = len(afew.read(root))
    (root / "Train_AFEW" / "AlignedFaces_LBPTOP_Points" / "Faces").mkdir(parents=True)
    (root / "Train_AFEW" / "Sad" / "._000046280.avi").touch()
    (root / "Train_AFEW" / "Sad" / "notes.txt").touch()
    assert len(afew.read(root)) == count


def test_folders_unpacked_under_shorter_names_are_read(tmp_path: Path) -> None:
    root = write_afew(tmp_path)
    (root / "Train_AFEW").rename(root / "train")
    (root / "Val_AFEW").rename(root / "Val")
    assert {clip.split for clip in afew.read(root)} == {"train", "validation", "test"}


def test_what_is_missing_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no folder Train_AFEW: --root must name .* Train_AFEW and Val_AFEW"):
        afew.read(tmp_path)
    with pytest.raises(CorpusError, match="holds no folder Train_AFEW"):
        afew.read(tmp_path / "gone")
    root = write_afew(tmp_path)
    for path in (root / "Val_AFEW" / "Fear").iterdir():
        path.unlink()
    with pytest.raises(CorpusError, match=r"Val_AFEW/Fear holds no clip, expected files such as .*--root must name"):
        afew.read(root)
    (root / "Val_AFEW" / "Fear").rmdir()
    with pytest.raises(CorpusError, match=r"Val_AFEW holds no folder fear, found Angry, Disgust, Happy"):
        afew.read(root)


def test_one_clip_to_train_on_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="There is one clip of anger left to draw from"):
        afew.read(write_afew(tmp_path, train=1))


def test_two_files_of_one_clip_are_refused(tmp_path: Path) -> None:
    root = write_afew(tmp_path)
    for suffix in (".avi", ".mp4"):
        (root / "Train_AFEW" / "Sad" / f"012345678{suffix}").touch()
    with pytest.raises(CorpusError, match="Sad holds two files for 012345678: keep one"):
        afew.read(root)


def test_clips_of_the_miniature_can_be_opened_and_show_a_face(tmp_path: Path) -> None:
    clips = afew.read(write_afew(tmp_path, clips=True, train=2, validation=1, seconds=0.4))
    with clips[0].open() as source:
        assert (source.info.has_audio, source.info.has_video) == (True, True)
        (found,) = extract(source, Recipe(), HaarDetector())
    assert found.face_detected.mean() > 0.5
