"""The pictures of a recording, as they are read -> a few small ones over its whole length, for the report."""

from emotrace import images
from emotrace.media import VideoFrame
from emotrace.report import MAX_THUMBNAILS, Thumbnail
from emotrace.types import Image

MAX_SIDE = 240
"""Pixels of the longer side."""
_FIRST_INTERVAL_SECONDS = 0.2


class FilmStrip:
    """Keeps pictures at even intervals; the longer the recording turns out to be, the wider they are.

    There is no second pass over the file, and what it says of its length need not be true.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[float, Image]] = []
        self._interval_seconds = _FIRST_INTERVAL_SECONDS
        self._next_seconds = 0.0

    def see(self, frame: VideoFrame) -> None:
        """Keep the picture if it is due; times rise."""
        if frame.time_seconds < self._next_seconds:
            return
        self._kept.append((frame.time_seconds, frame.rgb(MAX_SIDE)))
        if len(self._kept) == 2 * MAX_THUMBNAILS:
            self._kept = self._kept[::2]
            self._interval_seconds *= 2
        self._next_seconds = self._kept[-1][0] + self._interval_seconds

    def thumbnails(self) -> list[Thumbnail]:
        """Return what was kept, between `MAX_THUMBNAILS` and twice as many unless the recording is very short."""
        return [Thumbnail(time_seconds, images.encode_jpeg(image)) for time_seconds, image in self._kept]
