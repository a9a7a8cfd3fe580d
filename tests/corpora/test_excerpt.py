"""An excerpt is the stretch and the side that was asked for, on a clock of its own, and nothing beyond it is read."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora.excerpt import Excerpt
from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.paired import PairedClip
from emotrace.corpora.rated import RatedRecording
from emotrace.errors import CorpusError, MediaError
from emotrace.features.extract import Source
from emotrace.media import ClipInfo, VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.types import AudioChunk, FloatArray
from tests.corpora.trees import write_sound
from tests.media_factory import talking_clip

RATE = 16_000


def read(source: Source, video_rate_hz: float | None = None) -> list[AudioChunk | VideoFrame]:
    return list(source.read(sample_rate=RATE, video_rate_hz=video_rate_hz))


def samples(items: list[AudioChunk | VideoFrame]) -> FloatArray:
    """Return the sound, which begins at time zero, to less than a sample, and has no gap."""
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    counts = np.cumsum([0, *(len(chunk.samples) for chunk in chunks)])
    offsets = [chunk.start_seconds * RATE - count for chunk, count in zip(chunks, counts[:-1], strict=True)]
    assert -1e-3 < min(offsets) <= max(offsets) < 1
    return np.concatenate([chunk.samples for chunk in chunks])


def pictures(items: list[AudioChunk | VideoFrame]) -> list[tuple[float, float]]:
    return [(item.time_seconds, float(item.grey().mean())) for item in items if isinstance(item, VideoFrame)]


def two_sides(path: Path, left: int = 60, right: int = 180, width: int = 64) -> Path:
    """Write ten pictures whose halves have two levels of red."""
    image = np.zeros((32, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = (left, 80, 80), (right, 80, 80)
    with ClipWriter(path, width=width, height=32, frame_rate=25) as writer:
        for index in range(10):
            writer.write_frame(index / 25, image)
    return path


class Counted:
    """A source that says how far it was read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info: ClipInfo = source.info
        self.read_seconds = 0.0

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        for item in self._source.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
            self.read_seconds = item.start_seconds if isinstance(item, AudioChunk) else item.time_seconds
            yield item


def test_a_stretch_holds_its_samples_and_its_pictures_from_time_zero_on(tmp_path: Path) -> None:
    with open_clip(talking_clip(tmp_path / "a.mp4", seconds=2.0)) as clip:
        whole = read(clip)
        part = read(Excerpt(clip, start_seconds=0.51, end_seconds=1.2))
    np.testing.assert_array_equal(samples(part), samples(whole)[round(0.51 * RATE) : round(1.2 * RATE)])
    expected = [(seconds - 0.51, level) for seconds, level in pictures(whole) if 0.51 <= seconds < 1.2 - 1e-6]
    np.testing.assert_allclose(pictures(part), expected)
    assert len(expected) == 17


def test_stretches_that_follow_each_other_make_up_the_whole(tmp_path: Path) -> None:
    with open_clip(talking_clip(tmp_path / "a.mp4", seconds=2.0)) as clip:
        whole = read(clip)
        edges = [0.0, 1 / 3, 0.84, 1.00003, None]
        parts = [
            read(Excerpt(clip, start_seconds=first, end_seconds=stop))
            for first, stop in pairwise(edges)
            if first is not None
        ]
    np.testing.assert_array_equal(np.concatenate([samples(part) for part in parts]), samples(whole))
    levels = [level for part in parts for _, level in pictures(part)]
    assert levels == [level for _, level in pictures(whole)]


def test_reading_ends_soon_after_the_stretch(tmp_path: Path) -> None:
    with open_clip(talking_clip(tmp_path / "a.mp4", seconds=6.0)) as clip:
        counted = Counted(clip)
        read(Excerpt(counted, start_seconds=0.5, end_seconds=1.0))
    assert 1.0 <= counted.read_seconds < 3.0


