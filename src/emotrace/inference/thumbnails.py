"""A video -> a few small pictures of it, for the report."""

from collections.abc import Sequence
from pathlib import Path

from emotrace import images
from emotrace.media import VideoFrame, open_clip
from emotrace.report import Thumbnail

MAX_SIDE = 240
"""Pixels of the longer side."""


def take(path: Path, times: Sequence[float]) -> list[Thumbnail]:
    """Return the pictures that are shown at the given times; none where there is no video.

    Args:
        path: the media file.
        times: rising seconds of media time; those after the last picture give nothing.

    Raises:
        MediaError: the file cannot be read.
    """
    thumbnails: list[Thumbnail] = []
    with open_clip(path) as clip:
        if not clip.info.has_video:
            return []
        shown: VideoFrame | None = None
        for item in clip.read(video_rate_hz=_rate_hz(times)):
            if not isinstance(item, VideoFrame):
                continue
            while len(thumbnails) < len(times) and times[len(thumbnails)] < item.time_seconds:
                thumbnails.append(_thumbnail(shown or item))
            if len(thumbnails) == len(times):
                break
            shown = item
    return thumbnails


def _rate_hz(times: Sequence[float]) -> float:
    """Look at ten pictures between two thumbnails, not at all of them."""
    return max(0.1, 10 * len(times) / max(times[-1], 1.0)) if times else 0.1


def _thumbnail(frame: VideoFrame) -> Thumbnail:
    return Thumbnail(frame.time_seconds, images.encode_jpeg(frame.rgb(MAX_SIDE)))
