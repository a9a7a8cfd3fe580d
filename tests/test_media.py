"""Media files come back as the pictures and the sound that were put in, at the times where they were put."""

import os
import resource
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from emotrace import media_picture
from emotrace.errors import MediaError
from emotrace.media import Clip, VideoFrame, open_clip
from emotrace.media_audio import SoundTrack, mixed
from emotrace.media_container import MAX_CHANNELS, MAX_SIDE
from emotrace.media_writer import ClipWriter
from emotrace.types import AudioChunk, FloatArray, Image
from tests.media_factory import Pictures, Sound, flat_images, talking_clip, tone, write_clip

FRAME_TIMES = [index / 25 for index in range(15)]
LEVELS = [40 + 10 * index for index in range(15)]


def read_all(
    clip: Clip, sample_rate: int = 16_000, video_rate_hz: float | None = None
) -> tuple[list[AudioChunk], list[VideoFrame]]:
    chunks: list[AudioChunk] = []
    frames: list[VideoFrame] = []
    for item in clip.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
        if isinstance(item, AudioChunk):
            chunks.append(item)
        else:
            frames.append(item)
    return chunks, frames


def read_file(path: Path, sample_rate: int = 16_000) -> tuple[list[AudioChunk], list[VideoFrame], tuple[str, ...]]:
    with open_clip(path) as clip:
        chunks, frames = read_all(clip, sample_rate)
        return chunks, frames, clip.problems


def times(frames: list[VideoFrame]) -> list[float]:
    return [frame.time_seconds for frame in frames]


def levels(frames: list[VideoFrame]) -> list[float]:
    return [float(frame.grey().mean()) for frame in frames]


def joined(chunks: list[AudioChunk]) -> FloatArray:
    return np.concatenate([chunk.samples for chunk in chunks])


def starts_of_runs(chunks: list[AudioChunk], sample_rate: int = 16_000) -> list[float]:
    """Return where the sound starts and where it jumps."""
    starts: list[float] = []
    end = -1.0
    for chunk in chunks:
        if abs(chunk.start_seconds - end) > 1e-6:
            starts.append(chunk.start_seconds)
        end = chunk.start_seconds + len(chunk.samples) / sample_rate
    return starts


def end_of(chunks: list[AudioChunk], sample_rate: int = 16_000) -> float:
    return chunks[-1].start_seconds + len(chunks[-1].samples) / sample_rate


def strongest_hertz(samples: FloatArray, sample_rate: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * sample_rate / len(samples))


def write_wav(path: Path, samples: FloatArray, sample_rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32768).astype("<i2").tobytes())
    return path


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


def corner_image() -> Image:
    """Return a picture that is white in its upper left quarter only."""
    image = np.zeros((64, 96, 3), dtype=np.uint8)
    image[:32, :48] = 255
    return image


@pytest.mark.parametrize(
    ("rotation", "size", "corner"),
    [
        (0, (96, 64), "top left"),
        (90, (64, 96), "bottom left"),
        (180, (96, 64), "bottom right"),
        (270, (64, 96), "top right"),
    ],
)
def test_rotation_turns_the_picture_upright(tmp_path: Path, rotation: int, size: tuple[int, int], corner: str) -> None:
    """The display matrix turns counter-clockwise: a white upper left corner goes to the lower left first."""
    pictures = Pictures([corner_image()] * 2, [0.0, 0.04], rotation=rotation)
    with open_clip(write_clip(tmp_path / "turned.mp4", pictures=pictures)) as clip:
        frame = read_all(clip)[1][0]
    grey, rgb = frame.grey(), frame.rgb(max_side=48)
    half_height, half_width = grey.shape[0] // 2, grey.shape[1] // 2
    quarters = {
        "top left": grey[:half_height, :half_width].mean(),
        "top right": grey[:half_height, half_width:].mean(),
        "bottom left": grey[half_height:, :half_width].mean(),
        "bottom right": grey[half_height:, half_width:].mean(),
    }
    assert (clip.info.width, clip.info.height) == (frame.width, frame.height) == size == grey.shape[::-1]
    assert max(quarters, key=lambda name: quarters[name]) == corner
    assert rgb.shape == (size[1] // 2, size[0] // 2, 3)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_black_and_white_come_back_whatever_the_range_and_depth(
    tmp_path: Path, pixel_format: str, full_range: bool
) -> None:
    pictures = Pictures(flat_images([0, 128, 255]), [0.0, 0.1, 0.2], "libx264", pixel_format, 0, full_range)
    _, frames, _ = read_file(write_clip(tmp_path / "range.mkv", pictures=pictures))
    np.testing.assert_allclose(levels(frames), [0, 128, 255], atol=2)
    np.testing.assert_allclose([frame.rgb().mean() for frame in frames], [0, 128, 255], atol=4)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("codec", ["libx264", "png"])
