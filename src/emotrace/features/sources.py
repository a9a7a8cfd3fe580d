"""A clip -> the same clip as a source for `extract`: decoded ahead in a thread of its own, or watched as it is read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emotrace.ahead import ahead
from emotrace.features.extract import Source
from emotrace.media import ClipInfo, VideoFrame
from emotrace.types import AudioChunk

_MAX_ITEMS = 64
_MAX_WAITING_BYTES = 32 * 2**20
"""Of decoded pictures; with sound between them it is less."""


@dataclass(frozen=True)
class ReadingAhead:
    """Decodes while others look and listen.

    Attributes:
        source: nobody else reads it meanwhile.
    """

    source: Source

    @property
    def info(self) -> ClipInfo:
        """What the header says."""
        return self.source.info

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield what the source yields."""
        picture_bytes = max(1, 3 * self.info.width * self.info.height)
        num_items = max(1, min(_MAX_ITEMS, _MAX_WAITING_BYTES // picture_bytes))
        return ahead(self.source.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz), num_items)


@dataclass(frozen=True)
class Watched:
    """Shows every picture to somebody else too.

    Attributes:
        source: of the pictures.
        watch: called with each, in order of time.
    """

    source: Source
    watch: Callable[[VideoFrame], None]

    @property
    def info(self) -> ClipInfo:
        """What the header says."""
        return self.source.info

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield what the source yields."""
        for item in self.source.read(sample_rate=sample_rate, video_rate_hz=video_rate_hz):
            if isinstance(item, VideoFrame):
                self.watch(item)
            yield item
