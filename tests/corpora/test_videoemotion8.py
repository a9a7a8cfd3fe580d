"""VideoEmotion-8 is split ten times by the names of its clips, or by lists where they are there."""

from collections import Counter
from pathlib import Path

import pytest

from emotrace.corpora import videoemotion8
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError, SettingsError
from tests.corpora.miniature_open import VIDEOEMOTION8_FOLDERS, write_videoemotion8


def splits(clips: list[LabelledClip]) -> dict[str, str]:
    return {clip.name: clip.split for clip in clips}


def key(clip: LabelledClip) -> str:
    assert clip.video is not None
    return f"{clip.video.parent.name}/{clip.video.stem}"


def write_lists(root: Path, train: list[str], test: list[str], number: int = 1) -> None:
    root.mkdir(exist_ok=True)
    (root / f"trainlist{number:02d}.txt").write_text("\n".join(train) + "\n")
    (root / f"testlist{number:02d}.txt").write_text("\n".join(test) + "\n")


def halves(root: Path) -> tuple[list[str], list[str]]:
    keys = sorted(key(clip) for clip in videoemotion8.read(root))
    return keys[::2], keys[1::2]


@pytest.mark.parametrize("draw", [0, 9])
def test_a_third_of_every_class_is_tested_on_and_a_sixth_of_the_rest_validates(draw: int, tmp_path: Path) -> None:
    clips = videoemotion8.read(write_videoemotion8(tmp_path, count=18), draw)
    assert tuple(dict.fromkeys(clip.label for clip in clips)) == videoemotion8.CLASSES
    for label in videoemotion8.CLASSES:
        assert Counter(clip.split for clip in clips if clip.label == label) == {"train": 10, "validation": 2, "test": 6}


def test_ten_draws_differ_and_each_is_always_the_same(tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    drawn = [splits(videoemotion8.read(root, draw)) for draw in range(10)]
    assert drawn == [splits(videoemotion8.read(root, draw)) for draw in range(10)]
    assert len({tuple(sorted(each.items())) for each in drawn}) == 10
    tested = Counter(name for each in drawn for name, split in each.items() if split == "test")
    assert len(tested) > 0.9 * len(drawn[0])  # over the draws, nearly every clip is tested on


@pytest.mark.parametrize("draw", [-1, 10])
def test_there_are_ten_draws(draw: int, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"draw is {draw}: expected 0 to 9"):
        videoemotion8.read(tmp_path, draw)


def test_names_are_unique_and_fit_for_files(tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    for stem in ("Sad^Song.wmv", "Sad=Song.wmv", "S" * 200):
        (root / "Sadness" / f"{stem}.mp4").touch()
    names = [clip.name for clip in videoemotion8.read(root)]
    assert len({name.lower() for name in names}) == len(names)
    assert all(name.replace("-", "").replace("_", "").isalnum() and len(name) < 120 for name in names)


def test_a_clip_under_two_classes_is_left_out(tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    before = len(videoemotion8.read(root))
    for folder in ("Disgust", "Fear"):
        (root / folder / "3527012618_7ceb8fb27b_700.mp4").touch()
    clips = videoemotion8.read(root)
    assert len(clips) == before
    assert not any("3527012618" in clip.name for clip in clips)
    train, test = halves(root)
    doubtful = [f"{folder}/3527012618_7ceb8fb27b_700" for folder in ("Disgust", "Fear")]
    write_lists(root, [*train, *doubtful], test)
    assert not any("3527012618" in clip.name for clip in videoemotion8.read(root))


def test_clips_without_sound_stay(tmp_path: Path) -> None:
    clips = videoemotion8.read(write_videoemotion8(tmp_path, clips=True, count=3, silent=1, seconds=0.24))
    assert len(clips) == 3 * len(VIDEOEMOTION8_FOLDERS)
    heard = []
    for clip in clips:
        with clip.open() as source:
            assert source.info.has_video
            heard.append(source.info.has_audio)
    assert Counter(heard) == {True: 16, False: 8}


@pytest.mark.parametrize("place", [".", "annotations"])
def test_lists_are_followed_and_what_they_leave_out_is_left_out(place: str, tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    (root / "Anger" / "Talk(2013).wmv.mp4").touch()  # lists name it with one of its two suffixes
    (root / "Anger" / "unlisted.mp4").touch()
    train, test = halves(root)
    train, test = ([each for each in names if "unlisted" not in each] for names in (train, test))
    write_lists(root / place, [f"{each} 3" for each in train], [f"{each}.mp4" for each in test], number=4)
    clips = videoemotion8.read(root, 3)
    assert {key(clip) for clip in clips if clip.split == "test"} == set(test)
    assert {key(clip) for clip in clips if clip.split in ("train", "validation")} == set(train)
    assert {clip.label for clip in clips if clip.split == "validation"} == set(videoemotion8.CLASSES)
    assert "Anger/unlisted" in {key(clip) for clip in videoemotion8.read(root, 2)}  # which has no lists


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("Anger/gone", r"names 1 clip\(s\) that are not in .*'anger/gone'"),
        ("../Anger", "line 1: '../Anger' is not CLASS/NAME"),
        ("/etc/passwd", "is not CLASS/NAME"),
        ("Anger/..", "is not CLASS/NAME"),
        ("Anger/../Fear/x", "is not CLASS/NAME"),
        ("Anger", "is not CLASS/NAME"),
    ],
)
def test_a_list_that_leads_elsewhere_is_refused(line: str, complaint: str, tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    train, test = halves(root)
    write_lists(root, [line, *train], test)
    with pytest.raises(CorpusError, match=complaint):
        videoemotion8.read(root)


def test_lists_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path)
    train, test = halves(root)
    write_lists(root, train, [*test, train[0]])
    with pytest.raises(CorpusError, match=r"stands in both lists"):
        videoemotion8.read(root)
    write_lists(root, train, [each for each in test if not each.startswith("Trust")])
    with pytest.raises(CorpusError, match=r"testlist01\.txt names no clip of trust"):
        videoemotion8.read(root)
    (root / "testlist01.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="is not text"):
        videoemotion8.read(root)
    (root / "testlist01.txt").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(CorpusError, match="is longer than"):
        videoemotion8.read(root)
    (root / "testlist01.txt").unlink()
    with pytest.raises(CorpusError, match=r"testlist01\.txt is missing beside its other half"):
        videoemotion8.read(root)


def test_what_is_missing_is_named_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"found no folder at all: --root must name .* Anger, Anticipation .. Trust"):
        videoemotion8.read(tmp_path)
    with pytest.raises(CorpusError, match=r"gone is missing: --root must name"):
        videoemotion8.read(tmp_path / "gone")
    root = write_videoemotion8(tmp_path)
    (root / "Trust").rename(root / "Mistrust")
    with pytest.raises(CorpusError, match=r"holds no folder trust, found Anger, .*Mistrust"):
        videoemotion8.read(root)


def test_too_few_clips_of_a_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="There is one clip of anger left"):
        videoemotion8.read(write_videoemotion8(tmp_path, count=2))
