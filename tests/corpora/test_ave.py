"""AVE is split by its lists; no video stands in two splits; the class of a clip holds while its event lasts."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import ave
from emotrace.corpora.labelled import LabelledClip, class_at
from emotrace.errors import CorpusError
from emotrace.features.extract import extract
from emotrace.features.whole_picture import WholePicture
from emotrace.recipe import Recipe
from emotrace.types import AudioChunk
from tests.corpora.miniature_ave import CATEGORIES, video_name, write_ave

NEW = "newVIDEO_-1"


def append(root: Path, name: str, line: str) -> None:
    with (root / name).open("a") as file:
        file.write(line + "\n")


def video_of(clip: LabelledClip) -> str:
    assert clip.video is not None
    return clip.video.stem


def splits_of(clips: list[LabelledClip], video: str) -> list[tuple[str, str]]:
    return [(clip.split, clip.label) for clip in clips if video_of(clip) == video]


def clip_of(root: Path, line: str) -> LabelledClip:
    (root / "AVE" / f"{NEW}.mp4").touch()
    append(root, "testSet.txt", line)
    [clip] = [each for each in ave.read(root) if video_of(each) == NEW]
    return clip


def test_the_lists_give_split_class_and_event(tmp_path: Path) -> None:
    clips = ave.read(write_ave(tmp_path / "ave"))
    assert Counter(clip.split for clip in clips) == {"train": 56, "validation": 28, "test": 28}
    assert list(dict.fromkeys(clip.label for clip in clips)) == list(ave.EVENTS) == list(CATEGORIES.values())
    assert (*ave.EVENTS, "background") == ave.CLASSES
    second = clips[1]
    assert (second.label, second.event_start_seconds, second.event_end_seconds) == ("church bell", 2.0, 7.0)
    assert second.video == second.audio == tmp_path / "ave" / "AVE" / f"{video_name(1)}.mp4"
    assert all(clip.whole_picture for clip in clips)


def test_names_are_unique_and_fit_for_files(tmp_path: Path) -> None:
    names = [clip.name for clip in ave.read(write_ave(tmp_path / "ave"))]
    assert len(set(names)) == len(names)
    assert all(name[0].isalpha() and name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_a_line_that_names_the_columns_is_passed_over(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    before = ave.read(root)
    for name in ("trainSet.txt", "valSet.txt", "testSet.txt"):
        text = (root / name).read_text()
        (root / name).write_text(f"Category&VideoID&Quality&StartTime&EndTime\r\n{text}\n", encoding="utf-8-sig")
    assert ave.read(root) == before


def test_a_video_with_two_events_gives_a_clip_for_each(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    append(root, "testSet.txt", f"Cat&{NEW}&good&0&3")
    append(root, "testSet.txt", f"Bark&{NEW}&good&2&9")
    append(root, "testSet.txt", f"Cat&{NEW}&good&5&6")
    (root / "AVE" / f"{NEW}.mp4").touch()
    found = [clip for clip in ave.read(root) if video_of(clip) == NEW]
    assert [clip.name for clip in found] == [f"cat-{NEW}", f"bark-{NEW}", f"cat-{NEW}-2"]
    assert [clip.event_start_seconds for clip in found] == [0, 2, 5]
    assert {clip.split for clip in found} == {"test"}


def test_a_video_of_two_lists_stands_where_it_is_judged(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    validated, tested = video_name(56), video_name(84)
    append(root, "trainSet.txt", f"Bark&{validated}&good&0&3")
    append(root, "trainSet.txt", f"Bark&{tested}&good&0&3")
    append(root, "valSet.txt", f"Goat&{tested}&good&0&3")
    clips = ave.read(root)
    assert splits_of(clips, validated) == [("validation", "church bell")]
    assert splits_of(clips, tested) == [("test", "church bell")]
    splits = {video_of(clip): set[str]() for clip in clips}
    for clip in clips:
        splits[video_of(clip)].add(clip.split)
    assert all(len(found) == 1 for found in splits.values())


def test_an_event_of_no_length_is_left_out(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    before = ave.read(root)
    append(root, "trainSet.txt", "Church bell&VWi2ENBuTbw&good&0&0")  # as published; its video is not asked for
    assert ave.read(root) == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("Cat&newVIDEO_-1&good&0&11", "the event lasts from 0 to 11 s, expected a stretch within 0 to 10 s"),
        ("Cat&newVIDEO_-1&good&7&3", "the event lasts from 7 to 3 s"),
        ("Cat&newVIDEO_-1&good&-1&3", "'Cat&newVIDEO_-1&good&-1&3' is not Category&VideoID&"),
        ("Cat&newVIDEO_-1&good&0&nan", "is not Category&VideoID&"),
        ("Cat&newVIDEO_-1&good&0&٣", "is not Category&VideoID&"),
        ("Cat&newVIDEO_-1&good&0", "is not Category&VideoID&"),
        ("Cat&newVIDEO_-1&good&0&3&4", "is not Category&VideoID&"),
        ("Cat&../../secret&good&0&3", "is not Category&VideoID&"),
        ("Cat&/etc/passwd&good&0&3", "is not Category&VideoID&"),
        ("Cat&..\\..\\boot0&good&0&3", "is not Category&VideoID&"),
        ("Cat&short&good&0&3", "is not Category&VideoID&"),
        ("Unicorn&newVIDEO_-1&good&0&3", "unknown category 'Unicorn', expected one of the 28"),
        ("background&newVIDEO_-1&good&0&3", "unknown category 'background'"),
    ],
)
def test_a_hostile_line_is_refused_with_its_place(line: str, complaint: str, tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    (root / "AVE" / f"{NEW}.mp4").touch()
    append(root, "testSet.txt", line)
    with pytest.raises(CorpusError, match=rf"testSet\.txt, line 29: .*{complaint}"):
        ave.read(root)


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    listed = root / "valSet.txt"
    listed.write_text("\n")
    with pytest.raises(CorpusError, match=r"valSet\.txt names no event"):
        ave.read(root)
    listed.write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="is not text"):
        ave.read(root)
    listed.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(CorpusError, match="is longer than"):
        ave.read(root)
    listed.unlink()
    with pytest.raises(CorpusError, match=r"valSet\.txt is missing: --root must name .* AVE, trainSet\.txt"):
        ave.read(root)
    with pytest.raises(CorpusError, match=r"gone/trainSet\.txt is missing: --root"):
        ave.read(tmp_path / "gone")


def test_missing_videos_are_counted(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave")
    for number in range(7):
        (root / "AVE" / f"{video_name(number)}.mp4").unlink()
    with pytest.raises(CorpusError, match=r"AVE lacks 7 of 112 videos, such as (\S{11}, ){5}\.\.\.: copy the corpus"):
        ave.read(root)


def test_the_class_holds_from_the_start_of_the_event_to_before_its_end(tmp_path: Path) -> None:
    clip = clip_of(write_ave(tmp_path / "ave"), f"Toilet flush&{NEW}&good&2&4")
    assert class_at(clip, np.arange(0, 6, dtype=np.float32)) == [
        *("background", "background"),
        *("toilet flush", "toilet flush"),
        *("background", "background"),
    ]
    assert class_at(clip, np.array([1.96, 2.0, 3.96, 4.0])) == ["background", *["toilet flush"] * 2, "background"]


def test_an_event_of_the_whole_clip_leaves_no_background(tmp_path: Path) -> None:
    clip = clip_of(write_ave(tmp_path / "ave"), f"Cat&{NEW}&good&0&10")
    assert class_at(clip, np.arange(0, 10, 0.04)) == ["cat"] * 250


def test_a_clip_without_an_event_has_no_class_by_time() -> None:
    clip = LabelledClip("a", "a", "train", "joy", None, None, event_start_seconds=1.0)
    with pytest.raises(CorpusError, match="a has no event with a start and an end"):
        class_at(clip, np.zeros(3))


def test_a_clip_is_seen_and_heard_where_its_event_is(tmp_path: Path) -> None:
    root = write_ave(tmp_path / "ave", clips=True, categories=["Bark"], seconds=8.0)
    clip = next(each for each in ave.read(root) if (each.event_start_seconds, each.event_end_seconds) == (2, 7))
    recipe = Recipe()
    with clip.open() as source:
        [block] = extract(source, recipe, WholePicture(recipe), block_seconds=20)
    assert len(block.face_crops) == 100  # one for every picture
    assert block.face_index.tolist() == [tick // 2 for tick in range(200)]
    shown = np.array(class_at(clip, np.arange(100) / 12.5)) == "bark"
    contrast = block.face_crops.std(axis=(1, 2))
    assert contrast[shown].min() > 10 * contrast[~shown].max()
    with clip.open() as source:
        chunks = [each for each in source.read(sample_rate=16_000, video_rate_hz=None) if isinstance(each, AudioChunk)]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert abs(chunks[0].start_seconds) < 0.1
    loud = samples[: 8 * 16_000].reshape(-1, 8_000).std(axis=1)  # of half seconds
    inside = np.array(class_at(clip, np.arange(16) / 2)) == "bark"
    assert loud[inside].min() > 5 * loud[~inside].max()
