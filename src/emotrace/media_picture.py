"""A decoded picture -> it in grey or colour, upright, as a whole, in part or small; converted only when asked."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from emotrace.images import look_up, resize
from emotrace.types import Image


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is turned upright: first transposed, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @staticmethod
    def of(picture: av.VideoFrame) -> "Orientation":
        """Read the display matrix [a b u; c d v; x y w], which takes (x, y) to (a x + c y, b x + d y)."""
        try:
            side_data: Any = picture.side_data  # PyAV's stub knows motion vectors only
        except ValueError:  # PyAV (18.1) knows no Exif data, and stumbles over them on its way to the matrix
            return _QUARTER_TURNS.get(round(picture.rotation / 90) % 4, Orientation())
        matrix_data = side_data.get(SideDataType.DISPLAYMATRIX)
        if matrix_data is None:
            return Orientation()
        matrix = np.frombuffer(matrix_data, dtype=np.int32).astype(np.int64)
        a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
        if abs(b) + abs(c) > abs(a) + abs(d):
            return Orientation(True, c < 0, b < 0)
        return Orientation(False, a < 0, d < 0)

    def upright(self, image: Image) -> Image:
        """Return the image [H, W] or [H, W, 3] as a player shows it."""
        turned = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(turned[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1])

    def stored(self, box: "Box", width: int, height: int) -> "Box":
        """Return where a box of the upright picture of this size lies in the stored one."""
        left, top, right, bottom = box
        if self.mirrored_x:
            left, right = width - right, width - left
        if self.mirrored_y:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transposed else (left, top, right, bottom)


Box = tuple[int, int, int, int]
"""Left, top, right and bottom in whole pixels; right and bottom are the first that do not belong to it."""
_LUMA_FIRST = frozenset(
    "yuv420p yuvj420p yuv422p yuvj422p yuv444p yuvj444p yuv411p yuvj411p yuv440p yuvj440p nv12 nv21 nv16".split()
)
"""Pixel formats whose first plane is the luma in bytes: pictures of these need no conversion to be looked at."""


@cache
def _luma_table(pixel_format: str, colour_range: int) -> Image:
    """Return [256]: what the conversion to grey makes of each stored luma."""
    picture = av.VideoFrame(16, 16, pixel_format)
    plane = picture.planes[0]
    stored = np.zeros((16, plane.line_size), np.uint8)
    stored[:, :16] = np.arange(256).reshape(16, 16)
    plane.update(stored.tobytes()[: plane.buffer_size].ljust(plane.buffer_size, b"\0"))
    grey = picture.reformat(format="gray", interpolation="AREA", src_color_range=colour_range, dst_color_range="JPEG")
    return np.asarray(grey.to_ndarray(), dtype=np.uint8).reshape(256)


_QUARTER_TURNS = {
    1: Orientation(transposed=True, mirrored_y=True),
    2: Orientation(mirrored_x=True, mirrored_y=True),
    3: Orientation(transposed=True, mirrored_x=True),
}
"""By the number of quarters that a picture is to be turned counter-clockwise."""


class VideoFrame:
    """One decoded picture, upright, converted when asked. It holds the decoder's buffer: do not collect many.

    Attributes:
        time_seconds: media time at which it is shown.
        width: pixels, upright.
        height: pixels, upright.
    """

    def __init__(self, time_seconds: float, picture: av.VideoFrame, orientation: Orientation) -> None:
        """Use `Clip.read` or `from_rgb` instead."""
        self.time_seconds = time_seconds
        self._picture = picture
        self._orientation = orientation
        stored = (picture.width, picture.height)
        self.width, self.height = stored[::-1] if self._orientation.transposed else stored
        self._luma: tuple[Image, Image | None] | None = None

    @staticmethod
    def from_rgb(time_seconds: float, image: Image) -> "VideoFrame":
        """Make a frame from an image [height, width, 3], for sources other than files."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return VideoFrame(time_seconds, picture, Orientation())

    def grey(self) -> Image:
        """Return [height, width] luma, 0 black .. 255 white, whatever range and bit depth the video has."""
        return self.grey_part((0, 0, self.width, self.height))

    def grey_part(self, box: Box, max_side: int | None = None) -> Image:
        """Return a part of `grey` [bottom - top, right - left]; nothing else of the picture is converted.

        Args:
            box: in pixels of the upright picture, inside it.
            max_side: scale the part down where needed so that its longer side is at most as many pixels.
        """
        luma, table = self._stored_luma()
        left, top, right, bottom = self._orientation.stored(box, self.width, self.height)
        part = luma[top:bottom, left:right]
        if max_side is not None and max_side < max(part.shape):
            scale = max_side / max(part.shape)
            part = resize(part, *(max(1, round(side * scale)) for side in (right - left, bottom - top)))
        return self._orientation.upright(part if table is None else look_up(part, table))

    def _stored_luma(self) -> tuple[Image, Image | None]:
        """Return the stored picture in grey, and what is still to be applied to each pixel; None: nothing."""
        if self._luma is None:
            picture = self._picture
            if picture.format.name in _LUMA_FIRST and picture.planes[0].line_size >= picture.width:
                plane = picture.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                table = _luma_table(picture.format.name, int(picture.color_range))
                self._luma = rows[: picture.height, : picture.width], table
            else:
                self._luma = self._reformatted("gray", picture.width, picture.height), None
        return self._luma

    def rgb(self, max_side: int | None = None) -> Image:
        """Return [h, w, 3], scaled down where needed so that the longer side is at most `max_side` pixels."""
        width, height = self._picture.width, self._picture.height
        scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
        small = self._reformatted("rgb24", max(1, round(width * scale)), max(1, round(height * scale)))
        return self._orientation.upright(small)

    def _reformatted(self, pixel_format: str, width: int, height: int) -> Image:
        picture = self._picture.reformat(
            width=width,
            height=height,
            format=pixel_format,
            interpolation="AREA",
            src_color_range=self._picture.color_range,
            dst_color_range="JPEG",
        )
        return np.asarray(picture.to_ndarray(), dtype=np.uint8)
