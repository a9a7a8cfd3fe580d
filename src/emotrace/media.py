"""A media file -> mono sound and upright pictures in the order of the file, each with its media time.

Media time is the presentation time in seconds, counted from the earliest start of the streams that are read.
It never comes from counting frames, except where a file has no timestamps at all.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from emotrace.errors import MediaError
from emotrace.media_audio import SoundTrack
from emotrace.media_container import ADVICE, MAX_PIXELS, Streams, check_memory, missing_end, open_container
from emotrace.media_picture import Box, Orientation, VideoFrame
from emotrace.media_reading import MAX_READ_ERRORS_IN_A_ROW, Reading
from emotrace.types import AudioChunk

__all__ = ["Box", "Clip", "ClipInfo", "VideoFrame", "open_clip"]

_DECLARES_DURATION = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv")
"""Formats whose header says how long they are; FFmpeg estimates others from what is in the file."""


@dataclass(frozen=True)
class ClipInfo:
    """What the header of a media file says.

    Attributes:
        path: of the file.
        duration_seconds: as declared or estimated; None where unknown. The timestamps may say otherwise.
        has_audio: whether there is sound that can be decoded.
        has_video: whether there is a video that can be decoded; cover art is none.
        width: pixels of the upright picture; 0 without video.
        height: pixels of the upright picture; 0 without video.
        frame_rate: nominal pictures per second, for information only; None where unknown.
    """

    path: Path
    duration_seconds: float | None
    has_audio: bool
    has_video: bool
    width: int
    height: int
    frame_rate: float | None


class Clip:
    """A media file that can be read. Made by `open_clip`; a context manager.

    Attributes:
        info: what the header says.
    """

    def __init__(self, info: ClipInfo) -> None:
        """Use `open_clip` instead."""
        self.info = info
        self._open = ExitStack()
        self._problems: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What was damaged and skipped, one phrase each; complete when `read` has ended."""
        return self._problems

    def read(
        self, *, sample_rate: int = 16_000, video_rate_hz: float | None = None
    ) -> Iterator[AudioChunk | VideoFrame]:
        """Yield sound and pictures in the order of the file, in constant memory. Each call starts again.

        Args:
            sample_rate: Hz of the sound.
            video_rate_hz: pictures per second of media time at most, chosen by their timestamps; None: all.

        Raises:
            MediaError: the file has vanished, or nothing in it can be decoded.
        """
        self.close()
        with ExitStack() as self._open:
            container = open_container(self.info.path, self._open)
            streams = Streams.of(container, self.info.path)
            reading = Reading(streams, streams.zero_seconds(), SoundTrack(sample_rate), video_rate_hz)
            declared = self.info.duration_seconds if container.format.name in _DECLARES_DURATION else None
            cut = missing_end(self.info.path)
            yield from reading.run(container)
            self._problems = (*reading.problems(declared), *cut)
        if not reading.num_frames and not reading.num_chunks:
            raise MediaError(f"{self.info.path} holds no sound and no picture that can be decoded. {ADVICE}")

    def read_stereo(self, *, sample_rate: int = 48_000) -> Iterator[AudioChunk]:
        """Yield the sound alone, for copying it: chunks whose samples are [N, 2], on the clock of `read`.

        Args:
            sample_rate: Hz of the samples.

        Raises:
            MediaError: the file has vanished.
        """
        self.close()
        with ExitStack() as self._open:
            container = open_container(self.info.path, self._open)
            streams = Streams.of(container, self.info.path)
            sound_only = Streams(streams.audio, None)
            if streams.audio is not None:
                reading = Reading(sound_only, streams.zero_seconds(), SoundTrack(sample_rate, 2), None)
                yield from (chunk for chunk in reading.run(container) if isinstance(chunk, AudioChunk))

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_clip(path: Path) -> Clip:
    """Open a media file of any format that FFmpeg reads and that holds its media itself.

    Raises:
        MediaError: the file cannot be read, is not a recording, or is beyond the bounds of this file.
    """
    with ExitStack() as stack:
        container = open_container(path, stack)
        streams = Streams.of(container, path)
        width, height = _upright_size(container, streams.video)
        video, duration = streams.video, container.duration
        rate = video.guessed_rate if video is not None else None
        info = ClipInfo(
            path=path,
            duration_seconds=duration / av.time_base if duration and duration > 0 else None,
            has_audio=streams.audio is not None,
            has_video=video is not None,
            width=width,
            height=height,
            frame_rate=float(rate) if rate else None,
        )
    return Clip(info)


def _upright_size(container: InputContainer, video: VideoStream | None) -> tuple[int, int]:
    """Decode the first picture: only pictures carry the display matrix."""
    if video is None:
        return 0, 0
    video.codec_context.thread_count = 1  # frame threads would want more packets before the first picture
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        for packet, _ in zip(container.demux(video), range(MAX_READ_ERRORS_IN_A_ROW), strict=False):
            for picture in video.codec_context.decode(packet):
                first = VideoFrame(0.0, picture, Orientation.of(picture))
                return first.width, first.height
    except (av.FFmpegError, OSError) as error:
        check_memory(error, video)
        # `read` goes on after damage and reports it; here the header's size is the best there is
    return video.width, video.height
