"""A few whole recordings of about a second, as bytes, from which damaged files are made."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from emotrace.types import FloatArray, Image
from tests.hostile.containers import with_index_first
from tests.media_factory import TICKS_PER_SECOND, tone

_QUICK = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}


@dataclass(frozen=True)
class Seen:
    """Pictures to encode.

    Attributes:
        codec: name of an encoder of FFmpeg.
        pixel_format: of the encoded pictures.
        width: pixels.
        height: pixels.
        times: seconds of each picture.
        noise: how much the pictures differ from each other, in levels of 255; 0 for one even picture that stays.
        options: of the encoder.
        set_up: attributes of the codec context, such as colour range and aspect ratio.
        rotation: degrees, written as display matrix.
        rate: nominal pictures a second.
        ticks: a second, of the encoder's clock; 0 counts pictures at the nominal rate.
        bright_corner: black pictures with a bright upper left quarter instead.
    """

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 96
    height: int = 64
    times: Sequence[float] = tuple(index / 25 for index in range(25))
    noise: int = 40
    options: dict[str, str] = field(default_factory=dict)
    set_up: dict[str, Any] = field(default_factory=dict)
    rotation: int = 0
    rate: Fraction = Fraction(25)
    ticks: int = TICKS_PER_SECOND
    bright_corner: bool = False


@dataclass(frozen=True)
class Heard:
    """Sound to encode.

    Attributes:
        codec: name of an encoder of FFmpeg.
        rate: Hz.
        layout: of the channels.
        samples: [C, N] in [-1, 1]; None is a second of a tone in every channel.
        start_seconds: time of the first sample.
    """

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "mono"
    samples: FloatArray | None = None
    start_seconds: float = 0.0


def recorded(
    suffix: str, seen: Sequence[Seen] = (), heard: Sequence[Heard] = (), options: dict[str, str] | None = None
) -> bytes:
    """Return a recording in the format that the suffix names; the same bytes every time.

    Args:
        suffix: of the file, with its dot.
        seen: a track of pictures each.
        heard: a track of sound each.
        options: of the muxer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed{suffix}"
        with av.open(str(path), mode="w", options={"fflags": "+bitexact", **(options or {})}) as container:
            frames: list[tuple[float, Any, Any]] = []
            for picture in seen:
                stream = _picture_stream(container, picture)
                frames += [(time, stream, frame) for time, frame in _pictures(picture)]
            for sound in heard:
                stream = container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
                frames += [(time, stream, frame) for time, frame in _sounds(sound, stream)]
            for _, stream, frame in sorted(frames, key=lambda entry: entry[0]):
                container.mux(stream.encode(frame))
            made: list[Any] = list(container.streams)
            for stream in made:
                container.mux(stream.encode(None))
        return path.read_bytes()


def _picture_stream(container: Any, seen: Seen) -> Any:
    options = {**_QUICK.get(seen.codec, {}), **seen.options}
    stream = container.add_stream(seen.codec, rate=seen.rate, options=options)
    stream.width, stream.height, stream.pix_fmt = seen.width, seen.height, seen.pixel_format
    stream.codec_context.thread_count = 1
    if seen.ticks:
        stream.codec_context.time_base = Fraction(1, seen.ticks)
    for name, value in seen.set_up.items():
        setattr(stream.codec_context, name, value)
    if seen.rotation:
        stream.set_display_rotation(seen.rotation)
    return stream


def drawn(width: int, height: int, number: int, noise: int) -> Image:
    """Return [height, width, 3]: a slope that moves with the number of the picture, and seeded noise."""
    across = (np.linspace(20, 180, width) + 2 * (number % 20)).astype(np.uint8)
    image = np.broadcast_to(across[None, :, None], (height, width, 3))
    if noise:
        drops = np.random.default_rng(number).integers(0, min(noise, 256 - int(across.max())), image.shape, np.uint8)
        return np.asarray(image + drops, np.uint8)
    return np.ascontiguousarray(image)


