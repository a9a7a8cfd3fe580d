"""A media file -> mono sound and upright pictures in the order of the file, each with its media time.

Media time is the presentation time in seconds, counted from the earliest start of the streams that are read.
It never comes from counting frames, except where a file has no timestamps at all.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.stream import VideoStream

from emotrace.errors import MediaError
from emotrace.images import look_up, resize
from emotrace.media_audio import SoundTrack, mixed
from emotrace.types import AudioChunk, Image

MAX_SIDE = 8192
MAX_PIXELS = 8192 * 4352
"""Of a picture: 8K video passes. A decoder holds up to some twenty pictures of this size."""
MAX_CHANNELS = 64
MAX_JUMP_SECONDS = 24 * 3600.0
MAX_PACKET_BYTES = 64 * 2**20
MAX_DAMAGED = 10_000
MAX_READ_ERRORS_IN_A_ROW = 100
MAX_THREADS = 4

_CONTAINERS = (
    "mov,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,rm,nut,mxf,gxf,dv,wtv,ivf,obu,h264,hevc,m4v,mjpeg,"
    "gif,apng,wav,w64,rf64,aiff,caf,au,mp3,aac,ac3,eac3,dts,flac,ogg,opus,amr,amrnb,amrwb,ape,wv,tta,tak,mpc,mpc8,3dostr"
)
"""Formats that hold their media themselves. Playlists (hls, dash, concat, ...) could open other files."""

_DECLARES_DURATION = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv")
"""Formats whose header says how long they are; FFmpeg estimates others from what is in the file."""

_NOT_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_ROUNDING_SECONDS = 0.001
_FALLBACK_FRAME_RATE = 25.0
_ADVICE = "Expected a video or a sound recording, such as mp4, mov, mkv, webm, avi, wav or mp3."


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


@dataclass(frozen=True)
class _Orientation:
    """How a stored picture is turned upright: first transposed, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @staticmethod
    def of(picture: av.VideoFrame) -> "_Orientation":
        """Read the display matrix [a b u; c d v; x y w], which takes (x, y) to (a x + c y, b x + d y)."""
        side_data: Any = picture.side_data  # PyAV's stub knows motion vectors only
        matrix_data = side_data.get(SideDataType.DISPLAYMATRIX)
        if matrix_data is None:
            return _Orientation()
        matrix = np.frombuffer(matrix_data, dtype=np.int32).astype(np.int64)
        a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
        if abs(b) + abs(c) > abs(a) + abs(d):
            return _Orientation(True, c < 0, b < 0)
        return _Orientation(False, a < 0, d < 0)

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


class VideoFrame:
    """One decoded picture, upright, converted when asked. It holds the decoder's buffer: do not collect many.

    Attributes:
        time_seconds: media time at which it is shown.
        width: pixels, upright.
        height: pixels, upright.
    """

    def __init__(self, time_seconds: float, picture: av.VideoFrame, orientation: _Orientation) -> None:
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
        return VideoFrame(time_seconds, picture, _Orientation())

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
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
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
            container = _open_container(self.info.path, self._open)
            streams = _Streams.of(container, self.info.path)
            reading = _Reading(streams, streams.zero_seconds(), SoundTrack(sample_rate), video_rate_hz)
            declared = self.info.duration_seconds if container.format.name in _DECLARES_DURATION else None
            missing_end = _missing_end(self.info.path)
            yield from reading.run(container)
            self._problems = (*reading.problems(declared), *missing_end)
        if not reading.num_frames and not reading.num_chunks:
            raise MediaError(f"{self.info.path} holds no sound and no picture that can be decoded. {_ADVICE}")

    def read_stereo(self, *, sample_rate: int = 48_000) -> Iterator[AudioChunk]:
        """Yield the sound alone, for copying it: chunks whose samples are [N, 2], on the clock of `read`.

        Args:
            sample_rate: Hz of the samples.

        Raises:
            MediaError: the file has vanished.
        """
        self.close()
        with ExitStack() as self._open:
            container = _open_container(self.info.path, self._open)
            streams = _Streams.of(container, self.info.path)
            sound_only = _Streams(streams.audio, None)
            if streams.audio is not None:
                reading = _Reading(sound_only, streams.zero_seconds(), SoundTrack(sample_rate, 2), None)
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
        container = _open_container(path, stack)
        streams = _Streams.of(container, path)
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


def _open_container(path: Path, stack: ExitStack) -> InputContainer:
    try:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise MediaError(f"{path} {found}. {_ADVICE}")
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes). {_ADVICE}")
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
        raise MediaError(f"{path} {_looks_like(path)}. {_ADVICE}") from error
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


def _missing_end(path: Path) -> tuple[str, ...]:
    """Compare a RIFF file (avi, wav) with the size in its header; a live recording declares 0 or 2^32 - 1."""
    with path.open("rb") as file:
        head = file.read(8)
    declared, size = int.from_bytes(head[4:8], "little") + 8, path.stat().st_size
    if head[:4] != b"RIFF" or not size < declared < 2**32:
        return ()
    return (f"cut off: it ends after {size} of the {declared} bytes that it declares",)


