"""Damaged and odd media files are read or refused with a reason, within bounds of memory and time."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrace.media import VideoFrame, open_clip
from emotrace.media_audio import mixed
from emotrace.media_container import declared_bytes
from emotrace.media_reading import MAX_EMPTY_SECONDS, MAX_MEDIA_SECONDS
from emotrace.types import AudioChunk
from tests.hostile.containers import block, matroska, sound_track
from tests.hostile.damaged import damaged_cases
from tests.hostile.odd import grey_dots, jpeg, jpegs
from tests.hostile.seeds import seed
from tests.hostile_media import corpus, tried

ONCE_FAILED = (
    "bits-everywhere-mpg",  # a picture a day later: hours of empty rows
    "avi-twentieth-fps",
    "times-jump-by-a-day",
    "times-jump-by-a-quarter-of-an-hour",
    "colours-tiff-rgba",  # Exif data, over which PyAV stumbles
    "colours-raw-bgr4",  # a format that swscale does not convert
    "samples-random-bits",  # sums that overflow
    "samples-of-doubles-beyond-float",
    "times-backwards",  # pictures skipped that nobody told of
    "cut-aiff-50",  # a cut that nobody told of
    "cut-w64-50",
    "cut-mkv-90",
    "bomb-png-of-16-bit",  # four threads with a picture of 285 MB each
)
HEADS = (b"RIFF", b"FORM", b"riff", b"\x1a\x45\xdf\xa3\x93\x18\x53\x80\x67", b"\x1a\x45\xdf\xa3")
SLOW = ("sound-25-minutes-late", "bomb-flac-of-silence", "times-of-sound-jump-by-a-quarter-of-an-hour", "tracks-2600")


def nothing_against(names: Sequence[str], folder: Path) -> None:
    """Check that every file of these cases became what it should."""
    found = tried(names, folder)
    assert set(found) == set(names)
    assert {name: against for name, (_, against) in found.items() if against} == {}


def test_every_fifth_hostile_file_and_all_that_once_failed_are_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    chosen = [name for name in list(corpus())[::5] if name not in SLOW]
    nothing_against(list(dict.fromkeys([*ONCE_FAILED, *chosen])), tmp_path)


@pytest.mark.slow
def test_every_hostile_file_is_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    nothing_against(list(corpus()), tmp_path)


def test_the_corpus_is_large_and_the_same_every_time(tmp_path: Path) -> None:
    assert len(corpus()) >= 220
    for place, case in enumerate(damaged_cases()):
        if place % 20 == 0:
            assert case.put(tmp_path / "a").read_bytes() == case.put(tmp_path / "b").read_bytes(), case.name


def picture_times(path: Path) -> tuple[list[float], tuple[str, ...]]:
    with open_clip(path) as clip:
        times = [item.time_seconds for item in clip.read() if isinstance(item, VideoFrame)]
        return times, clip.problems


def test_what_a_file_leaves_empty_is_bounded_in_all(tmp_path: Path) -> None:
    (tmp_path / "gaps.mkv").write_bytes(jpegs([(600_000 * number, jpeg()) for number in range(9)]))
    times, problems = picture_times(tmp_path / "gaps.mkv")
    assert times == pytest.approx([600.0 * number for number in range(int(MAX_EMPTY_SECONDS / 600) + 1)])
    assert problems[0] == "5 absurdly timed pictures skipped"


def test_pauses_between_the_pictures_of_a_slow_video_do_not_count_as_empty(tmp_path: Path) -> None:
    (tmp_path / "slow.mkv").write_bytes(grey_dots([9_000 * number for number in range(400)]))
    times, problems = picture_times(tmp_path / "slow.mkv")
    assert len(times) == 400
    assert problems == ()


def test_time_that_the_sound_fills_is_not_empty_for_the_pictures(tmp_path: Path) -> None:
    minutes = [(60_000 * number, block(2, bytes(60 * 2000))) for number in range(50)]
    dots = grey_dots([0, 49 * 60_000], [sound_track(2, b"A_PCM/INT/LIT", 1000, 1, 16)], minutes)
    (tmp_path / "still.mkv").write_bytes(dots)
    times, problems = picture_times(tmp_path / "still.mkv")
    assert times == pytest.approx([0.0, 49 * 60.0])
    assert problems == ()


def test_media_time_ends_after_a_day(tmp_path: Path) -> None:
    (tmp_path / "weeks.mkv").write_bytes(grey_dots([9_500 * number for number in range(9500)]))
    times, problems = picture_times(tmp_path / "weeks.mkv")
    assert MAX_MEDIA_SECONDS - 10 < times[-1] <= MAX_MEDIA_SECONDS
    assert "absurdly timed pictures skipped" in problems[0]


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (6, (0, 1)), (3, (1, 1)), (8, (1, 0))])
def test_a_picture_whose_orientation_stands_in_exif_is_turned_upright(
    tmp_path: Path, orientation: int, corner: tuple[int, int]
) -> None:
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\1" + struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    picture = jpeg(bright_corner=True)
    turned = picture[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + picture[2:]
    (tmp_path / "exif.mkv").write_bytes(jpegs([(0, turned), (40, turned)]))
    with open_clip(tmp_path / "exif.mkv") as clip:
        greys = [item.grey() for item in clip.read() if isinstance(item, VideoFrame)]
    upright = greys[0]
    quarters = upright[: upright.shape[0] // 2 * 2].reshape(2, upright.shape[0] // 2, 2, -1).mean(axis=(1, 3))
    assert upright.shape == ((64, 96) if orientation in (1, 3) else (96, 64))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == corner


@pytest.mark.parametrize("name", ["wav", "avi", "aiff", "w64", "mkv", "webm"])
def test_a_file_shorter_than_it_declares_says_so_and_a_whole_one_does_not(tmp_path: Path, name: str) -> None:
    (tmp_path / f"whole.{name}").write_bytes(seed(name))
    (tmp_path / f"cut.{name}").write_bytes(seed(name)[: len(seed(name)) * 95 // 100])
    assert problems_of(tmp_path / f"whole.{name}") == ()
    size = len(seed(name)) * 95 // 100
    assert any(f"it ends after {size} of the" in told for told in problems_of(tmp_path / f"cut.{name}"))


def problems_of(path: Path) -> tuple[str, ...]:
    with open_clip(path) as clip:
        for _ in clip.read():
            pass
        return clip.problems


@given(st.one_of(st.binary(max_size=40), st.builds(bytes.__add__, st.sampled_from(HEADS), st.binary(max_size=140))))
def test_whatever_a_header_holds_its_declared_size_is_a_number_or_unknown(head: bytes) -> None:
    declared = declared_bytes(head)
    assert declared is None or 0 <= declared < 2**63 + 128


def test_a_segment_of_unknown_size_is_not_cut_off(tmp_path: Path) -> None:
    sound = matroska([sound_track(1, b"A_PCM/INT/LIT", 16_000, 1, 16)], [(0, block(1, bytes(9600)))],
                     segment_size=b"\x01" + b"\xff" * 7)  # fmt: skip
    (tmp_path / "live.mkv").write_bytes(sound)
    assert problems_of(tmp_path / "live.mkv") == ()


def test_samples_that_are_not_finite_leave_the_other_channels(tmp_path: Path) -> None:
    planar = np.array([[0.5, np.nan, np.inf, 3e38], [0.5, 0.5, 0.5, -3e38]], np.float32)
    np.testing.assert_allclose(mixed(planar, 2, 1), [0.5, 0.25, 0.25, 0.0])
    np.testing.assert_allclose(mixed(planar, 2, 2)[:3], [[0.5, 0.5], [0, 0.5], [0, 0.5]])


def test_sound_is_read_beside_pictures_that_cannot_be_converted(tmp_path: Path) -> None:
    case = corpus()["colours-raw-bgr4-with-sound"]
    with open_clip(case.put(tmp_path)) as clip:
        items = list(clip.read())
        assert clip.problems[0] == "6 unconvertible bgr4 pictures skipped"
    assert items
    assert all(isinstance(item, AudioChunk) for item in items)