def test_a_part_in_grey_is_a_part_of_the_whole_in_grey(tmp_path: Path, rotation: int, codec: str) -> None:
    """The luma is taken as it is stored (libx264) or converted as a whole (png, in RGB)."""
    noise = np.random.default_rng(rotation).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    pixel_format = "yuv420p" if codec == "libx264" else "rgb24"
    pictures = Pictures([noise], [0.0], codec, pixel_format, rotation)
    frame = read_file(write_clip(tmp_path / "noise.mov", pictures=pictures))[1][0]
    whole = frame.grey()
    assert whole.shape == (frame.height, frame.width)
    left, top, right, bottom = 10, 20, 41, 53
    np.testing.assert_array_equal(frame.grey_part((left, top, right, bottom)), whole[top:bottom, left:right])
    small = frame.grey_part((left, top, right, bottom), max_side=11).astype(float)
    assert small.shape == (11, 10)
    assert abs(small.mean() - whole[top:bottom, left:right].mean()) < 2


def test_the_stored_luma_is_grey_as_the_conversion_makes_it(tmp_path: Path) -> None:
    levels = list(range(0, 256, 5))
    for full_range in (False, True):
        pictures = Pictures(flat_images(levels), [n / 25 for n in range(len(levels))], full_range=full_range)
        frames = read_file(write_clip(tmp_path / f"{full_range}.mp4", pictures=pictures))[1]
        converted = [VideoFrame.from_rgb(0.0, frame.rgb()).grey() for frame in frames]
        np.testing.assert_allclose([f.grey().mean() for f in frames], [each.mean() for each in converted], atol=2)


def test_a_frame_made_from_rgb_gives_it_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    frame = VideoFrame.from_rgb(1.5, image)
    np.testing.assert_array_equal(frame.rgb(), image)
    assert (frame.time_seconds, frame.width, frame.height) == (1.5, 60, 40)
    luma = image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(frame.grey(), luma, atol=3)
    assert frame.rgb(max_side=30).shape == (20, 30, 3)


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


@pytest.mark.parametrize(
    ("sample_rate", "num_channels", "layout", "codec"),
    [
        (8_000, 1, "mono", "pcm_s16le"),
        (16_000, 1, "mono", "pcm_s16le"),
        (22_050, 2, "stereo", "flac"),
        (44_100, 6, "5.1", "aac"),
        (48_000, 8, "7.1", "pcm_s24le"),
        (48_000, 8, "7.1", "libopus"),
        (96_000, 2, "stereo", "pcm_f32le"),
    ],
)
def test_any_rate_and_number_of_channels_becomes_their_mean_at_16_khz(
    tmp_path: Path, sample_rate: int, num_channels: int, layout: str, codec: str
) -> None:
    samples = np.zeros((num_channels, sample_rate), dtype=np.float32)
    samples[0] = tone(1.0, 440, sample_rate, 0.8)[0]
    path = write_clip(tmp_path / "sound.mkv", sounds=[Sound(samples, sample_rate, codec, 0.0, layout)])
    heard = joined(read_file(path)[0])
    assert len(heard) == pytest.approx(16_000, abs=700)  # aac fills up its last frame
    assert strongest_hertz(heard) == pytest.approx(440, abs=2)
    middle = heard[4000:12_000]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.8 / num_channels, rel=0.03)


