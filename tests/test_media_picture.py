"""Pictures come back upright and in grey, whatever their rotation, range and depth."""

from pathlib import Path

import numpy as np
import pytest

from emotrace.media import VideoFrame, open_clip
from emotrace.types import Image
from tests.media_factory import Pictures, flat_images, write_clip
from tests.media_readers import levels, read_all, read_file


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
