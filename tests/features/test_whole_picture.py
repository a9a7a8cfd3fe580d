"""The largest square in the middle of a picture is cut out exactly, whatever the geometry and the shape."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.clock import num_ticks
from emotrace.features.extract import extract
from emotrace.features.face_crops import crop_face
from emotrace.features.faces import Detector
from emotrace.features.following import Follower, follow
from emotrace.features.whole_picture import WholePicture
from emotrace.images import resize
from emotrace.media import VideoFrame, open_clip
from emotrace.media_writer import ClipWriter
from emotrace.recipe import CropGeometry, Recipe, VideoRecipe
from emotrace.types import Image


def picture(width: int, height: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def frame_of(grey: Image, time_seconds: float = 0.0) -> VideoFrame:
    return VideoFrame.from_rgb(time_seconds, np.repeat(grey[..., None], 3, axis=2))


def centre_square(grey: Image) -> Image:
    height, width = grey.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return grey[top : top + side, left : left + side]


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.21, 4.9),
    shift=st.floats(-1, 1),
    times=st.integers(1, 4),
    margin=st.integers(0, 40),
    upright=st.booleans(),
)
def test_the_crop_is_the_mean_of_the_middle_square(
    scale: float, shift: float, times: int, margin: int, upright: bool
) -> None:
    video = VideoRecipe(haar_geometry=CropGeometry(scale=scale, shift_y=shift))
    finder: Detector = WholePicture(Recipe(video=video))
    side = times * video.crop_size
    grey = picture(side, side + 2 * margin) if upright else picture(side + 2 * margin, side)
    [found] = finder.detect(frame_of(grey))
    square = centre_square(grey)
    expected = resize(square, video.crop_size, video.crop_size) if times > 1 else square
    np.testing.assert_array_equal(crop_face(frame_of(grey), found, video, finder.name), expected)


def test_a_small_picture_is_enlarged() -> None:
    recipe = Recipe()
    finder = WholePicture(recipe)
    grey = np.array([[0, 200], [100, 50]], np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    crop = crop_face(frame_of(grey), finder.detect(frame_of(grey))[0], recipe.video, finder.name)
    np.testing.assert_array_equal(crop[[0, 0, -1, -1], [0, -1, 0, -1]], [0, 200, 100, 50])


def test_the_square_stays_where_it_is_when_it_is_followed() -> None:
    recipe = Recipe()
    finder, state = WholePicture(recipe), Follower()
    [found] = finder.detect(frame_of(picture(160, 96)))
    for index in range(50):
        state, face = follow(state, finder.detect(frame_of(picture(160, 96, index))), index * 0.08, recipe.video)
        assert face is not None
        assert (face.x, face.y, face.width, face.height) == pytest.approx(
            (found.x, found.y, found.width, found.height), abs=1e-9
        )
        crop = crop_face(frame_of(picture(160, 96, index)), face, recipe.video, finder.name)
        np.testing.assert_array_equal(crop, resize(centre_square(picture(160, 96, index)), 48, 48))
    assert state.person == 0


def test_extract_sees_the_downscaled_middle_of_every_picture_black_ones_too(tmp_path: Path) -> None:
    recipe = Recipe()
    path = tmp_path / "clip.mp4"
    levels = [0, 0, 0, 60, 120, 180, 240, 0, 0, 30]
    with ClipWriter(path, width=160, height=96, frame_rate=12.5) as writer:
        for index, level in enumerate(levels):
            shown = np.full((96, 160, 3), 255, np.uint8)
            shown[:, 32:128] = level
            shown[:48, 32:80] = 255 - level
            writer.write_frame(index / 12.5, shown)
    with open_clip(path) as clip:
        pictures = [
            item.grey() for item in clip.read(sample_rate=16_000, video_rate_hz=12.5) if isinstance(item, VideoFrame)
        ]
    with open_clip(path) as clip:
        [block] = extract(clip, recipe, WholePicture(recipe))
    assert len(block.times) == num_ticks(len(levels) / 12.5, recipe.label_rate_hz)
    assert block.face_index.tolist() == [tick // 2 for tick in range(len(block.times))]
    assert len(block.face_crops) == len(levels)
    for crop, seen in zip(block.face_crops, pictures, strict=True):
        np.testing.assert_array_equal(crop, resize(centre_square(seen), 48, 48))
    means = block.face_crops[:, 28:44, 28:44].mean(axis=(1, 2))
    np.testing.assert_allclose(means, levels, atol=6)
