"""CREMA-D: which files make a clip, whose votes it has, and who stands in which split and fold."""

from collections import Counter
from pathlib import Path

import pytest

from emotrace.corpora import cremad
from emotrace.errors import CorpusError
from emotrace.media import VideoFrame
from emotrace.types import AudioChunk
from tests.corpora.miniature_acted import write_cremad

HEADER = '"","A","D","F","H","N","S","fileName","numResponses"'


def named_only(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_votes(root: Path, *rows: str, header: str = HEADER) -> None:
    table = root / "processedResults" / "tabulatedVotes.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text("\n".join((header, *rows)) + "\n")


def test_a_clip_has_the_pictures_of_the_video_and_the_sound_of_the_wav(tmp_path: Path) -> None:
    video, sound = tmp_path / "VideoFlash" / "1005_IEO_FEA_LO.flv", tmp_path / "AudioWAV" / "1005_IEO_FEA_LO.wav"
    named_only(video, sound)
    [clip] = cremad.read(tmp_path)
    assert (clip.video, clip.audio) == (video, sound)
    assert (clip.name, clip.subject, clip.split, clip.label, clip.fold, clip.votes) == (
        "1005_IEO_FEA_LO",
        "cremad-1005",
        "test",
        "fear",
        4,
        (),
    )


def test_a_clip_of_one_folder_has_what_that_holds(tmp_path: Path) -> None:
    video, sound = tmp_path / "VideoFlash" / "1001_IEO_FEA_LO.flv", tmp_path / "AudioWAV" / "1002_IEO_FEA_LO.wav"
    named_only(video, sound)
    first, second = cremad.read(tmp_path)
    assert (first.video, first.audio) == (video, video)
    assert (second.video, second.audio) == (None, sound)


def test_the_one_clip_that_was_named_wrongly_joins_its_video(tmp_path: Path) -> None:
    named_only(tmp_path / "VideoFlash" / "1040_ITH_SAD_XX.flv", tmp_path / "AudioWAV" / "1040_ITH_SAD_X.wav")
    [clip] = cremad.read(tmp_path)
    assert clip.name == "1040_ITH_SAD_XX"
    assert clip.video is not None
    assert clip.audio == tmp_path / "AudioWAV" / "1040_ITH_SAD_X.wav"


def test_damaged_clips_are_left_out(tmp_path: Path) -> None:
    named_only(*(tmp_path / "VideoFlash" / f"{name}.flv" for name in (*cremad.DAMAGED, "1076_MTI_ANG_XX")))
    assert [clip.name for clip in cremad.read(tmp_path)] == ["1076_MTI_ANG_XX"]


@pytest.mark.parametrize(
    "name",
    [
        "holiday.wav",
        "._1001_IEO_FEA_LO.wav",
        "1092_IEO_FEA_LO.wav",
        "1001_IEO_JOY_LO.wav",
        "1001_IEO_FEA.wav",
        "1076_MTI_SAD_XX.wav",
    ],
)
def test_other_files_are_refused_with_the_layout(name: str, tmp_path: Path) -> None:
    named_only(tmp_path / "AudioWAV" / name)
    with pytest.raises(CorpusError, match=r"such as 1001_DFA_ANG_XX\.flv: --root must name .* VideoFlash and AudioWAV"):
        cremad.read(tmp_path)


def test_an_empty_folder_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="--root must name the folder that holds VideoFlash and AudioWAV"):
        cremad.read(tmp_path)


def test_the_layout_fits_a_screen() -> None:
    assert 0 < len(cremad.LAYOUT.splitlines()) <= 8


def test_splits_and_folds_cover_all_actors() -> None:
    assert Counter(map(cremad.split_of, cremad.ACTORS)) == {"train": 55, "validation": 18, "test": 18}
    assert Counter(map(cremad.fold_of, cremad.ACTORS)) == {0: 19, 1: 18, 2: 18, 3: 18, 4: 18}
    assert [actor for actor in cremad.ACTORS if cremad.split_of(actor) == "test"] == list(range(1005, 1091, 5))


def test_votes_are_those_on_sound_and_pictures_in_the_order_of_the_classes(tmp_path: Path) -> None:
    named_only(tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv", tmp_path / "VideoFlash" / "1001_DFA_SAD_XX.flv")
    write_votes(
        tmp_path,
        '"100062",9,9,9,9,9,9,"1001_DFA_ANG_XX",54',
        '"300062",1,2,3,4,5,6,"1001_DFA_ANG_XX",21',
        '"200062",8,8,8,8,8,8,"1001_DFA_ANG_XX",48',
        '"307442",0,0,0,0,0,7,"1091_DFA_SAD_XX",7',
    )
    anger, sadness = cremad.read(tmp_path)
    assert dict(zip(cremad.CLASSES, anger.votes, strict=True)) == {
        "anger": 1,
        "disgust": 2,
        "fear": 3,
        "happiness": 4,
        "neutral": 5,
        "sadness": 6,
    }
    assert sadness.votes == ()


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ('"300062",1,2,3,4,5', HEADER),
        ('"300062",1,2,3,4,5,many,"1001_DFA_ANG_XX",21', HEADER),
        ('"300062",1,2,3,4,5,-6,"1001_DFA_ANG_XX",21', HEADER),
        ('"300062",1,2,3,4,5,99999999,"1001_DFA_ANG_XX",21', HEADER),
        ('"clip",1,2,3,4,5,6,"1001_DFA_ANG_XX",21', HEADER),
        ('"300062",1,2,3,4,5,6,"1001_DFA_ANG_XX",21', HEADER.replace("fileName", "name")),
        ('"300062",1,2,3,4,5,6,"1001_DFA_ANG_XX",21', HEADER.replace('"S"', '"sad"')),
        ("oid sha256:0123456789abcdef", "version https://git-lfs.github.com/spec/v1"),
    ],
)
def test_a_damaged_table_of_votes_is_refused(row: str, header: str, tmp_path: Path) -> None:
    named_only(tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv")
    write_votes(tmp_path, row, header=header)
    with pytest.raises(CorpusError, match=r"tabulatedVotes\.csv is not the table of votes .*or remove the table"):
        cremad.read(tmp_path)


def test_a_table_of_votes_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cremad(tmp_path, clips=False)
    monkeypatch.setattr(cremad, "MAX_TABLE_BYTES", 100)
    with pytest.raises(CorpusError, match="at most 100 expected"):
        cremad.read(tmp_path)


def test_the_miniature_has_two_clips_of_every_class_in_every_split(tmp_path: Path) -> None:
    clips = cremad.read(write_cremad(tmp_path, clips=False))
    assert clips == cremad.read(tmp_path)
    counts = Counter((clip.split, clip.label) for clip in clips)
    splits = ("train", "validation", "test")
    assert counts == {(split, label): 2 for split in splits for label in cremad.CLASSES}
    assert all(clip.votes[cremad.CLASSES.index(clip.label)] >= 4 for clip in clips)
    assert len({clip.name for clip in clips}) == len(clips)


def test_a_clip_of_the_miniature_is_seen_and_heard(tmp_path: Path) -> None:
    write_cremad(tmp_path, clips=True, actors=(1001,), sentences=("DFA",), seconds=0.4)
    with cremad.read(tmp_path)[0].open() as source:
        items = list(source.read(sample_rate=16_000, video_rate_hz=None))
    assert sum(isinstance(item, VideoFrame) for item in items) == 5
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) == 6400
