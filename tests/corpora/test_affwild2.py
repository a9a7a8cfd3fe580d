"""Aff-Wild2's annotations become arousal and valence on the clock of their videos, one person of two by halves."""

from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import affwild2
from emotrace.corpora.rated import RatedRecording
from emotrace.errors import CorpusError
from emotrace.features.extract import extract
from emotrace.features.faces import HaarDetector
from emotrace.recipe import Recipe
from tests.corpora.miniature_open import MOODS, write_affwild2

ONE_EACH = {"Train_Set": ("1-30-1280x720",), "Validation_Set": ("video4",)}


def annotation(root: Path, name: str = "1-30-1280x720") -> Path:
    return root / "VA_Set" / "Train_Set" / f"{name}.txt"


def by_name(root: Path) -> dict[str, RatedRecording]:
    return {each.name: each for each in affwild2.read(root)}


def test_splits_and_order_are_the_official_ones(tmp_path: Path) -> None:
    found = affwild2.read(write_affwild2(tmp_path))
    assert [(each.name, each.split) for each in found] == [
        ("1-30-1280x720", "train"),
        ("10-60-1280x720", "train"),
        ("10-60-1280x720_right", "train"),
        ("112", "train"),
        ("video55_left", "train"),
        ("video55_right", "train"),
        ("5-60-1920x1080-3", "validation"),
        ("video4", "validation"),
    ]
    assert {each.video.parent.name for each in found if each.video} == {"batch1", "batch2"}


def test_arousal_comes_first_and_unlabelled_frames_are_unknown(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, trials=ONE_EACH, unlabelled=(0, 7))
    annotation(root).write_text(annotation(root).read_text().replace("-5,-5", "-5,0.25", 1))
    labels = affwild2.read(root)[0].labels
    assert labels is not None
    assert (labels.shape, labels.dtype) == ((25, 2), np.dtype(np.float32))
    assert np.flatnonzero(np.isnan(labels).any(axis=1)).tolist() == [0, 7]
    assert np.isnan(labels[[0, 7]]).all()
    np.testing.assert_allclose(labels[1], MOODS[1])


def test_a_few_lines_more_or_less_than_frames_stretch_the_clock(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, trials=ONE_EACH, seconds=4.0)
    lines = annotation(root).read_text().splitlines()
    assert by_name(root)["1-30-1280x720"].label_rate_hz == pytest.approx(12.5)
    annotation(root).write_text("\n".join([*lines, lines[-1]]))
    assert by_name(root)["1-30-1280x720"].label_rate_hz == pytest.approx(51 / 4)
    annotation(root).write_text("\n".join(lines[:40]))
    with pytest.raises(CorpusError, match=r"has 39 lines for 4\.0 s at 12\.50 frames per second, expected about 50"):
        affwild2.read(root)


def test_two_people_of_one_video_are_read_by_halves(tmp_path: Path) -> None:
    found = by_name(write_affwild2(tmp_path))
    assert {name: each.half for name, each in found.items() if each.half} == {
        "10-60-1280x720": "left",
        "10-60-1280x720_right": "right",
        "video55_left": "left",
        "video55_right": "right",
    }
    assert found["video55_left"].video == found["video55_right"].video
    assert found["10-60-1280x720"].subject == found["10-60-1280x720_right"].subject == "affwild2-10-60-1280x720"


