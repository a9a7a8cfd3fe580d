"""A rated recording is read from one file or from two of the same time, and its labels are arousal and valence."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora.rated import RatedRecording, check_labels, of_split
from emotrace.errors import CorpusError, MediaError
from emotrace.media import ClipInfo, VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.types import AudioChunk, FloatArray
from tests.corpora.trees import write_sound
from tests.media_factory import talking_clip

RATE = 16_000


def silent_clip(path: Path, seconds: float = 0.8) -> Path:
    with ClipWriter(path, width=32, height=24, frame_rate=25) as writer:
        for index in range(round(seconds * 25)):
            writer.write_frame(index / 25, np.full((24, 32, 3), 40 + 8 * index, np.uint8))
    return path


def recording(
    video: Path | None, audio: Path | None, *, split: str = "train", labels: FloatArray | None = None
) -> RatedRecording:
    return RatedRecording("a", "ann", split, video, audio, label_rate_hz=25.0, labels=labels)


def read(each: RatedRecording, video_rate_hz: float | None = None) -> tuple[ClipInfo, list[AudioChunk | VideoFrame]]:
    with each.open() as source:
        return source.info, list(source.read(sample_rate=RATE, video_rate_hz=video_rate_hz))


def start_of(item: AudioChunk | VideoFrame) -> float:
    return item.start_seconds if isinstance(item, AudioChunk) else item.time_seconds


def samples(items: list[AudioChunk | VideoFrame]) -> FloatArray:
    return np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])


def pictures(items: list[AudioChunk | VideoFrame]) -> list[tuple[float, float]]:
    return [(item.time_seconds, float(item.grey().mean())) for item in items if isinstance(item, VideoFrame)]


@pytest.mark.parametrize("named", ["video", "both"])
def test_a_video_alone_is_read_as_it_is(named: str, tmp_path: Path) -> None:
    path = talking_clip(tmp_path / "a.mp4", seconds=0.6)
    info, items = read(recording(path, path if named == "both" else None))
    with open_clip(path) as clip:
        alone = list(clip.read(sample_rate=RATE))
    assert (info.has_audio, info.has_video) == (True, True)
    assert [start_of(item) for item in items] == [start_of(item) for item in alone]
    np.testing.assert_array_equal(samples(items), samples(alone))


def test_sound_alone_has_no_pictures(tmp_path: Path) -> None:
    info, items = read(recording(None, write_sound(tmp_path / "a.wav")))
    assert (info.has_audio, info.has_video) == (True, False)
    assert len(samples(items)) == round(0.6 * RATE)
    assert pictures(items) == []


def test_sound_and_pictures_of_two_files_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    sound, video = write_sound(tmp_path / "a.wav", seconds=1.0), silent_clip(tmp_path / "a.mp4")
    info, items = read(recording(video, sound))
    assert (info.path, info.has_audio, info.has_video, info.width) == (video, True, True, 32)
    starts = [start_of(item) for item in items]
    assert starts == sorted(starts)
    kinds = [isinstance(item, AudioChunk) for item in items]
    assert sum(one != other for one, other in pairwise(kinds)) > 4  # not one after the other
    np.testing.assert_array_equal(samples(items), samples(read(recording(None, sound))[1]))
    assert pictures(items) == pictures(read(recording(video, None))[1])
    assert len(pictures(items)) == 20


def test_pictures_go_on_after_the_sound_has_ended(tmp_path: Path) -> None:
    _, items = read(recording(silent_clip(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", seconds=0.2)))
    assert len(samples(items)) == round(0.2 * RATE)
    assert pictures(items)[-1][0] == pytest.approx(0.76, abs=1e-3)


def test_only_the_sound_of_the_sound_file_is_heard(tmp_path: Path) -> None:
    talking, sound = talking_clip(tmp_path / "a.mp4", seconds=0.6), write_sound(tmp_path / "a.wav")
    _, items = read(recording(talking, sound))
    np.testing.assert_array_equal(samples(items), samples(read(recording(None, sound))[1]))
    assert len(pictures(items)) == 15


def test_the_rate_of_pictures_is_kept_and_two_readings_give_the_same(tmp_path: Path) -> None:
    both = recording(silent_clip(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav"))
    with both.open() as source:
        first, second = (list(source.read(sample_rate=RATE, video_rate_hz=5)) for _ in range(2))
    assert [start_of(item) for item in first] == [start_of(item) for item in second]
    assert [seconds for seconds, _ in pictures(first)] == pytest.approx([0, 0.2, 0.4, 0.6], abs=1e-3)


def test_a_recording_without_any_file_is_refused() -> None:
    with pytest.raises(CorpusError, match="a has neither sound nor picture"):
        read(recording(None, None))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav")
    with pytest.raises(MediaError, match=r"gone\.mp4 does not exist"):
        read(recording(tmp_path / "gone.mp4", sound))


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_labels_up_to_one_are_taken(shape: tuple[int, ...]) -> None:
    check_labels(np.ones(shape, np.float32), "here")
    check_labels(-np.ones(shape, np.float32), "here")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((0, 2)), "here holds no row of labels"),
        ([0, np.nan, np.nan], r"here has no number in row 1 \(2 such rows\)"),
        ([[0, 0], [0, 0], [np.inf, 0]], r"here has no number in row 2 \(1 such rows\)"),
        ([[0, 0], [0, -1.5]], r"here holds \[0.0, -1.5\] in row 1, expected numbers in \[-1, 1\]"),
    ],
)
def test_labels_that_are_none_are_refused_by_row(values: FloatArray, complaint: str) -> None:
    with pytest.raises(CorpusError, match=complaint):
        check_labels(np.asarray(values, np.float32), "here")


def test_a_split_holds_its_labelled_recordings_only() -> None:
    labels = np.zeros((3, 2), np.float32)
    train = [recording(None, None, labels=labels) for _ in range(2)]
    hidden, test = recording(None, None), recording(None, None, split="test", labels=labels)
    assert of_split([test, train[0], hidden, train[1]], "train") == train
    with pytest.raises(CorpusError, match=r"test split holds 1 labelled recording\(s\); expected two"):
        of_split([test, *train], "test")
    with pytest.raises(CorpusError, match=r"holds 1 labelled recording\(s\), 1 more without labels"):
        of_split([train[0], hidden], "train")
