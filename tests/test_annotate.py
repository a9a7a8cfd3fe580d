"""The annotated video: pictures and sound of the source, with marks only where they belong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotrace.annotate import BOX_COLOUR, PAPER, annotate
from emotrace.errors import MediaError
from emotrace.media import VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.timeline import COLUMNS, Metadata, Settings, Timeline
from emotrace.types import FloatArray, Image

SIZE = (160, 120)
FACTOR = 3
"""A picture of 160 pixels is enlarged to 480."""
GREY = 120
BOX = (40, 30, 60, 50)
TIMES = [index / 12.5 for index in range(25)]


def write_source(path: Path, times: list[float], *, sound: bool = True) -> None:
    """A grey picture whose upper left quarter is darker, with a tone of 440 Hz."""
    picture = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    picture[:60, :80] = GREY - 40
    with ClipWriter(
        path, width=SIZE[0], height=SIZE[1], frame_rate=12.5, sample_rate=16_000 if sound else None
    ) as writer:
        for time in times:
            writer.write_frame(time, picture)
        if sound:
            writer.write_audio(0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32))


def make_timeline(*, face: bool = True, rows: int = 50) -> Timeline:
    columns: dict[str, Any] = {column.name: np.full(rows, 0.1) for column in COLUMNS}
    columns["time"] = np.arange(rows) / 25
    columns["happiness"] = np.full(rows, 0.3)
    columns["face_detected"] = np.full(rows, face)
    for name, value in zip(("x", "y", "width", "height"), BOX, strict=True):
        columns[f"face_{name}"] = np.full(rows, value if face else np.nan, np.float32)
    settings = Settings("haar", None, "0" * 16, 25.0)
    return Timeline(columns, Metadata("source.mp4", rows / 25, "default", "0" * 16, "0", settings))


def read_back(path: Path) -> tuple[list[float], list[Image], FloatArray]:
    times, pictures, samples = [], [], [np.zeros(0, np.float32)]
    with open_clip(path) as clip:
        for stretch in clip.read():
            if isinstance(stretch, VideoFrame):
                times.append(stretch.time_seconds)
                pictures.append(stretch.rgb())
            else:
                samples.append(stretch.samples)
    return times, pictures, np.concatenate(samples)


def annotated(tmp_path: Path, timeline: Timeline) -> tuple[list[float], list[Image], FloatArray]:
    annotate(tmp_path / "source.mp4", timeline, tmp_path / "marked.mp4")
    return read_back(tmp_path / "marked.mp4")


def is_near(pixels: Image, colour: tuple[int, int, int], tolerance: int) -> bool:
    return bool((np.abs(pixels.astype(int) - np.array(colour)) <= tolerance).all())


def test_uneven_times_and_a_tone_come_back(tmp_path: Path) -> None:
    uneven = [0.0, 0.04, 0.5, 0.52, 1.3, 1.9]
    write_source(tmp_path / "source.mp4", uneven)
    times, _, samples = annotated(tmp_path, make_timeline())
    np.testing.assert_allclose(times, uneven, atol=1e-3)
    assert len(samples) / 16_000 == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[4000:28_000]))
    assert np.argmax(spectrum) * 16_000 / 24_000 == pytest.approx(440, abs=1)
    assert np.abs(samples[4000:28_000]).max() == pytest.approx(0.5, abs=0.05)


def test_box_is_drawn_at_the_face_and_the_rest_of_the_picture_stays(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES)
    _, pictures, _ = annotated(tmp_path, make_timeline())
    picture = pictures[12]
    left, top, width, height = (FACTOR * side for side in BOX)
    assert is_near(picture[top : top + 1, left + 9 : left + width - 9], BOX_COLOUR, 70)
    assert is_near(picture[top + height // 2, left + width : left + width + 1], BOX_COLOUR, 70)
    marked = np.zeros((SIZE[1] * FACTOR, SIZE[0] * FACTOR), bool)
    marked[top - 5 : top + height + 6, left - 5 : left + width + 6] = True
    marked[top + 6 : top + height - 5, left + 6 : left + width - 5] = False
    expected = np.full(marked.shape, GREY)
    expected[:180, :240] = GREY - 40
    marked[174:186] = True  # where the source's own edges are blurred
    marked[:, 234:246] = True
    difference = np.abs(picture[: SIZE[1] * FACTOR].astype(int) - expected[..., None]).max(axis=2)
    assert difference[~marked].max() <= 12


def test_panel_lies_below_the_picture_and_holds_marks(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES)
    _, pictures, _ = annotated(tmp_path, make_timeline())
    panel = pictures[12][SIZE[1] * FACTOR + 2 :]
    assert pictures[12].shape == (492, 480, 3)
    assert is_near(panel[-2:], PAPER, 12)
    assert (panel.max(axis=2) > 150).mean() > 0.02


def test_bar_of_an_emotion_is_as_long_as_its_probability(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES[:3])
    _, pictures, _ = annotated(tmp_path, make_timeline())
    unit = 480 / 640
    row = pictures[2][360 + round(unit * (46 + 14.5 * 3 - 3.5)), round(78 * unit) : round(170 * unit)]
    strong = (np.abs(row.astype(int) - np.array(BOX_COLOUR)).max(axis=1) < 70).mean()
    assert strong == pytest.approx(0.3, abs=0.06)


def test_without_a_face_the_picture_stays_as_it_is(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES[:5])
    _, pictures, _ = annotated(tmp_path, make_timeline(face=False))
    picture = pictures[3][: SIZE[1] * FACTOR]
    assert is_near(picture[190:], (GREY, GREY, GREY), 8)
    assert is_near(picture[:170, :230], (GREY - 40,) * 3, 8)


def test_video_without_sound_stays_without_sound(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES, sound=False)
    times, _, samples = annotated(tmp_path, make_timeline())
    np.testing.assert_allclose(times, TIMES, atol=1e-3)
    assert len(samples) == 0


def test_rotated_recording_comes_out_upright_with_the_box_where_the_timeline_says(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES[:5])
    turn_clockwise(tmp_path / "source.mp4")
    _, pictures, _ = annotated(tmp_path, make_timeline())
    picture = pictures[3]
    factor = 4  # upright it is 120 pixels wide
    assert picture.shape[:2] == (160 * factor + 132, 480)
    assert is_near(picture[10:110, 260:470], (GREY - 40,) * 3, 8)
    assert is_near(picture[400:600, 10:230], (GREY, GREY, GREY), 8)
    left, top, width, _ = (factor * side for side in BOX)
    assert is_near(picture[top : top + 1, left + 9 : left + width - 9], BOX_COLOUR, 70)


def test_timeline_that_ends_early_leaves_the_rest_unmarked(tmp_path: Path) -> None:
    write_source(tmp_path / "source.mp4", TIMES)
    _, pictures, _ = annotated(tmp_path, make_timeline(rows=25))
    top, left = FACTOR * BOX[1], FACTOR * BOX[0]
    assert is_near(pictures[10][top : top + 1, left + 9 : left + 60], BOX_COLOUR, 70)
    assert not is_near(pictures[20][top : top + 1, left + 9 : left + 60], BOX_COLOUR, 70)


def test_sound_alone_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav")
    with pytest.raises(MediaError, match="no pictures"):
        annotate(tmp_path / "talk.wav", make_timeline(), tmp_path / "marked.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def write_wav(path: Path) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))


def turn_clockwise(path: Path) -> None:
    """Write a display matrix of 90 degrees into the header of the first track, which is the video."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    entries = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 120 << 16, 0, 1 << 30], dtype=">i4")
    content[matrix : matrix + 36] = entries.tobytes()
    path.write_bytes(content)