@dataclass(frozen=True)
class _Streams:
    """The streams of a file that are read."""

    audio: AudioStream | None
    video: VideoStream | None

    @staticmethod
    def of(container: InputContainer, path: Path) -> "_Streams":
        """Choose the first sound and the best video; refuse what is beyond the bounds before decoding it."""
        sounds = [stream for stream in container.streams.audio if stream.codec_context is not None]
        videos = [
            stream
            for stream in container.streams.video
            if stream.codec_context is not None and not stream.disposition & _NOT_VIDEO
        ]
        if not sounds and not videos:
            raise MediaError(f"{path} has no sound and no video that can be decoded. {_ADVICE}")
        streams = _Streams(sounds[0] if sounds else None, max(videos, key=_rank) if videos else None)
        if streams.audio is not None and streams.audio.layout.nb_channels > MAX_CHANNELS:
            found = streams.audio.layout.nb_channels
            raise MediaError(f"{path} has {found} audio channels; at most {MAX_CHANNELS} are read. Mix it down first.")
        if streams.video is not None and _too_large(streams.video.width, streams.video.height):
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


def _too_large(width: int, height: int) -> bool:
    return max(width, height) > MAX_SIDE or width * height > MAX_PIXELS


def _upright_size(container: InputContainer, video: VideoStream | None) -> tuple[int, int]:
    """Decode the first picture: only pictures carry the display matrix."""
    if video is None:
        return 0, 0
    video.codec_context.thread_count = 1  # frame threads would want more packets before the first picture
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        for packet, _ in zip(container.demux(video), range(MAX_READ_ERRORS_IN_A_ROW), strict=False):
            for picture in video.codec_context.decode(packet):
                first = VideoFrame(0.0, picture, _Orientation.of(picture))
                return first.width, first.height
    except (av.FFmpegError, OSError):
        pass  # `read` goes on after damage and reports it; here the header's size is the best there is
    return video.width, video.height


class _Packing:
    """Sound of eight and more planar channels -> packed: PyAV (18.1) crashes on the planes of such a frame."""

    def __init__(self) -> None:
        self._key: tuple[str, str, int] | None = None
        self._converter = av.AudioResampler()

    def packed(self, frame: AudioFrame) -> AudioFrame:
        if not frame.format.is_planar or frame.layout.nb_channels < 8:
            return frame
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if key != self._key:
            self._key, self._converter = key, av.AudioResampler(format=frame.format.packed)
        (packed,) = self._converter.resample(frame)
        return packed