def test_16_bit_sound_at_the_wanted_rate_comes_back_exactly(tmp_path: Path) -> None:
    noise = (np.random.default_rng(0).integers(-32768, 32768, 5000) / 32768).astype(np.float32)
    chunks, _, _ = read_file(write_wav(tmp_path / "noise.wav", noise, 16_000))
    np.testing.assert_array_equal(joined(chunks), noise)


def test_resampled_sound_is_quantised_to_16_bit(tmp_path: Path) -> None:
    chunks, _, _ = read_file(write_clip(tmp_path / "a.wav", sounds=[Sound(tone(0.2), codec="pcm_f32le")]))
    steps = joined(chunks) * 32768
    np.testing.assert_array_equal(steps, np.rint(steps))


def test_sound_in_small_blocks_equals_sound_in_one_block() -> None:
    samples = tone(1.0, 300, 44_100)[0]
    whole, parts = SoundTrack(16_000), SoundTrack(16_000)
    together = [*whole.push(0.0, samples, 44_100), *whole.close_run()]
    pieces = [
        chunk
        for first in range(0, 44_100, 777)
        for chunk in parts.push(first / 44_100, samples[first : first + 777], 44_100)
    ]
    pieces += parts.close_run()
    np.testing.assert_allclose(joined(pieces), joined(together), atol=1 / 32768)
    assert end_of(pieces) == end_of(together) == 1.0
    assert starts_of_runs(pieces) == [0.0]


def test_sound_that_goes_back_in_time_is_dropped_and_counted() -> None:
    track = SoundTrack(16_000)
    block = np.full(16_000, 0.25, dtype=np.float32)
    chunks = [*track.push(0.0, block, 16_000), *track.push(0.4, block, 16_000), *track.close_run()]
    assert starts_of_runs(chunks) == [0.0]
    assert end_of(chunks) == pytest.approx(1.4)
    assert track.overlap_seconds == pytest.approx(0.6)


def test_jitter_below_the_gap_is_not_a_jump() -> None:
    track = SoundTrack(16_000)
    block = np.full(1600, 0.25, dtype=np.float32)
    starts = [index * 0.1 + jitter for index, jitter in enumerate([0.0, 0.02, -0.03, 0.04, 0.0])]
    chunks = [chunk for start in starts for chunk in track.push(start, block, 16_000)]
    assert starts_of_runs(chunks) == [0.0]


def test_sound_that_is_not_a_number_becomes_silence() -> None:
    track = SoundTrack(16_000)
    block = np.array([np.nan, np.inf, -np.inf, 7.0, -7.0], dtype=np.float32)
    samples = joined([*track.push(0.0, block, 16_000), *track.close_run()])
    np.testing.assert_array_equal(samples, [0, 0, 0, 32767 / 32768, -1])


def test_channels_are_mixed_by_their_mean() -> None:
    packed = np.array([[16384, -16384, 8192, 8192]], dtype=np.int16)
    np.testing.assert_array_equal(mixed(packed, 2, 1), [0.0, 0.25])
    np.testing.assert_array_equal(mixed(packed, 2, 2), [[0.5, -0.5], [0.25, 0.25]])
    np.testing.assert_array_equal(mixed(np.array([[0, 128]], dtype=np.uint8), 1, 1), [-1.0, 0.0])


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


def test_an_empty_file_is_named_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(MediaError, match=r"empty\.mp4 is empty \(0 bytes\)"):
        open_clip(path)


