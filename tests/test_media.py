"""Media files come back as the pictures and the sound that were put in, at the times where they were put."""

import resource
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from emotrace import media_picture
from emotrace.media import VideoFrame, open_clip
from emotrace.types import AudioChunk
from tests.media_factory import Pictures, Sound, flat_images, talking_clip, tone, write_clip
from tests.media_readers import end_of, joined, levels, read_all, read_file, starts_of_runs, strongest_hertz, times

FRAME_TIMES = [index / 25 for index in range(15)]
LEVELS = [40 + 10 * index for index in range(15)]


@pytest.mark.parametrize(
    ("name", "video_codec", "audio_codec", "pixel_format"),
    [
        ("clip.mp4", "libx264", "aac", "yuv420p"),
        ("clip.mov", "libx265", "pcm_s16le", "yuv420p"),
        ("clip.mov", "mjpeg", "aac", "yuvj420p"),
        ("clip.mkv", "libx264", "libopus", "yuv420p10le"),
        ("clip.webm", "libvpx-vp9", "libopus", "yuv420p"),
        ("clip.mp4", "libsvtav1", "libmp3lame", "yuv420p"),
        ("clip.avi", "mpeg4", "pcm_s16le", "yuv420p"),
        ("clip.avi", "libx264", "pcm_s16le", "yuv420p"),
        ("clip.flv", "libx264", "aac", "yuv420p"),
        ("clip.ts", "libx264", "aac", "yuv420p"),
    ],
)
def test_pictures_and_sound_come_back_from_every_container_and_codec(
    tmp_path: Path, name: str, video_codec: str, audio_codec: str, pixel_format: str
) -> None:
    pictures = Pictures(flat_images(LEVELS), FRAME_TIMES, video_codec, pixel_format)
    path = write_clip(tmp_path / name, pictures=pictures, sounds=[Sound(tone(0.6), codec=audio_codec)])

    chunks, frames, problems = read_file(path)

    # flv and ts have no edit list: the 1024 priming samples of the encoder are heard first
    delay = 1024 / 48_000 if name in ("clip.flv", "clip.ts") else 0.0
    assert problems == ()
    np.testing.assert_allclose(times(frames), np.add(FRAME_TIMES, delay), atol=0.001)
    np.testing.assert_allclose(levels(frames), LEVELS, atol=6)
    assert starts_of_runs(chunks) == [0.0]
    assert end_of(chunks) == pytest.approx(0.6 + delay, abs=0.04)
    assert strongest_hertz(joined(chunks)) == pytest.approx(440, abs=2)


