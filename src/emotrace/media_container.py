"""The path of a file from a stranger -> an open container and the streams that are read, or the reason why not."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from emotrace.errors import MediaError

MAX_SIDE = 8192
MAX_PIXELS = 8192 * 4352
"""Of a picture: 8K video passes. A decoder holds up to some twenty pictures of this size."""
MAX_CHANNELS = 64
MAX_THREADS = 4
_DECODING_BYTES = 256 * 2**20
_ROOM_BYTES = 64 * 2**20
"""What reading on takes at least: the stacks of the decoder's threads, a few pictures."""
_CONTAINERS = (
    "mov,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,rm,nut,mxf,gxf,dv,wtv,ivf,obu,h264,hevc,m4v,mjpeg,"
    "gif,apng,wav,w64,rf64,aiff,caf,au,mp3,aac,ac3,eac3,dts,flac,ogg,opus,amr,amrnb,amrwb,ape,wv,tta,tak,mpc,mpc8,3dostr"
)
"""Formats that hold their media themselves. Playlists (hls, dash, concat, ...) could open other files."""

_NOT_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
ADVICE = "Expected a video or a sound recording, such as mp4, mov, mkv, webm, avi, wav or mp3."


def open_container(path: Path, stack: ExitStack) -> InputContainer:
    """Open a file, which `stack` closes.

    Raises:
        MediaError: it cannot be read, or no format of the list holds it.
    """
    try:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise MediaError(f"{path} {found}. {ADVICE}")
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes). {ADVICE}")
        file = stack.enter_context(path.open("rb"))
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise MediaError(f"{path} cannot be read: {error}. Check the name and the permissions.") from error
    try:
        container = av.open(
            _Nameless(file),
            mode="r",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
            metadata_errors="replace",
            io_open=_refuse_to_open,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        check_memory(error)
        raise MediaError(f"{path} {_looks_like(path)}. {ADVICE}") from error
    stack.callback(container.close)
    return container


class _Nameless:
    """A file that only its content describes: FFmpeg takes a name such as img%03d.jpg for many files."""

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"the file asks to open {url!r}")


