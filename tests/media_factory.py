"""Numbers with known times -> small media files, written with PyAV, for every test that needs a clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from emotrace.types import FloatArray, Image

TICKS_PER_SECOND = 12_000
"""A multiple of 24, 25, 30, 1000: the usual frame times are exact."""

_QUICK = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}


@dataclass(frozen=True)
class Pictures:
    """A video track.

    Attributes:
        images: [height, width, 3] each.
        times: seconds of each image.
        codec: name of an encoder of FFmpeg.
        pixel_format: of the encoded pictures.
        rotation: degrees counter-clockwise, written as display matrix.
        full_range: whether luma is stored as 0..255.
        options: of the encoder.
    """

    images: Sequence[Image]
    times: Sequence[float]
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rotation: int = 0
    full_range: bool = False
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sound:
    """A sound track.

    Attributes:
        samples: [C, N] in [-1, 1].
        sample_rate: Hz.
        codec: name of an encoder of FFmpeg.
        start_seconds: time of the first sample.
        layout: of FFmpeg, such as "mono", "stereo", "7.1".
    """

    samples: FloatArray
    sample_rate: int = 48_000
    codec: str = "aac"
    start_seconds: float = 0.0
    layout: str = "mono"


def flat_images(levels: Sequence[int], width: int = 96, height: int = 64) -> list[Image]:
    """Return one even grey image per level."""
    return [np.full((height, width, 3), level, dtype=np.uint8) for level in levels]


def tone(seconds: float, hertz: float = 440.0, sample_rate: int = 48_000, amplitude: float = 0.5) -> FloatArray:
    """Return [1, N]: a sine."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * times)[None, :], dtype=np.float32)


def talking_clip(path: Path, seconds: float = 2.0, frame_rate: float = 25.0) -> Path:
    """Write an mp4 with a 440 Hz tone and pictures that get lighter, from 40 to 200."""
    count = round(seconds * frame_rate)
    levels = np.linspace(40, 200, count).round().astype(int).tolist()
    pictures = Pictures(flat_images(levels), [index / frame_rate for index in range(count)])
    return write_clip(path, pictures=pictures, sounds=[Sound(tone(seconds))])


def write_clip(path: Path, *, pictures: Pictures | None = None, sounds: Sequence[Sound] = ()) -> Path:
    """Write a file in the format that its name says; several sounds become one track with gaps."""
    with av.open(str(path), mode="w") as container:
        video = _add_video(container, pictures, path.suffix) if pictures is not None else None
        sound: Any = None
        if sounds:
            sound = container.add_stream(sounds[0].codec, rate=sounds[0].sample_rate, layout=sounds[0].layout)
        frames: list[tuple[float, Any, Any]] = []
        if pictures is not None:
            frames += [(time, video, frame) for time, frame in _video_frames(pictures)]
        for part in sounds:
            frames += [(time, sound, frame) for time, frame in _audio_frames(part, sound)]
        for _, stream, frame in sorted(frames, key=lambda entry: entry[0]):
            container.mux(stream.encode(frame))
        for stream in (video, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def _add_video(container: Any, pictures: Pictures, suffix: str) -> Any:
    height, width = pictures.images[0].shape[:2]
    options = _QUICK.get(pictures.codec, {})
    stream = container.add_stream(pictures.codec, rate=25, options={**options, **pictures.options})
    stream.width, stream.height, stream.pix_fmt = width, height, pictures.pixel_format
    if suffix != ".avi" and pictures.codec != "mpeg4":  # these count in frames at the nominal rate
        stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
    if pictures.full_range:
        stream.codec_context.color_range = 2
    if pictures.rotation:
        stream.set_display_rotation(pictures.rotation)
    return stream


def _video_frames(pictures: Pictures) -> Iterator[tuple[float, av.VideoFrame]]:
    target_range = "JPEG" if pictures.full_range else "MPEG"
    for image, time in zip(pictures.images, pictures.times, strict=True):
        rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = rgb.reformat(format=pictures.pixel_format, dst_color_range=target_range)
        frame.pts, frame.time_base = round(time * TICKS_PER_SECOND), Fraction(1, TICKS_PER_SECOND)
        yield time, frame


def _audio_frames(sound: Sound, stream: Any) -> Iterator[tuple[float, av.AudioFrame]]:
    """Yield frames of 1024 samples, or of what the encoder wants."""
    size = stream.codec_context.frame_size or 1024
    for first in range(0, sound.samples.shape[1], size):
        packed = np.ascontiguousarray(sound.samples[:, first : first + size].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=sound.layout)
        frame.sample_rate = sound.sample_rate
        frame.pts = round(sound.start_seconds * sound.sample_rate) + first
        frame.time_base = Fraction(1, sound.sample_rate)
        yield frame.pts / sound.sample_rate, frame
