"""Pictures and sound with their media times -> an mp4 file (H.264 and AAC), complete or not there at all."""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emotrace.errors import MediaError
from emotrace.media import open_clip
from emotrace.types import AudioChunk, FloatArray, Image

_TICKS_PER_SECOND = 90_000
_COPY_RATE = 48_000
_SILENCE_SAMPLES = 480_000
"""Silence for a gap is made in pieces of at most this length, so that a long gap takes no memory."""


class ClipWriter:
    """Writes a clip; a context manager.

    The file appears under its name when the block ends well; until then it grows under a temporary name in the
    same folder, which is removed when the block ends with an error.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        frame_rate: float,
        sample_rate: int | None = None,
        sound_of: Path | None = None,
    ) -> None:
        """Start a clip.

        Args:
            path: of the mp4 file; an existing file is replaced at the end.
            width: of the pictures; an odd size grows by one pixel, as H.264 wants even ones.
            height: of the pictures.
            frame_rate: nominal; the times given to `write_frame` decide.
            sample_rate: Hz of the samples given to `write_audio`; None where there are none.
            sound_of: a clip whose sound is taken over at its own times, in stereo, instead of `write_audio`.

        Raises:
            MediaError: the folder cannot be written to, or `sound_of` cannot be read.
        """
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._last_ticks = -1
        self._sound: _SoundEncoder | None = None
        self._copied: Iterator[AudioChunk] = iter(())
        self._source = ExitStack()
        try:
            self._file = self._partial.open("wb")
            self._container = av.open(self._file, mode="w", format="mp4")
        except OSError as error:
            raise MediaError(f"{path} cannot be written: {error}. Choose another folder.") from error
        try:
            self._video = self._add_video(width, height, frame_rate)
            if sound_of is not None:
                self._copy_sound(sound_of)
            elif sample_rate is not None:
                self._sound = _SoundEncoder(self._container, sample_rate, "mono")
        except BaseException:
            self._discard()
            raise

    def write_frame(self, time_seconds: float, rgb: Image) -> None:
        """Write the picture [height, width, 3] that is shown from `time_seconds` on; times must rise.

        Raises:
            MediaError: the file cannot be written, for instance because the disk is full.
            ValueError: the time does not rise, or the picture has another size.
        """
        ticks = round(time_seconds * _TICKS_PER_SECOND)
        if ticks <= self._last_ticks:
            raise ValueError(f"a picture at {time_seconds} s does not come after the one before it")
        height, width = rgb.shape[:2]
        if (width + width % 2, height + height % 2) != (self._video.width, self._video.height):
            raise ValueError(f"a picture of {width}x{height}, not of {self._video.width}x{self._video.height}")
        even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS_PER_SECOND)
        self._last_ticks = ticks
        with self._writing():
            self._copy_sound_until(time_seconds)
            self._container.mux(self._video.encode(frame))

    def write_audio(self, samples: FloatArray) -> None:
        """Append samples [N] in [-1, 1] at the sample rate of the clip; the first is at media time zero.

        Raises:
            MediaError: the file cannot be written.
            ValueError: the clip was started without a sample rate.
        """
        if self._sound is None or self._sound.layout != "mono":
            raise ValueError("only a clip that is started with sample_rate takes samples")
        with self._writing():
            self._container.mux(self._sound.append(samples[:, None]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            with self._writing():
                self._finish()
        except BaseException:
            self._discard()
            raise

    def _finish(self) -> None:
        self._copy_sound_until(math.inf)
        self._container.mux(self._video.encode(None))
        if self._sound is not None:
            self._container.mux(self._sound.finish())
        self._container.close()
        self._file.close()
        self._source.close()
        self._partial.replace(self._path)

    def _discard(self) -> None:
        """Remove what was written; the error that led here is the one to tell."""
        self._source.close()
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()
        with suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path} cannot be written: {error}. Check the space on the disk.") from error

    def _add_video(self, width: int, height: int, frame_rate: float) -> VideoStream:
        rate = Fraction(frame_rate).limit_denominator(1001)
        # With its macroblock tree x264 now and then gives other bytes for the same pictures.
        options = {"preset": "veryfast", "crf": "20", "x264-params": "mbtree=0"}
        stream = self._container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS_PER_SECOND)
        return stream

    def _copy_sound(self, source: Path) -> None:
        clip = self._source.enter_context(open_clip(source))
        if clip.info.has_audio:
            self._sound = _SoundEncoder(self._container, _COPY_RATE, "stereo")
            self._copied = clip.read_stereo(sample_rate=_COPY_RATE)

    def _copy_sound_until(self, time_seconds: float) -> None:
        """Take over the sound up to the picture, so that the file is interleaved and nothing piles up."""
        while self._sound is not None and self._sound.end_seconds < time_seconds:
            chunk = next(self._copied, None)
            if chunk is None:
                return
            for silence in self._sound.silence_until(chunk.start_seconds):
                self._container.mux(self._sound.append(silence))
            self._container.mux(self._sound.append(chunk.samples))


class _SoundEncoder:
    """Samples one after the other -> AAC packets."""

    def __init__(self, container: OutputContainer, sample_rate: int, layout: Literal["mono", "stereo"]) -> None:
        self._stream: AudioStream = container.add_stream("aac", rate=sample_rate, layout=layout)
        self._sample_rate = sample_rate
        self._num_samples = 0
        self.layout = layout

    @property
    def end_seconds(self) -> float:
        return self._num_samples / self._sample_rate

    def append(self, samples: FloatArray) -> "list[Packet[AudioStream]]":
        """Encode samples [N, channels]."""
        if len(samples) == 0:
            return []
        planar = np.ascontiguousarray(samples.T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=self.layout)
        frame.sample_rate = self._sample_rate
        frame.pts, frame.time_base = self._num_samples, Fraction(1, self._sample_rate)
        self._num_samples += len(samples)
        return self._stream.encode(frame)

    def silence_until(self, time_seconds: float) -> Iterator[FloatArray]:
        """Yield the zeros that are missing up to `time_seconds`, in bounded pieces."""
        missing = round(time_seconds * self._sample_rate) - self._num_samples
        num_channels = 1 if self.layout == "mono" else 2
        for first in range(0, missing, _SILENCE_SAMPLES):
            yield np.zeros((min(_SILENCE_SAMPLES, missing - first), num_channels), np.float32)

    def finish(self) -> "list[Packet[AudioStream]]":
        return self._stream.encode(None)
