"""A written clip comes back as it was, or nothing is left of it."""

import resource
from pathlib import Path

import numpy as np
import pytest

from emotrace.errors import MediaError
from emotrace.media import open_clip
from emotrace.media_writer import ClipWriter
from emotrace.types import Image
from tests.media_factory import Pictures, Sound, flat_images, tone, write_clip
from tests.media_readers import joined, levels, read_file, times

FRAME_TIMES = [index / 25 for index in range(15)]
LEVELS = [40 + 10 * index for index in range(15)]


def ramp(count: int, width: int = 96, height: int = 64) -> list[Image]:
    return flat_images([60 + 5 * index for index in range(count)], width, height)


def test_a_written_clip_comes_back_with_its_times(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    uneven = [0.0, 0.04, 0.1, 0.5, 0.54, 1.0]
    click = np.zeros(24_000, dtype=np.float32)
    click[8000:16_000] = tone(0.5, 440, 16_000)[0]
    with ClipWriter(path, width=95, height=63, frame_rate=25, sample_rate=16_000) as writer:
        for time, image in zip(uneven, ramp(6, 95, 63), strict=True):
            writer.write_frame(time, image)
        writer.write_audio(click[:10_000])
        writer.write_audio(click[10_000:])
    chunks, frames, problems = read_file(path)
    assert problems == ()
    np.testing.assert_allclose(times(frames), uneven, atol=1e-4)
    np.testing.assert_allclose(levels(frames), [60, 65, 70, 75, 80, 85], atol=3)
    onset = np.flatnonzero(np.abs(joined(chunks)) > 0.2)[0] / 16_000
    assert onset == pytest.approx(0.5, abs=0.005)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_copied_sound_stays_at_its_times_and_in_stereo(tmp_path: Path) -> None:
    left_only = np.concatenate([tone(0.5, 440), np.zeros((1, 24_000), np.float32)])
    source = write_clip(
        tmp_path / "source.mkv",
        pictures=Pictures(flat_images(LEVELS), FRAME_TIMES),
        sounds=[
            Sound(left_only, codec="pcm_s16le", start_seconds=0.2, layout="stereo"),
            Sound(left_only, codec="pcm_s16le", start_seconds=1.1, layout="stereo"),
        ],
    )
    with ClipWriter(tmp_path / "copy.mp4", width=96, height=64, frame_rate=25, sound_of=source) as writer:
        for time, image in zip(FRAME_TIMES, ramp(15), strict=True):
            writer.write_frame(time, image)
    with open_clip(tmp_path / "copy.mp4") as clip:
        stereo = np.concatenate([chunk.samples for chunk in clip.read_stereo()])
    loud = np.abs(stereo[:, 0]) > 0.3
    assert np.flatnonzero(loud)[0] / 48_000 == pytest.approx(0.2, abs=0.005)
    assert np.flatnonzero(loud)[-1] / 48_000 == pytest.approx(1.6, abs=0.005)
    assert not loud[35_000:52_000].any()
    assert np.abs(stereo[:, 1]).max() < 0.05


def test_an_error_leaves_neither_a_file_nor_a_part_of_one(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("the old one")

    def interrupted() -> None:
        with ClipWriter(path, width=96, height=64, frame_rate=25, sample_rate=16_000) as writer:
            writer.write_frame(0.0, ramp(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_text() == "the old one"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the same way."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), dtype=np.uint8)

    def write() -> None:
        with ClipWriter(tmp_path / "out.mp4", width=96, height=64, frame_rate=25) as writer:
            for index, image in enumerate(noise):
                writer.write_frame(index / 25, image)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(MediaError, match=r"out\.mp4 cannot be written: .* Check the space"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"cannot be written: .* Choose another folder"):
        ClipWriter(tmp_path / "missing" / "out.mp4", width=96, height=64, frame_rate=25)


def test_the_writer_refuses_a_time_that_does_not_rise_and_a_picture_of_another_size(tmp_path: Path) -> None:
    with ClipWriter(tmp_path / "out.mp4", width=96, height=64, frame_rate=25) as writer:
        writer.write_frame(0.0, ramp(1)[0])
        with pytest.raises(ValueError, match="does not come after"):
            writer.write_frame(0.0, ramp(1)[0])
        with pytest.raises(ValueError, match="a picture of 40x64"):
            writer.write_frame(1.0, ramp(1, 40)[0])
        with pytest.raises(ValueError, match="only a clip that is started with sample_rate"):
            writer.write_audio(np.zeros(100, np.float32))
