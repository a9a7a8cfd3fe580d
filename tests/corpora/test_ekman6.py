"""Ekman-6 is tested on one half of every class, by lists where they are there."""

from collections import Counter
from pathlib import Path

import pytest

from emotrace.corpora import ekman6
from emotrace.errors import CorpusError
from tests.corpora.miniature_open import write_ekman6


def test_half_of_every_class_is_tested_on_and_a_sixth_of_the_rest_validates(tmp_path: Path) -> None:
    clips = ekman6.read(write_ekman6(tmp_path, count=24))
    for label in ekman6.CLASSES:
        assert Counter(clip.split for clip in clips if clip.label == label) == {
            "train": 10,
            "validation": 2,
            "test": 12,
        }
    assert clips == ekman6.read(tmp_path)
    assert len({clip.name for clip in clips}) == len(clips) == 144


def test_lists_are_followed_and_what_they_leave_out_is_left_out(tmp_path: Path) -> None:
    root = write_ekman6(tmp_path, count=8, lists=True)
    (root / "anger" / "5000.mp4").touch()
    clips = ekman6.read(root)
    numbers = {
        split: {int(clip.video.stem) for clip in clips if clip.video and clip.split == split}
        for split in ("train", "validation", "test")
    }
    assert numbers["test"] == set(range(2, 49, 2))
    assert numbers["train"] | numbers["validation"] == set(range(1, 49, 2))
    assert Counter(clip.label for clip in clips if clip.split == "validation") == dict.fromkeys(ekman6.CLASSES, 1)


def test_what_is_missing_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"found no folder at all: --root must name .* anger, disgust .. surprise"):
        ekman6.read(tmp_path)
    root = write_ekman6(tmp_path, count=2)
    with pytest.raises(CorpusError, match="There is one clip of anger left"):
        ekman6.read(root)
    (root / "joy" / "7.mp4").unlink()
    (root / "joy" / "8.mp4").unlink()
    with pytest.raises(CorpusError, match=r"joy holds no clip"):
        ekman6.read(root)


def test_a_list_with_a_clip_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = write_ekman6(tmp_path, lists=True)
    (root / "anger" / "2.mp4").unlink()
    with pytest.raises(CorpusError, match=r"testlist01\.txt names 1 clip\(s\) that are not in .*'anger/2'"):
        ekman6.read(root)