def test_text_named_mp4_is_named_as_text(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("This is no video.\n" * 100)
    with pytest.raises(MediaError, match=r"holds text, not media. Expected a video"):
        open_clip(path)


def test_noise_is_no_media_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.mkv"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(MediaError, match="is not a media file, or its beginning is damaged"):
        open_clip(path)


def test_a_missing_file_a_folder_and_an_impossible_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        open_clip(tmp_path / "missing.mp4")
    with pytest.raises(MediaError, match="is a folder"):
        open_clip(tmp_path)
    with pytest.raises(MediaError, match=r"does not exist|cannot be read"):
        open_clip(Path("zero\0byte.mp4"))


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="is not a file"):
        open_clip(tmp_path / "pipe.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = talking_clip(tmp_path / "secret.mp4", 0.2)
    path.chmod(0)
    with pytest.raises(MediaError, match=r"cannot be read: .*Permission"):
        open_clip(path)


def test_an_mp4_without_its_index_says_that_it_was_cut_off(tmp_path: Path) -> None:
    path = talking_clip(tmp_path / "cut.mp4", 0.4)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(MediaError, match=r"no index .* cut off"):
        open_clip(path)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.avi", "cut.flv", "cut.mp4"])
def test_of_a_cut_file_the_beginning_is_kept_and_the_loss_told(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(75)]
    path = write_clip(
        tmp_path / name,
        pictures=Pictures(images, [index / 25 for index in range(75)], "mpeg4" if name == "cut.avi" else "libx264"),
        sounds=[Sound(tone(3.0, sample_rate=44_100), 44_100, "libmp3lame" if name == "cut.flv" else "aac")]
        if name != "cut.avi"
        else [Sound(tone(3.0), codec="pcm_s16le")],
    )
    content = with_index_first(path.read_bytes()) if name == "cut.mp4" else path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    chunks, frames, problems = read_file(path)
    assert 20 < len(frames) < 60
    assert 0.8 < end_of(chunks) < 2.6
    assert any("cut off: it ends" in problem for problem in problems)


def with_index_first(mp4: bytes) -> bytes:
    """Move the moov box before the mdat box, as web servers want it, and correct its chunk offsets."""
    boxes: dict[bytes, bytes] = {}
    position = 0
    while position < len(mp4):
        size = int.from_bytes(mp4[position : position + 4], "big")
        boxes[mp4[position + 4 : position + 8]] = mp4[position : position + size]
        position += size
    moov = bytearray(boxes[b"moov"])
    table = moov.find(b"stco")
    while table >= 0:
        count = int.from_bytes(moov[table + 8 : table + 12], "big")
        for entry in range(table + 12, table + 12 + 4 * count, 4):
            moved = int.from_bytes(moov[entry : entry + 4], "big") + len(moov)
            moov[entry : entry + 4] = moved.to_bytes(4, "big")
        table = moov.find(b"stco", table + 4)
    return boxes[b"ftyp"] + bytes(moov) + boxes.get(b"free", b"") + boxes[b"mdat"]


def test_damage_in_the_middle_is_skipped_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(75)]
    pictures = Pictures(images, [index / 25 for index in range(75)], "mpeg4", options={"g": "5"})
    path = write_clip(tmp_path / "damaged.mp4", pictures=pictures, sounds=[Sound(tone(3.0))])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8000] = rng.bytes(8000)
    path.write_bytes(bytes(content))
    chunks, frames, problems = read_file(path)
    assert len(frames) > 60
    assert frames[-1].time_seconds == pytest.approx(2.96)
    assert end_of(chunks) == pytest.approx(3.0, abs=0.05)
    assert any("damaged" in problem and "skipped" in problem for problem in problems)
    assert capfd.readouterr().err == ""


def test_damaged_sound_leaves_a_gap_and_what_follows_in_place(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1.0, 440), tone(1.0, 880)], axis=1)
    path = write_clip(tmp_path / "damaged.flac.mkv", sounds=[Sound(samples, codec="flac")])
    content = bytearray(path.read_bytes())
    fifth = [index for index in range(len(content)) if content[index : index + 2] == b"\xff\xf8"][5]
    content[fifth + 2 : fifth + 40] = bytes(38)
    path.write_bytes(bytes(content))
    chunks, _, problems = read_file(path)
    sound = np.zeros(32_000, dtype=np.float32)
    for chunk in chunks:
        first = round(chunk.start_seconds * 16_000)
        sound[first : first + len(chunk.samples)] = chunk.samples[: 32_000 - first]
    assert any("damaged audio packet" in problem for problem in problems)
    assert strongest_hertz(sound[16_200:]) == pytest.approx(880, abs=2)
    assert strongest_hertz(sound[12_000:15_900]) == pytest.approx(440, abs=8)