def test_a_video_cut_to_one_person_is_read_whole(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    [shared] = root.glob("batch*/video55.mp4")
    shared.rename(shared.with_name("video55_left.mp4"))
    (root / "batch1" / "video55_right.mp4").write_bytes(shared.with_name("video55_left.mp4").read_bytes())
    found = by_name(root)
    assert (found["video55_left"].half, found["video55_right"].half) == (None, None)
    assert found["video55_right"].video == root / "batch1" / "video55_right.mp4"


def test_the_person_asked_for_is_the_one_that_is_seen(tmp_path: Path) -> None:
    trials = {"Train_Set": ("video55_left", "video55_right"), "Validation_Set": ("video4",)}
    found = by_name(write_affwild2(tmp_path, clips=True, trials=trials))
    faces = []
    for side in ("left", "right"):
        with found[f"video55_{side}"].open() as source:
            assert source.info.width == 200
            (features,) = extract(source, Recipe(), HaarDetector())
        assert features.face_detected.mean() > 0.8
        assert features.speech.any()
        faces.append(features.face_crops.astype(np.float32).mean(axis=0))
    assert np.abs(faces[0] - faces[1]).max() > 15


def test_silent_videos_have_no_sound_to_open(tmp_path: Path) -> None:
    assert [each.audio for each in affwild2.read(write_affwild2(tmp_path, trials=ONE_EACH))] == [None, None]


@pytest.mark.parametrize("name", ["6th ABAW Annotations/VA_Estimation_Challenge", "annotations/VA_Set"])
def test_annotations_of_other_editions_are_found(name: str, tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    (root / name).parent.mkdir()
    (root / "VA_Set").rename(root / name)
    expressions = root / name.split("/")[0] / "EXPR_Set"
    for folder in ("Train_Set", "Validation_Set"):
        (expressions / folder).mkdir(parents=True)
    assert len(affwild2.read(root)) == 8


def test_links_back_up_and_cropped_pictures_are_not_followed(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, trials=ONE_EACH)
    (root / "batch1" / "back").symlink_to(root, target_is_directory=True)
    (root / "cropped_aligned" / "video4").mkdir(parents=True)
    (root / "cropped_aligned" / "video4" / "video4.mp4").touch()
    assert len(affwild2.read(root)) == 2


def test_six_folds_are_five_parts_of_training_in_order_and_validation() -> None:
    def named(count: int, split: str) -> list[RatedRecording]:
        return [RatedRecording(f"{split}{n:03d}", "s", split, None, None, 30.0, None) for n in range(count)]

    found = affwild2.folds([*named(70, "validation"), *reversed(named(351, "train"))])
    assert [len(fold) for fold in found] == [70, 70, 70, 70, 71, 70]
    assert [name for fold in found[:5] for name in fold] == [f"train{n:03d}" for n in range(351)]
    assert set(found[5]) == {f"validation{n:03d}" for n in range(70)}
    assert [len(fold) for fold in affwild2.folds([*named(76, "validation"), *named(356, "train")])] == [
        *[71, 71, 71, 71, 72],
        76,
    ]
    for recordings in (named(4, "train") + named(3, "validation"), named(10, "train")):
        with pytest.raises(CorpusError, match="cannot be cut into 6 folds"):
            affwild2.folds(recordings)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("arousal,valence\n0,0\n", "begins with 'arousal,valence', expected valence,arousal"),
        ("", "begins with ''"),
        ("valence,arousal\n", "no line of two numbers"),
        ("valence,arousal\n0,0,0\n", "no line of two numbers"),
        ("valence,arousal\n0,0\n0\n", "is not a table of numbers"),
        ("valence,arousal\n0,high\n", "is not a table of numbers"),
        ("valence,arousal\n0,0\n0,1.5\n", r"holds \[0\.0, 1\.5\] in row 1, expected numbers in \[-1, 1\] or -5"),
        ("valence,arousal\n0,nan\n", r"in row 0, expected numbers"),
        ("valence,arousal\n\udcff", "is not text"),
    ],
)
def test_damaged_annotations_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, trials=ONE_EACH)
    annotation(root).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CorpusError, match=rf"has 1 problem\(s\): .*1-30-1280x720\.txt .*{complaint}"):
        affwild2.read(root)


def test_all_problems_are_counted(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    for path in (root / "VA_Set").glob("*/*.txt"):
        path.write_text("nothing\n")
    with pytest.raises(CorpusError, match=r"has 8 problem\(s\): .* And 4 more\."):
        affwild2.read(root)


def test_what_is_missing_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no folder of annotations, expected one: --root must name .*VA_Set"):
        affwild2.read(tmp_path)
    root = write_affwild2(tmp_path, trials=ONE_EACH)
    [video] = root.glob("batch*/video4.mp4")
    video.rename(root / "other.mp4")
    with pytest.raises(CorpusError, match=r"There is no video video4\.mp4 or \.avi for .*video4\.txt: --root must"):
        affwild2.read(root)
    (root / "other.mp4").rename(video)
    (root / "video4.avi").touch()
    with pytest.raises(CorpusError, match="are called the same: keep one of the two"):
        affwild2.read(root)
    (root / "video4.avi").unlink()
    (root / "VA_Set" / "Validation_Set" / "1-30-1280x720.txt").touch()
    with pytest.raises(CorpusError, match=r"holds 1-30-1280x720\.txt, as the other set does"):
        affwild2.read(root)
    annotation(root).unlink()
    with pytest.raises(CorpusError, match=r"Train_Set holds no \.txt file"):
        affwild2.read(root)


def test_two_editions_of_annotations_are_refused(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, trials=ONE_EACH)
    write_affwild2(root / "old", trials=ONE_EACH)
    for video in (root / "old").glob("batch*/*"):
        video.unlink()
    with pytest.raises(CorpusError, match=r"VA_Set and .*VA_Set, expected one"):
        affwild2.read(root)