def _corner(seen: Seen) -> Image:
    image = np.zeros((seen.height, seen.width, 3), np.uint8)
    image[: seen.height // 2, : seen.width // 2] = 250
    return image


def _pictures(seen: Seen) -> list[tuple[float, Any]]:
    ticks = Fraction(1, seen.ticks) if seen.ticks else 1 / seen.rate
    frames: list[tuple[float, Any]] = []
    still = None if seen.noise else np.full((seen.height * 3 // 2, seen.width), 100, np.uint8)
    for number, time in enumerate(seen.times):
        if still is not None and seen.pixel_format in ("yuv420p", "yuvj420p"):
            frame = av.VideoFrame.from_ndarray(still, format=seen.pixel_format)
        else:
            picture = _corner(seen) if seen.bright_corner else drawn(seen.width, seen.height, number, seen.noise)
            image = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = image.reformat(format=seen.pixel_format)
        frame.pts, frame.time_base = round(time / ticks), ticks
        frames.append((time, frame))
    return frames


def _sounds(sound: Heard, stream: Any) -> list[tuple[float, Any]]:
    channels = av.AudioLayout(sound.layout).nb_channels
    samples = sound.samples
    if samples is None:
        samples = np.repeat(tone(1.0, 440.0, sound.rate), channels, axis=0)
    size = stream.codec_context.frame_size or 1024
    frames: list[tuple[float, Any]] = []
    for first in range(0, samples.shape[1], size):
        packed = np.ascontiguousarray(samples[:, first : first + size].T).reshape(1, -1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=sound.layout)
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = round(sound.start_seconds * sound.rate) + first
        frames.append((frame.pts / sound.rate, frame))
    return frames


_PCM = Heard("pcm_s16le", 16_000)

SEEDS = (
    "mp4 web.mp4 pieces.mp4 mov mkv webm avi flv ts mpg asf wav flac mp3 m4a ogg aiff w64 nut mxf gif ivf h264".split()
)
"""Names of seeds; what follows the last dot, or the name itself, is the format."""


@cache
def seed(name: str) -> bytes:
    """Return one of `SEEDS`, about a second long.

    Raises:
        KeyError: there is no such seed.
    """
    if name == "web.mp4":
        return with_index_first(seed("mp4"))
    seen, heard, options = _made_of()[name]
    return recorded(f".{name.rpartition('.')[2]}", seen, heard, options)


def _made_of() -> dict[str, tuple[list[Seen], list[Heard], dict[str, str]]]:
    counted = [Seen("mpeg4", ticks=0)]
    return {
        "mp4": ([Seen()], [Heard()], {}),
        "pieces.mp4": ([Seen()], [Heard()], {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        "mov": ([Seen("mjpeg", "yuvj420p")], [_PCM], {}),
        "mkv": ([Seen()], [Heard("libopus")], {}),
        "webm": ([Seen("libvpx-vp9")], [Heard("libopus")], {}),
        "avi": (counted, [_PCM], {}),
        "flv": ([Seen()], [Heard("libmp3lame", 44_100)], {}),
        "ts": ([Seen()], [Heard()], {}),
        "mpg": ([Seen("mpeg2video", ticks=0)], [Heard("mp2")], {}),
        "asf": ([Seen("wmv2", ticks=0)], [Heard("libmp3lame", 44_100)], {}),
        "wav": ([], [_PCM], {}),
        "flac": ([], [Heard("flac")], {}),
        "mp3": ([], [Heard("libmp3lame")], {}),
        "m4a": ([], [Heard()], {}),
        "ogg": ([], [Heard("libopus")], {}),
        "aiff": ([], [Heard("pcm_s16be", 16_000)], {}),
        "w64": ([], [_PCM], {}),
        "nut": ([Seen("ffv1")], [_PCM], {}),
        "mxf": ([Seen("mpeg2video", ticks=0)], [Heard("pcm_s16le", 48_000)], {}),
        "gif": ([Seen("gif", "rgb8", ticks=0)], [], {}),
        "ivf": ([Seen("libvpx-vp9", ticks=0)], [], {}),
        "h264": ([Seen()], [], {}),
    }