def _looks_like(path: Path) -> str:
    """Say what a file is that no demuxer accepts."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[4:8] == b"ftyp":
        return "has no index (the moov part of an mp4): it was cut off, or its recording never finished"
    if head and all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return "holds text, not media"
    return "is not a media file, or its beginning is damaged"


def missing_end(path: Path) -> tuple[str, ...]:
    """Compare the size of a file with what its header declares."""
    with path.open("rb") as file:
        head = file.read(128)
    declared, size = declared_bytes(head), path.stat().st_size
    if declared is None or declared <= size:
        return ()
    return (f"cut off: it ends after {size} of the {declared} bytes that it declares",)


_SEGMENT = b"\x18\x53\x80\x67"
_GUID_BYTES = 16


def declared_bytes(head: bytes) -> int | None:
    """Return how long avi, wav, w64, aiff, mkv and webm say they are; a live recording declares 0 or all ones."""
    if head[:4] in (b"RIFF", b"FORM"):
        inside = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        return inside + 8 if inside + 8 < 2**32 else None
    if head[:4] == b"riff":
        whole = int.from_bytes(head[_GUID_BYTES : _GUID_BYTES + 8], "little")
        return whole if whole < 2**63 else None
    place = head.find(_SEGMENT) + len(_SEGMENT)
    if head[:4] != b"\x1a\x45\xdf\xa3" or place < len(_SEGMENT) or len(head) < place + 8 or not head[place]:
        return None
    length = 9 - head[place].bit_length()  # in bytes; the number stands behind its first set bit
    value = int.from_bytes(head[place : place + length], "big")
    inside, unknown = value & ~(1 << 7 * length), (1 << 7 * length) - 1
    return None if inside == unknown else place + length + inside


@dataclass(frozen=True)
class Streams:
    """The streams of a file that are read."""

    audio: AudioStream | None
    video: VideoStream | None

    @staticmethod
    def of(container: InputContainer, path: Path) -> "Streams":
        """Choose the first sound and the best video; refuse what is beyond the bounds before decoding it."""
        sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
        videos = [
            stream
            for stream in container.streams.video
            if stream.codec_context is not None and not stream.disposition & _NOT_VIDEO
        ]
        if not sounds and not videos:
            raise MediaError(f"{path} has no sound and no video that can be decoded. {ADVICE}")
        streams = Streams(sounds[0] if sounds else None, max(videos, key=_rank) if videos else None)
        if streams.audio is not None and streams.audio.layout.nb_channels > MAX_CHANNELS:
            found = streams.audio.layout.nb_channels
            raise MediaError(f"{path} has {found} audio channels; at most {MAX_CHANNELS} are read. Mix it down first.")
        if streams.video is not None and too_large(streams.video.width, streams.video.height):
            found_size = f"{streams.video.width}x{streams.video.height}"
            raise MediaError(
                f"{path} has pictures of {found_size} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} in all "
                "are read. Scale it down first."
            )
        return streams

    def __iter__(self) -> Iterator[AudioStream | VideoStream]:
        return iter([stream for stream in (self.audio, self.video) if stream is not None])

    def zero_seconds(self) -> float | None:
        """Return the earliest start; FFmpeg has taken edit lists and encoder delays into account."""
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in self
            if stream.start_time is not None and stream.time_base is not None
        ]
        return min(starts, default=None)


def _rank(stream: VideoStream) -> tuple[bool, int, int]:
    return bool(stream.disposition & Disposition.default), stream.width * stream.height, -stream.index


def too_large(width: int, height: int) -> bool:
    """Return whether a picture of this size is beyond the bounds."""
    return max(width, height) > MAX_SIDE or width * height > MAX_PIXELS


@cache
def can_be_shown(pixel_format: str) -> bool:
    """Try a small picture of a format: swscale (9.5) refuses some, and ends the process over the first two."""
    if pixel_format in ("yaf32le", "yaf32be"):
        return False
    try:
        av.VideoFrame(16, 16, pixel_format).reformat(width=8, height=8, format="rgb24", interpolation="AREA")
    except (av.FFmpegError, ValueError) as error:
        check_memory(error)
        return False
    return True


def check_memory(error: Exception, stream: AudioStream | VideoStream | None = None) -> None:
    """Return where an error comes from the file, and not from want of memory, which is no damage and must be told.

    What FFmpeg says is no answer: it calls a picture damaged that it got no memory for, and says that it lacks memory
    where a damaged header asks for absurdly much. So the question is whether there is room now.

    Raises:
        MemoryError: there is none for a few more pictures of the stream.
    """
    room = _ROOM_BYTES + (0 if stream is None else 2 * _picture_bytes(stream))
    try:
        np.empty(room, np.uint8)  # is not touched, so it costs nothing
    except MemoryError:
        raise MemoryError(f"{error}, with less than {room >> 20} MiB of memory left") from error


def _picture_bytes(stream: AudioStream | VideoStream) -> int:
    """Return how much memory a decoded picture takes; 0 of sound."""
    if not isinstance(stream, VideoStream):
        return 0
    form = stream.codec_context.format
    return stream.width * stream.height * (form.padded_bits_per_pixel if form is not None else 32) // 8


def num_threads(stream: AudioStream | VideoStream) -> int:
    """Return how many threads decode: each holds a picture, and one of 16 bits at 8K takes 285 MB."""
    wanted = min(MAX_THREADS, os.cpu_count() or 1)
    return max(1, min(wanted, _DECODING_BYTES // max(1, _picture_bytes(stream))))


def is_heavy(stream: AudioStream | VideoStream) -> bool:
    """Return whether a few decoded pictures take a lot of memory."""
    return _picture_bytes(stream) > _DECODING_BYTES // MAX_THREADS