def test_the_display_matrix_is_read_once_where_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the side data of a picture leaves memory behind in PyAV: 50 MB in half an hour of video."""
    looks: list[object] = []
    read = media_picture.Orientation.of

    def counted(picture: av.VideoFrame) -> media_picture.Orientation:
        looks.append(picture)
        return read(picture)

    monkeypatch.setattr(media_picture.Orientation, "of", counted)
    with open_clip(talking_clip(tmp_path / "talk.mp4", seconds=2.0)) as clip:
        pictures = [item for item in clip.read() if isinstance(item, VideoFrame)]
    assert len(pictures) == 50
    assert len(looks) <= 2  # one for the size, one for the pictures


def test_h264_with_b_frames_in_avi_keeps_its_order_and_times(tmp_path: Path) -> None:
    options = {"bf": "2", "b_strategy": "0"}
    pictures = Pictures(flat_images(LEVELS), FRAME_TIMES, options=options)
    _, frames, problems = read_file(write_clip(tmp_path / "b.avi", pictures=pictures))
    np.testing.assert_allclose(times(frames), FRAME_TIMES, atol=1e-6)
    assert problems == ()


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.mp3", "libmp3lame"),
        ("a.m4a", "aac"),
        ("a.flac", "flac"),
        ("a.ogg", "libopus"),
    ],
)
def test_an_audio_only_file_has_sound_and_no_pictures(tmp_path: Path, name: str, codec: str) -> None:
    path = write_clip(tmp_path / name, sounds=[Sound(tone(1.0), codec=codec)])
    with open_clip(path) as clip:
        chunks, frames = read_all(clip)
    assert (clip.info.has_audio, clip.info.has_video, clip.info.width) == (True, False, 0)
    assert frames == []
    assert end_of(chunks) == pytest.approx(1.0, abs=0.06)
    assert strongest_hertz(joined(chunks)) == pytest.approx(440, abs=2)


def test_a_silent_video_has_pictures_and_no_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "silent.mp4", pictures=Pictures(flat_images(LEVELS), FRAME_TIMES))
    with open_clip(path) as clip:
        chunks, frames = read_all(clip)
    assert (clip.info.has_audio, clip.info.has_video) == (False, True)
    assert (len(chunks), len(frames)) == (0, 15)


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    mp3 = write_clip(tmp_path / "plain.mp3", sounds=[Sound(tone(0.5), codec="libmp3lame")]).read_bytes()
    jpeg = write_clip(tmp_path / "cover.jpg", pictures=Pictures(flat_images([99]), [0.0], "mjpeg", "yuvj420p"))
    picture = b"\0image/jpeg\0\3\0" + jpeg.read_bytes()
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
    covered = tmp_path / "covered.mp3"
    covered.write_bytes(b"ID3\3\0\0" + size + frame + mp3[mp3.index(b"\xff\xfb") :])
    with open_clip(covered) as clip:
        chunks, frames = read_all(clip)
    assert not clip.info.has_video
    assert frames == []
    assert chunks


def test_reading_again_gives_the_same(tmp_path: Path) -> None:
    with open_clip(talking_clip(tmp_path / "clip.mp4", 0.4)) as clip:
        first, again = read_all(clip), read_all(clip)
    np.testing.assert_array_equal(joined(first[0]), joined(again[0]))
    assert times(first[1]) == times(again[1])


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    uneven = [0.0, 0.04, 0.05, 0.3, 0.31, 0.9, 1.5, 1.54]
    pictures = Pictures(flat_images(LEVELS[:8]), uneven)
    _, frames, problems = read_file(write_clip(tmp_path / "uneven.mp4", pictures=pictures))
    np.testing.assert_allclose(times(frames), uneven, atol=1e-6)
    assert problems == ()


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(12.5, [0.0, 0.1, 0.2, 0.9, 1.5]), (10.0, [0.0, 0.1, 0.2, 0.9, 1.5]), (1.0, [0.0, 1.5]), (1000.0, None)],
)
def test_frames_are_chosen_by_time_at_the_wanted_rate(tmp_path: Path, rate: float, wanted: list[float] | None) -> None:
    uneven = [0.0, 0.03, 0.1, 0.13, 0.2, 0.21, 0.9, 0.91, 0.95, 1.5]
    path = write_clip(tmp_path / "uneven.mp4", pictures=Pictures(flat_images(LEVELS[:10]), uneven))
    with open_clip(path) as clip:
        frames = read_all(clip, video_rate_hz=rate)[1]
    np.testing.assert_allclose(times(frames), uneven if wanted is None else wanted, atol=1e-6)


def test_late_sound_starts_late(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "late.mkv",
        pictures=Pictures(flat_images(LEVELS), FRAME_TIMES),
        sounds=[Sound(tone(0.6), start_seconds=0.5, codec="pcm_s16le")],
    )
    chunks, frames, _ = read_file(path)
    assert starts_of_runs(chunks) == pytest.approx([0.5], abs=0.001)
    assert frames[0].time_seconds == 0.0


def test_late_pictures_start_late(tmp_path: Path) -> None:
    late = [0.5 + time for time in FRAME_TIMES]
    path = write_clip(tmp_path / "late.mp4", pictures=Pictures(flat_images(LEVELS), late), sounds=[Sound(tone(1.0))])
    chunks, frames, _ = read_file(path)
    assert starts_of_runs(chunks) == pytest.approx([0.0], abs=0.001)
    np.testing.assert_allclose(times(frames), late, atol=0.001)


def test_a_common_late_start_is_media_time_zero(tmp_path: Path) -> None:
    late = [3.0 + time for time in FRAME_TIMES]
    path = write_clip(
        tmp_path / "both.mkv",
        pictures=Pictures(flat_images(LEVELS), late),
        sounds=[Sound(tone(1.0), start_seconds=3.1, codec="pcm_s16le")],
    )
    chunks, frames, _ = read_file(path)
    np.testing.assert_allclose(times(frames), FRAME_TIMES, atol=0.001)
    assert starts_of_runs(chunks) == pytest.approx([0.1], abs=0.001)


def test_a_gap_in_the_sound_is_a_jump_in_time(tmp_path: Path) -> None:
    parts = [Sound(tone(0.5), codec="pcm_s16le"), Sound(tone(0.5), codec="pcm_s16le", start_seconds=0.9)]
    chunks, _, problems = read_file(write_clip(tmp_path / "gap.mkv", sounds=parts))
    assert starts_of_runs(chunks) == pytest.approx([0.0, 0.9], abs=0.001)
    assert end_of(chunks) == pytest.approx(1.4, abs=0.001)
    assert len(joined(chunks)) == pytest.approx(16_000, abs=20)
    assert problems == ()


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """A minute of sound and 1500 pictures: 0.2 MB a second if all were kept."""
    silence = np.zeros((1, 60 * 16_000), dtype=np.float32)
    path = write_clip(
        tmp_path / "long.mkv",
        pictures=Pictures(flat_images([99]) * 1500, [index / 25 for index in range(1500)], "mpeg4"),
        sounds=[Sound(silence, 16_000, "pcm_s16le")],
    )
    growth: list[int] = []
    with open_clip(path) as clip:
        for item in clip.read():
            if isinstance(item, VideoFrame) and round(item.time_seconds * 25) % 250 == 100:
                item.grey()
                growth.append(resident_bytes())
    assert len(growth) == 6
    assert growth[-1] - growth[0] < 4e6


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize(
    ("name", "size", "seconds", "num_frames"),
    [("debate_640x360.mp4", (640, 360), 5.0, 125), ("selfie_1920x1080.mp4", (1920, 1080), 3.4, 104)],
)
def test_real_clips_give_all_frames_and_the_whole_sound(
    data_root: Path, name: str, size: tuple[int, int], seconds: float, num_frames: int
) -> None:
    with open_clip(data_root / "clips" / name) as clip:
        frame_times: list[float] = []
        chunks: list[AudioChunk] = []
        for item in clip.read():
            if isinstance(item, AudioChunk):
                chunks.append(item)
            else:
                frame_times.append(item.time_seconds)
    assert (clip.info.width, clip.info.height) == size
    assert len(frame_times) == pytest.approx(num_frames, abs=2)
    assert np.diff(frame_times).min() > 0.01
    assert starts_of_runs(chunks) == [pytest.approx(0.0, abs=0.05)]
    assert end_of(chunks) == pytest.approx(seconds, abs=0.1)
    assert clip.problems == ()
