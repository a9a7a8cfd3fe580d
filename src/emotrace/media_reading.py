"""An open container -> sound and pictures in its order, each with its media time, and what was damaged."""

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet

from emotrace.media_audio import SoundTrack, mixed
from emotrace.media_container import (
    MAX_CHANNELS,
    MAX_PIXELS,
    Streams,
    can_be_shown,
    check_memory,
    is_heavy,
    num_threads,
    too_large,
)
from emotrace.media_picture import Orientation, VideoFrame
from emotrace.types import AudioChunk

MAX_MEDIA_SECONDS = 24 * 3600.0
MAX_EMPTY_SECONDS = 1800.0
"""Of all stretches together in which a file holds neither sound nor picture: each costs as much as a recording."""
MAX_PACKET_BYTES = 64 * 2**20
MAX_DAMAGED = 10_000
MAX_READ_ERRORS_IN_A_ROW = 100
_ROUNDING_SECONDS = 0.001
_PAUSE_SECONDS = 10.0
"""Between two pictures of a slow video; what is longer counts as empty."""
_FALLBACK_FRAME_RATE = 25.0


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


class Reading:
    """One pass through a file: what is known so far of time, rate and damage."""

    def __init__(
        self, streams: Streams, zero_seconds: float | None, track: SoundTrack, video_rate_hz: float | None
    ) -> None:
        self._streams = streams
        self._zero = zero_seconds
        self._track = track
        self._packing = _Packing()
        self._video_rate_hz = video_rate_hz
        self._next_due = 0.0
        self._empty_left = MAX_EMPTY_SECONDS
        self._without_pts = False
        self._decoding_delay: int | None = None
        self._picture_seconds: float | None = None
        self._picture_end = 0.0
        self._orientation: Orientation | None = None
        self._orientation_key = (0, 0, 0)
        self._damage: Counter[str] = Counter()
        self._notes: list[str] = []
        self.num_frames = 0
        self.num_chunks = 0

    def run(self, container: InputContainer) -> Iterator[AudioChunk | VideoFrame]:
        """Yield what the container holds, to its end."""
        self._without_pts = container.format.name == "avi"  # has decoding times only; what FFmpeg adds is a guess
        if any(is_heavy(stream) for stream in self._streams):
            gc.collect()  # PyAV's objects hold each other: the decoder of the first look would stay, with its pictures
        for stream in self._streams:
            stream.codec_context.thread_type = "AUTO"
            stream.codec_context.thread_count = num_threads(stream)
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
        if declared_seconds is not None and end < 0.95 * declared_seconds - 0.3:
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
            except (av.FFmpegError, OSError) as error:
                check_memory(error)
                errors_in_a_row += 1
                self._damage["unreadable packet"] += 1

    def _decoded(self, stream: Any, packet: "Packet[Any] | None") -> Iterator[AudioChunk | VideoFrame]:
        try:
            if packet is not None and packet.size > MAX_PACKET_BYTES:
                raise ValueError(f"a packet of {packet.size} bytes")
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            check_memory(error, stream)
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
        base = stream.time_base  # a fraction, whose own arithmetic takes ten times as long
        seconds = float(ticks * base.numerator / base.denominator)
        if self._zero is None:
            self._zero = seconds
        return seconds - self._zero

    def _follows(self, seconds: float) -> bool:
        """Return whether a time can be believed after what was read, and count what is empty before it."""
        ahead = seconds - max(self._track.end_seconds, self._picture_seconds or 0.0)
        if not -MAX_MEDIA_SECONDS <= seconds <= MAX_MEDIA_SECONDS or ahead > self._empty_left:
            return False
        if ahead > _PAUSE_SECONDS:
            self._empty_left -= ahead
        return True

    def _sound(self, frame: AudioFrame, seconds: float | None) -> Iterator[AudioChunk]:
        if seconds is not None and not self._follows(seconds):
            self._damage["absurdly timed sound block"] += 1
            return
        num_channels = frame.layout.nb_channels
        try:
            if not 0 < num_channels <= MAX_CHANNELS:
                raise ValueError(f"{num_channels} channels")
            samples = mixed(self._packing.packed(frame).to_ndarray(), num_channels, self._track.num_channels)
            yield from self._counted(self._track.push(seconds, samples, frame.sample_rate))
        except (av.FFmpegError, ValueError) as error:
            check_memory(error)
            self._damage["malformed sound block"] += 1

    def _counted(self, chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk]:
        for chunk in chunks:
            self.num_chunks += 1
            yield chunk

    def _picture(self, picture: av.VideoFrame, seconds: float | None) -> Iterator[VideoFrame]:
        if picture.is_corrupt:
            check_memory(ValueError("a picture that is not whole"), self._streams.video)
        if picture.is_corrupt or too_large(picture.width, picture.height):
            self._damage["damaged picture"] += 1
            return
        if not can_be_shown(picture.format.name):
            self._damage[f"unconvertible {picture.format.name} picture"] += 1
            return
        period = self._period_seconds(picture)
        last = self._picture_seconds
        if seconds is None:
            seconds = 0.0 if last is None else last + period
        if not self._follows(seconds):
            self._damage["absurdly timed picture"] += 1
            return
        if seconds < -_ROUNDING_SECONDS and last is None:
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

    def _orientation_of(self, picture: av.VideoFrame) -> Orientation:
        """Read the display matrix where something changed: each look at side data leaves a kilobyte behind in PyAV."""
        key = (picture.rotation, picture.width, picture.height)
        if self._orientation is None or key != self._orientation_key:
            self._orientation, self._orientation_key = Orientation.of(picture), key
        return self._orientation

    def _period_seconds(self, picture: av.VideoFrame) -> float:
        """Return how long a picture stands, for the end of the clip and for pictures without a timestamp."""
        stream = self._streams.video
        if picture.duration and stream is not None and stream.time_base is not None:
            return min(float(picture.duration * stream.time_base), MAX_EMPTY_SECONDS)
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