class _Reading:
    """One pass through a file: what is known so far of time, rate and damage."""

    def __init__(
        self, streams: _Streams, zero_seconds: float | None, track: SoundTrack, video_rate_hz: float | None
    ) -> None:
        self._streams = streams
        self._zero = zero_seconds
        self._track = track
        self._packing = _Packing()
        self._video_rate_hz = video_rate_hz
        self._next_due = 0.0
        self._without_pts = False
        self._decoding_delay: int | None = None
        self._picture_seconds: float | None = None
        self._picture_end = 0.0
        self._orientation: _Orientation | None = None
        self._orientation_key = (0, 0, 0)
        self._damage: Counter[str] = Counter()
        self._notes: list[str] = []
        self.num_frames = 0
        self.num_chunks = 0

    def run(self, container: InputContainer) -> Iterator[AudioChunk | VideoFrame]:
        self._without_pts = container.format.name == "avi"  # has decoding times only; what FFmpeg adds is a guess
        for stream in self._streams:
            stream.codec_context.thread_type = "AUTO"
            stream.codec_context.thread_count = min(MAX_THREADS, os.cpu_count() or 1)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        for packet in self._packets(container):
            yield from self._decoded(packet.stream, packet)
            if self._damage.total() > MAX_DAMAGED:
                self._notes.append(f"reading stopped after {MAX_DAMAGED} damaged packets")
                break
        for stream in self._streams:
            yield from self._decoded(stream, None)
        yield from self._counted(self._track.close_run())

    def problems(self, declared_seconds: float | None) -> tuple[str, ...]:
        """Say what was wrong.

        Args:
            declared_seconds: duration in the header; None where it is only an estimate.
        """
        notes = [f"{count} {what}{'s' if count > 1 else ''} skipped" for what, count in self._damage.items()]
        if self._track.overlap_seconds > 0:
            notes.append(f"{self._track.overlap_seconds:.2f} s of sound skipped whose timestamps go back")
        if self._streams.video is not None and not self.num_frames:
            notes.append("no picture could be decoded")
        if self._streams.audio is not None and not self.num_chunks:
            notes.append("no sound could be decoded")
        end = max(self._track.end_seconds, self._picture_end)
        if declared_seconds is not None and end < 0.95 * declared_seconds - 0.5:
            notes.append(f"cut off: it ends at {end:.2f} s of the {declared_seconds:.2f} s that it declares")
        return (*self._notes, *notes)

    def _packets(self, container: InputContainer) -> Iterator["Packet[Any]"]:
        """Read on after errors, which in a cut file come for every packet that is missing."""
        errors_in_a_row = 0
        while errors_in_a_row < MAX_READ_ERRORS_IN_A_ROW:
            try:
                for packet in container.demux(*self._streams):
                    errors_in_a_row = 0
                    if packet.size:  # an empty packet would end the decoder
                        yield packet
                return
            except (av.FFmpegError, OSError):
                errors_in_a_row += 1
                self._damage["unreadable packet"] += 1

    def _decoded(self, stream: Any, packet: "Packet[Any] | None") -> Iterator[AudioChunk | VideoFrame]:
        try:
            if packet is not None and packet.size > MAX_PACKET_BYTES:
                raise ValueError(f"a packet of {packet.size} bytes")
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError):
            self._damage[f"damaged {stream.type} packet"] += 1
            if stream is self._streams.audio:
                yield from self._counted(self._track.close_run())
            return
        for frame in frames:
            seconds = self._media_seconds(frame, stream)
            if stream is self._streams.audio:
                yield from self._sound(frame, seconds)
            else:
                yield from self._picture(frame, seconds)

    def _media_seconds(self, frame: Any, stream: Any) -> float | None:
        ticks = frame.pts
        if self._without_pts and stream.type == "video":
            ticks = frame.dts
            if ticks is not None:
                if self._decoding_delay is None:
                    self._decoding_delay = ticks - (stream.start_time or 0)
                ticks -= self._decoding_delay
        if ticks is None:
            return None
        seconds = float(ticks * stream.time_base)
        if self._zero is None:
            self._zero = seconds
        return seconds - self._zero

    def _sound(self, frame: AudioFrame, seconds: float | None) -> Iterator[AudioChunk]:
        if seconds is not None and abs(seconds - self._track.end_seconds) > MAX_JUMP_SECONDS:
            self._damage["absurdly timed sound block"] += 1
            return
        num_channels = frame.layout.nb_channels
        try:
            if not 0 < num_channels <= MAX_CHANNELS:
                raise ValueError(f"{num_channels} channels")
            samples = mixed(self._packing.packed(frame).to_ndarray(), num_channels, self._track.num_channels)
            yield from self._counted(self._track.push(seconds, samples, frame.sample_rate))
        except (av.FFmpegError, ValueError):
            self._damage["malformed sound block"] += 1

    def _counted(self, chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk]:
        for chunk in chunks:
            self.num_chunks += 1
            yield chunk

    def _picture(self, picture: av.VideoFrame, seconds: float | None) -> Iterator[VideoFrame]:
        if picture.is_corrupt or _too_large(picture.width, picture.height):
            self._damage["damaged picture"] += 1
            return
        period = self._period_seconds(picture)
        last = self._picture_seconds
        if seconds is None:
            seconds = 0.0 if last is None else last + period
        if abs(seconds - (last or 0.0)) > MAX_JUMP_SECONDS:
            self._damage["absurdly timed picture"] += 1
            return
        if seconds < -_ROUNDING_SECONDS:
            return
        seconds = max(0.0, seconds)
        if last is not None and seconds <= last:
            self._damage["out-of-order picture"] += 1
            return
        self._picture_seconds = seconds
        self._picture_end = seconds + period
        self.num_frames += 1
        if self._is_due(seconds):
            yield VideoFrame(seconds, picture, self._orientation_of(picture))

    def _orientation_of(self, picture: av.VideoFrame) -> _Orientation:
        """Read the display matrix where something changed: each look at side data leaves a kilobyte behind in PyAV."""
        key = (picture.rotation, picture.width, picture.height)
        if self._orientation is None or key != self._orientation_key:
            self._orientation, self._orientation_key = _Orientation.of(picture), key
        return self._orientation

    def _period_seconds(self, picture: av.VideoFrame) -> float:
        """Return how long a picture stands, for the end of the clip and for pictures without a timestamp."""
        stream = self._streams.video
        if picture.duration and stream is not None and stream.time_base is not None:
            return min(float(picture.duration * stream.time_base), MAX_JUMP_SECONDS)
        rate = stream.guessed_rate if stream is not None else None
        return 1.0 / float(rate) if rate else 1.0 / _FALLBACK_FRAME_RATE

    def _is_due(self, seconds: float) -> bool:
        if self._video_rate_hz is None:
            return True
        if seconds < self._next_due - _ROUNDING_SECONDS:
            return False
        slot = int((seconds + _ROUNDING_SECONDS) * self._video_rate_hz)
        self._next_due = (slot + 1) / self._video_rate_hz
        return True
