"""The clips that speed is measured on are what they claim."""

from pathlib import Path

import av
import numpy as np
import pytest
from benchmarks.clips import Clips, repeat

from emotrace.media import open_clip
from emotrace.types import AudioChunk
from tests.media_factory import talking_clip

SECONDS = 1.0


def test_the_talk_is_the_demo(tmp_path: Path) -> None:
    clip = Clips(tmp_path).talk(SECONDS)
    with open_clip(clip.path) as opened:
        assert (opened.info.width, opened.info.height, opened.info.frame_rate) == (640, 480, 25)
        assert opened.info.has_audio
        assert opened.info.duration_seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.slow
def test_the_phone_s_clip_gives_a_decoder_work(tmp_path: Path) -> None:
    clip = Clips(tmp_path).phone(2.0)
    with av.open(str(clip.path)) as opened:
        [video], [sound] = opened.streams.video, opened.streams.audio
        assert (video.width, video.height, float(video.average_rate or 0)) == (1920, 1080, 30.0)
        assert (video.codec_context.name, video.codec_context.profile) == ("h264", "High")
        assert sound.codec_context.name == "aac"
        pictures = list(opened.decode(video))
    assert {int(picture.pict_type) for picture in pictures} == {1, 2, 3}  # I, P and B
    assert 6 < clip.path.stat().st_size * 8 / 1e6 / 2.0 < 14
    first, last = (picture.to_ndarray(format="gray").astype(float) for picture in (pictures[0], pictures[-1]))
    wall = np.abs(first - last)[:200, :400]
    assert wall.mean() > 2  # the texture moves


@pytest.mark.parametrize("suffix", [".m4a", ".wav"])
def test_sound_alone_has_no_pictures_and_is_as_long_as_asked(tmp_path: Path, suffix: str) -> None:
    clip = Clips(tmp_path).sound(suffix, SECONDS)
    with open_clip(clip.path) as opened:
        assert (opened.info.has_audio, opened.info.has_video) == (True, False)
        heard = [chunk.samples for chunk in opened.read() if isinstance(chunk, AudioChunk)]
    assert len(np.concatenate(heard)) == pytest.approx(16_000 * SECONDS, rel=0.1)
    assert np.abs(np.concatenate(heard)).max() > 0.05


def test_a_repeated_clip_has_its_length_and_times_that_rise(tmp_path: Path) -> None:
    short = talking_clip(tmp_path / "short.mp4", seconds=2.0)
    repeat(short, tmp_path / "long.mp4", 7.0)
    with av.open(str(tmp_path / "long.mp4")) as opened:
        times = [frame.time for frame in opened.decode(video=0)]
    assert times == sorted(set(times))
    assert len(times) == pytest.approx(7.0 * 25, abs=2)


def test_a_clip_is_made_once_and_one_that_failed_is_not_there(tmp_path: Path) -> None:
    clips = Clips(tmp_path)
    first = clips.recorded(talking_clip(tmp_path / "mine.mp4"), 3.0)
    stamp = first.path.stat().st_mtime_ns
    assert clips.recorded(tmp_path / "mine.mp4", 3.0).path.stat().st_mtime_ns == stamp
    assert not first.is_generated
    (tmp_path / "broken.mp4").write_bytes(b"no media")
    with pytest.raises(av.FFmpegError):
        clips.recorded(tmp_path / "broken.mp4", 3.0)
    assert not list(first.path.parent.glob("broken*"))