def test_a_track_that_ends_early_does_not_end_the_other(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", seconds=0.4)
    video = two_sides(tmp_path / "a.mp4")
    with open_clip(sound) as heard, open_clip(video) as seen:
        part = read(Excerpt(PairedClip(sound=heard, pictures=seen), start_seconds=0.1, end_seconds=0.35))
    assert len(samples(part)) == round(0.25 * RATE)
    assert [seconds for seconds, _ in pictures(part)] == pytest.approx([0.02, 0.06, 0.1, 0.14, 0.18, 0.22])


def test_sound_of_its_own_holds_the_clip_alone_and_is_not_cut(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", seconds=0.4)
    video = two_sides(tmp_path / "a.mp4")
    with LabelledClip("a", "a", "train", "anger", video, sound, start_seconds=0.1, end_seconds=0.35).open() as source:
        part = read(source)
    assert len(samples(part)) == round(0.4 * RATE)
    assert [seconds for seconds, _ in pictures(part)] == pytest.approx([0.02, 0.06, 0.1, 0.14, 0.18, 0.22])


@pytest.mark.parametrize(("half", "red"), [("left", 60), ("right", 180)])
@pytest.mark.parametrize("width", [64, 62])
def test_half_a_picture_shows_one_side_in_colour_and_in_grey(half: str, red: int, width: int, tmp_path: Path) -> None:
    with open_clip(two_sides(tmp_path / "a.mp4", width=width)) as clip:
        source = Excerpt(clip, half="left" if half == "left" else "right")
        frames = [item for item in read(source) if isinstance(item, VideoFrame)]
    assert len(frames) == 10
    assert (source.info.width, source.info.height) == (width // 2, 32)
    assert (frames[0].width, frames[0].height) == (width // 2, 32)
    # Away from the edge, which the colours of the video blur.
    assert np.median(frames[0].rgb()[:, :, 0]) == pytest.approx(red, abs=6)
    assert frames[0].rgb().shape == (32, width // 2, 3)
    assert np.median(frames[0].grey()) == pytest.approx(0.299 * red + 0.701 * 80, abs=4)


def test_the_middle_column_of_an_odd_width_belongs_to_neither_half() -> None:
    class Odd:
        info = ClipInfo(Path("odd"), None, False, True, 5, 2, None)

        def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
            yield VideoFrame.from_rgb(0.0, np.repeat(np.arange(5, dtype=np.uint8)[None, :, None], 3, 2).repeat(2, 0))

    sides = [read(Excerpt(Odd(), half=half))[0] for half in ("left", "right")]
    rows = [each.rgb()[0, :, 0].tolist() for each in sides if isinstance(each, VideoFrame)]
    assert rows == [[0, 1], [3, 4]]


def test_the_frames_of_the_source_keep_their_times(tmp_path: Path) -> None:
    with open_clip(two_sides(tmp_path / "a.mp4")) as clip:
        kept = read(clip)

    class Kept:
        info = clip.info

        def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
            return iter(kept)

    excerpt = Excerpt(Kept(), start_seconds=0.2)
    assert pictures(read(excerpt)) == pictures(read(excerpt))


def test_the_length_is_that_of_the_part(tmp_path: Path) -> None:
    with open_clip(talking_clip(tmp_path / "a.mp4", seconds=2.0)) as clip:
        assert clip.info.duration_seconds is not None
        whole = clip.info.duration_seconds
        assert Excerpt(clip, start_seconds=0.5, end_seconds=1.25).info.duration_seconds == pytest.approx(0.75)
        assert Excerpt(clip, start_seconds=0.5).info.duration_seconds == pytest.approx(whole - 0.5)
        assert Excerpt(clip, start_seconds=0.5, end_seconds=99).info.duration_seconds == pytest.approx(whole - 0.5)


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-0.1, 1.0), (float("nan"), 1.0), (0.0, float("nan"))]
)
def test_a_stretch_of_no_length_is_refused(start: float, end: float, tmp_path: Path) -> None:
    with (
        open_clip(write_sound(tmp_path / "a.wav")) as clip,
        pytest.raises(CorpusError, match=r"expected 0 <= start < end"),
    ):
        Excerpt(clip, start_seconds=start, end_seconds=end)


def test_a_stretch_beyond_the_end_is_refused_when_it_is_read(tmp_path: Path) -> None:
    with open_clip(write_sound(tmp_path / "a.wav")) as clip:
        beyond = Excerpt(clip, start_seconds=5.0, end_seconds=6.0)
        with pytest.raises(MediaError, match=r"a\.wav holds nothing from 5 to 6 s"):
            read(beyond)


def test_clips_and_recordings_open_what_they_name(tmp_path: Path) -> None:
    video = two_sides(tmp_path / "a.mp4")
    labels = np.zeros((3, 2), np.float32)
    clip = LabelledClip("a", "a", "train", "anger", video, video, start_seconds=0.2, half="left")
    recording = RatedRecording("a", "a", "train", video, video, 25.0, labels, half="right")
    for named, count, red in ((clip, 5, 60), (recording, 10, 180)):
        with named.open() as source:
            frames = [item for item in read(source) if isinstance(item, VideoFrame)]
        assert len(frames) == count
        assert np.median(frames[0].rgb()[:, :, 0]) == pytest.approx(red, abs=6)


def test_a_whole_clip_is_the_file_itself(tmp_path: Path) -> None:
    video = talking_clip(tmp_path / "a.mp4", seconds=0.4)
    with LabelledClip("a", "a", "train", "anger", video, video).open() as source, open_clip(video) as clip:
        assert pictures(read(source)) == pictures(read(clip))


def test_a_clip_without_any_file_is_refused() -> None:
    clip = LabelledClip("a", "a", "train", "anger", None, None)
    with pytest.raises(CorpusError, match="a has neither sound nor picture"), clip.open():
        pass
