"""RAVDESS as clips of voice and face: which files make a clip, and who stands in which split and fold."""

from collections import Counter
from pathlib import Path

import pytest

from emotrace.corpora import ravdess
from emotrace.errors import CorpusError
from emotrace.features.extract import Source
from emotrace.media import VideoFrame
from tests.corpora.miniature_acted import write_ravdess_av

STEM = "01-08-02-01-01-24"


def named_only(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_file_with_sound_and_pictures_is_preferred(tmp_path: Path) -> None:
    whole = tmp_path / "Video_Speech_Actor_24" / "Actor_24" / f"01-{STEM}.mp4"
    named_only(whole, whole.with_name(f"02-{STEM}.mp4"), tmp_path / "Actor_24" / f"03-{STEM}.wav")
    [clip] = ravdess.read_clips(tmp_path)
    assert (clip.video, clip.audio) == (whole, whole)
    assert (clip.name, clip.subject, clip.split, clip.label, clip.fold) == (STEM, "ravdess-24", "test", "surprise", 5)


def test_pictures_and_sound_of_two_archives_become_one_clip(tmp_path: Path) -> None:
    silent = tmp_path / "Video_Speech_Actor_24" / "Actor_24" / f"02-{STEM}.mp4"
    sound = tmp_path / "Audio_Speech_Actors_01-24" / "Actor_24" / f"03-{STEM}.wav"
    named_only(silent, sound)
    [clip] = ravdess.read_clips(tmp_path)
    assert (clip.video, clip.audio) == (silent, sound)


@pytest.mark.parametrize(
    ("name", "has_video", "has_audio"),
    [(f"03-{STEM}.flac", False, True), (f"03-{STEM}.WAV", False, True), (f"02-{STEM}.mp4", True, False)],
)
def test_a_clip_of_one_kind_of_file_has_only_that(name: str, has_video: bool, has_audio: bool, tmp_path: Path) -> None:
    named_only(tmp_path / name)
    [clip] = ravdess.read_clips(tmp_path)
    assert (clip.video is not None, clip.audio is not None) == (has_video, has_audio)


def test_an_archive_that_is_unpacked_twice_gives_every_clip_once(tmp_path: Path) -> None:
    write_ravdess_av(tmp_path / "a", clips=False)
    write_ravdess_av(tmp_path / "b", clips=False)
    clips = ravdess.read_clips(tmp_path)
    assert len(clips) == len({clip.name for clip in clips}) == 3 * 8 * 2
    assert clips == ravdess.read_clips(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        f"._01-{STEM}.mp4",  # what a Mac leaves behind
        "01-02-05-01-01-01-24.mp4",  # song
        "01-01-05-01-01-01-25.mp4",  # no such actor
        "01-01-09-01-01-01-24.mp4",  # no such emotion
        f"03-{STEM}.mp4",
        f"01-{STEM}.wav",
    ],
)
def test_other_files_are_refused_with_the_layout(name: str, tmp_path: Path) -> None:
    named_only(tmp_path / name)
    with pytest.raises(CorpusError, match=r"such as 01-01-05-02-01-01-24\.mp4: --root must name .* Actor_24"):
        ravdess.read_clips(tmp_path)


def test_an_empty_folder_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"--root must name the folder that holds Actor_01 \.\. Actor_24"):
        ravdess.read_clips(tmp_path)


def test_the_layout_fits_a_screen() -> None:
    assert 0 < len(ravdess.LAYOUT.splitlines()) <= 8


def test_splits_and_folds_go_by_actor(tmp_path: Path) -> None:
    clips = ravdess.read_clips(write_ravdess_av(tmp_path, clips=False, actors=range(1, 25), repetitions=1))
    folds = {int(clip.subject[-2:]): clip.fold for clip in clips}
    assert [[actor for actor in folds if folds[actor] == fold] for fold in range(6)] == [
        list(fold) for fold in ravdess.FOLDS
    ]
    assert Counter(clip.split for clip in clips) == {"train": 16 * 8, "validation": 4 * 8, "test": 4 * 8}
    assert all(clip.split == ravdess.split_of(int(clip.subject[-2:])) for clip in clips)


def test_the_miniature_has_two_clips_of_every_class_in_every_split(tmp_path: Path) -> None:
    clips = ravdess.read_clips(write_ravdess_av(tmp_path, clips=False))
    counts = Counter((clip.split, clip.label) for clip in clips)
    splits = ("train", "validation", "test")
    assert counts == {(split, label): 2 for split in splits for label in ravdess.CLASSES}


def test_a_clip_of_the_miniature_is_seen_and_heard(tmp_path: Path) -> None:
    write_ravdess_av(tmp_path, clips=True, actors=(1,), repetitions=1, seconds=0.4)
    clip = ravdess.read_clips(tmp_path)[0]
    with clip.open() as source:
        assert (source.info.has_video, source.info.has_audio) == (True, True)
        assert _num_pictures(source) == 5


def _num_pictures(source: Source) -> int:
    return sum(isinstance(item, VideoFrame) for item in source.read(sample_rate=16_000, video_rate_hz=None))


def test_ravdess_has_the_published_counts(data_root: Path) -> None:
    clips = ravdess.read_clips(data_root / "ravdess")
    assert len({clip.name for clip in clips}) == len(clips) == 1440
    assert Counter(clip.label for clip in clips) == {
        label: 96 if label == "neutral" else 192 for label in ravdess.CLASSES
    }
    assert set(Counter(clip.fold for clip in clips).values()) == {240}
    assert {clip.subject for clip in clips} == {each.speaker for each in ravdess.read(data_root / "ravdess")}