def test_a_video_without_a_picture_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "none.mkv", pictures=Pictures(flat_images([50]), [0.0], "mjpeg", "yuvj420p"))
    content = path.read_bytes()
    start = content.index(b"\xff\xd8\xff")
    path.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(MediaError, match="no sound and no picture that can be decoded"):
        read_file(path)


def test_pictures_that_cannot_be_decoded_leave_the_sound(tmp_path: Path) -> None:
    pictures = Pictures(flat_images([50]), [0.0], "mjpeg", "yuvj420p")
    path = write_clip(tmp_path / "sound.mkv", pictures=pictures, sounds=[Sound(tone(0.5), codec="pcm_s16le")])
    content = path.read_bytes()
    start, end = content.index(b"\xff\xd8\xff"), content.index(b"\xff\xd9")
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    chunks, frames, problems = read_file(path)
    assert frames == []
    assert end_of(chunks) == pytest.approx(0.5, abs=0.01)
    assert "no picture could be decoded" in problems


def test_sound_of_10_ms_is_read(tmp_path: Path) -> None:
    chunks, _, problems = read_file(write_wav(tmp_path / "short.wav", tone(0.01, 440, 16_000)[0], 16_000))
    assert len(joined(chunks)) == 160
    assert problems == ()


def test_a_video_of_one_pixel_is_read(tmp_path: Path) -> None:
    pictures = Pictures(flat_images([80, 160], 1, 1), [0.0, 0.04], "mjpeg", "yuvj444p")
    _, frames, _ = read_file(write_clip(tmp_path / "one.mov", pictures=pictures))
    assert [frame.grey().shape for frame in frames] == [(1, 1), (1, 1)]
    assert frames[0].rgb(max_side=10).shape == (1, 1, 3)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    pictures = Pictures(flat_images([80], MAX_SIDE + 2, 16), [0.0], "mjpeg", "yuvj420p")
    path = write_clip(tmp_path / "huge.mov", pictures=pictures)
    with pytest.raises(MediaError, match=f"pictures of {MAX_SIDE + 2}x16 pixels; at most {MAX_SIDE}"):
        open_clip(path)


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    channels = MAX_CHANNELS + 1
    data = bytes(2 * channels * 1600)
    fmt = struct.pack("<HHIIHH", 1, channels, 16_000, 32_000 * channels, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path = tmp_path / "many.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(MediaError, match="65 audio channels; at most 64"):
        open_clip(path)


def test_an_absurd_timestamp_is_skipped(tmp_path: Path) -> None:
    absurd = [0.0, 0.04, 0.08, 100_000.0]
    path = write_clip(tmp_path / "absurd.mkv", pictures=Pictures(flat_images(LEVELS[:4]), absurd))
    _, frames, problems = read_file(path)
    np.testing.assert_allclose(times(frames), absurd[:3], atol=0.001)
    assert "1 absurdly timed picture skipped" in problems


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    ],
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str) -> None:
    target = write_clip(tmp_path / "target.ts", pictures=Pictures(flat_images(LEVELS), FRAME_TIMES))
    path = tmp_path / "list.mp4"
    path.write_text(text.format(target=target))
    with pytest.raises(MediaError, match="holds text, not media"):
        open_clip(path)


def test_a_name_with_a_pattern_opens_no_other_file(tmp_path: Path) -> None:
    image = write_clip(tmp_path / "img001.jpg", pictures=Pictures(flat_images([9]), [0.0], "mjpeg", "yuvj420p"))
    (tmp_path / "img%03d.jpg").write_text("a name that image2 takes for a list")
    assert image.exists()
    with pytest.raises(MediaError, match="holds text"):
        open_clip(tmp_path / "img%03d.jpg")


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
