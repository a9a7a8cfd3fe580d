"""A source, a stretch of its time and a side of its pictures -> a source of that part alone, whose times start at 0."""

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Literal

from emotrace.errors import CorpusError, MediaError
from emotrace.features.extract import Source
from emotrace.media import ClipInfo, VideoFrame
from emotrace.types import AudioChunk

Half = Literal["left", "right"]
"""A side of the picture as it is seen."""

_ROUNDING_SECONDS = 1e-6
"""What a time may be off by being computed in another way: far less than a sample lasts."""


class Excerpt:
    """A stretch of another source, and where two people sit side by side, the half of its pictures with one of them.

    The stretch holds the samples and pictures with start <= time < end, so stretches that follow each other share
    nothing. Sound is never halved: both people are heard.
    """

    def __init__(
        self, source: Source, *, start_seconds: float = 0.0, end_seconds: float | None = None, half: Half | None = None
    ) -> None:
        """Choose the part.

        Args:
            source: what is cut; it is read from its beginning every time, as a file may have no index.
            start_seconds: media time of the source at which the part begins.
            end_seconds: at which it ends; None for the end of the source.
            half: which side of every picture; None for all of it.

        Raises:
            CorpusError: the part ends before it begins, or begins before the source does.
        """
        self._start = start_seconds
        self._end = math.inf if end_seconds is None else end_seconds
        if not 0 <= self._start < self._end:
            raise CorpusError(
                f"A part of {source.info.path} goes from {start_seconds} to {end_seconds} s: "
                "expected 0 <= start < end; correct the times."
            )
        self._source = source
        self._half = half

    @property
    def info(self) -> ClipInfo:
        """What the source says of itself, with the length and the width of the part."""
        info = self._source.info
        ends = [each for each in (info.duration_seconds, self._end) if each is not None and each < math.inf]
        return replace(
            info,
            duration_seconds=max(0.0, min(ends) - self._start) if ends else None,
            width=_half_of(info.width) if self._half and info.has_video else info.width,
        )

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield sound and pictures of the part; reading ends when both have gone past it.

        Args:
            sample_rate: Hz of the sound.
            video_rate_hz: pictures per second at most, chosen on the clock of the source; None: all.

        Raises:
            MediaError: nothing of the source lies in the part, or it cannot be read.
        """
        info = self._source.info
        going_on = {kind for kind, is_there in ((AudioChunk, info.has_audio), (VideoFrame, info.has_video)) if is_there}
        is_empty = True
        for item in self._source.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
            part = self._sound(item, sample_rate) if isinstance(item, AudioChunk) else self._picture(item)
            if part is not None:
                is_empty = False
                yield part
            begin = item.start_seconds if isinstance(item, AudioChunk) else item.time_seconds
            if begin >= self._end:
                going_on.discard(type(item))
                if not going_on:
                    break
        if is_empty:
            raise MediaError(
                f"{info.path} holds nothing from {self._start:g} to {self._end:g} s: compare the times with its length."
            )

    def _sound(self, chunk: AudioChunk, sample_rate: int) -> AudioChunk | None:
        def samples_before(seconds: float) -> int:
            exact = (seconds - chunk.start_seconds - _ROUNDING_SECONDS) * sample_rate
            return math.ceil(min(max(exact, 0.0), float(len(chunk.samples))))

        first, stop = samples_before(self._start), samples_before(self._end)
        if first >= stop:
            return None
        begin = chunk.start_seconds + first / sample_rate - self._start
        return AudioChunk(max(0.0, begin), chunk.samples[first:stop])

    def _picture(self, frame: VideoFrame) -> VideoFrame | None:
        if not self._start <= frame.time_seconds + _ROUNDING_SECONDS < self._end:
            return None
        seconds = max(0.0, frame.time_seconds - self._start)
        if self._half is None:
            shifted = copy(frame)  # the same picture: nothing is converted, and the source's frame stays as it is
            shifted.time_seconds = seconds
            return shifted
        width = _half_of(frame.width)
        image = frame.rgb()
        return VideoFrame.from_rgb(seconds, image[:, :width] if self._half == "left" else image[:, -width:])


def _half_of(width: int) -> int:
    """Return the pixels of a half; of an odd width, the column in the middle belongs to neither."""
    return max(1, width // 2)
