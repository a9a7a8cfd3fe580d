"""A film strip: even over whatever length, bounded, no second look at the file."""

import numpy as np
import pytest

from emotrace.inference.film_strip import MAX_SIDE, FilmStrip
from emotrace.media import VideoFrame
from emotrace.report import MAX_THUMBNAILS


def strip_of(seconds: float, rate_hz: float) -> list[float]:
    strip, picture = FilmStrip(), np.zeros((6, 8, 3), np.uint8)
    for number in range(round(seconds * rate_hz)):
        strip.see(VideoFrame.from_rgb(number / rate_hz, picture))
    return [each.time_seconds for each in strip.thumbnails()]


@pytest.mark.parametrize(("seconds", "rate_hz"), [(3, 12.5), (60, 12.5), (500, 4), (7200, 0.5)])
def test_the_pictures_are_spread_over_the_whole_recording(seconds: float, rate_hz: float) -> None:
    times = strip_of(seconds, rate_hz)
    assert MAX_THUMBNAILS <= len(times) < 2 * MAX_THUMBNAILS
    assert times[0] == 0.0
    steps = np.diff([*times, seconds])
    assert steps.max() <= 2 * steps[:-1].min() + 2 / rate_hz


def test_a_short_recording_gives_what_it_has_and_none_gives_none() -> None:
    assert strip_of(0.1, 25) == [0.0]
    assert FilmStrip().thumbnails() == []


def test_a_thumbnail_is_a_small_jpeg() -> None:
    strip = FilmStrip()
    strip.see(VideoFrame.from_rgb(0.0, np.full((600, 800, 3), 90, np.uint8)))
    [thumbnail] = strip.thumbnails()
    assert thumbnail.jpeg.startswith(b"\xff\xd8")
    assert len(thumbnail.jpeg) < 3 * MAX_SIDE * MAX_SIDE
