"""Files that are none, that are cut off, damaged or made to do harm: refused or read with what is lost told."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from emotrace.errors import MediaError
from emotrace.media import open_clip
from emotrace.media_container import MAX_CHANNELS, MAX_SIDE
from tests.hostile.containers import with_index_first
from tests.media_factory import Pictures, Sound, flat_images, talking_clip, tone, write_clip
from tests.media_readers import end_of, joined, read_file, strongest_hertz, times, write_wav

FRAME_TIMES = [index / 25 for index in range(15)]
LEVELS = [40 + 10 * index for index in range(15)]


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
