"""Names -> the media files that speed and memory are measured on, made once and kept in a folder that git ignores.

Nothing in them is recorded: the head and the voice are those of `emotrace.demo`. Long ones repeat the packets of a
minute, which is what a decoder has to do with an hour.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

import emotrace
from emotrace.demo import make_demo

KEPT = Path("runs/bench/clips")
MINUTE = 60.0
_PHONE_SECONDS = 10.0
"""Pictures of this size take long to draw and to code."""
_SOURCES = ("demo.py", "demo_face.py", "demo_voice.py", "media_writer.py")
_SOUND_HZ = 48_000
_WIDTH, _HEIGHT, _RATE = 1920, 1080, 30
_BIT_RATE = 10_000_000
"""Of a phone at 1080p30: 8 to 12 Mbit/s."""
_TEXTURE_LEVELS, _NOISE_LEVELS = 14.0, 3.0
_NUM_NOISES = 8
_HEAD = (0.5, 0.47, 0.20, 0.36)
"""Centre and half axes of the part without texture, in widths and heights: there it would be on the face."""


@dataclass(frozen=True)
class Clip:
    """A file to measure on.

    Attributes:
        name: short, stands in tables.
        what: in words.
        path: of the file.
        seconds: its length.
        is_generated: whether anybody can make the same one.
    """

    name: str
    what: str
    path: Path
    seconds: float
    is_generated: bool = True


class Clips:
    """The folder of the files, one for each version of the code that draws them."""

    def __init__(self, folder: Path = KEPT) -> None:
        """Make the folder."""
        package = Path(emotrace.__file__).parent
        texts = [Path(__file__).read_bytes(), *((package / name).read_bytes() for name in _SOURCES)]
        self._folder = folder / hashlib.sha256(b"".join(texts)).hexdigest()[:12]
        self._folder.mkdir(parents=True, exist_ok=True)

    def talk(self, seconds: float = MINUTE) -> Clip:
        """Return the clip of `emotrace demo`, 640x480 at 25 pictures a second; beyond a minute it repeats."""
        path = self._kept(f"talk_{min(seconds, MINUTE):g}.mp4", lambda path: _talk(path, min(seconds, MINUTE)))
        return self._long(Clip("640x480", "640x480, 25 pictures/s, H.264 and AAC", path, seconds), path)

    def phone(self, seconds: float = MINUTE) -> Clip:
        """Return a clip such as a phone makes; beyond ten seconds it repeats."""
        drawn = min(seconds, _PHONE_SECONDS)
        path = self._kept(f"phone_{drawn:g}.mp4", lambda path: make_phone(path, drawn))
        what = f"{_WIDTH}x{_HEIGHT}, {_RATE} pictures/s, H.264 high profile with B-frames, {_BIT_RATE // 10**6} Mbit/s"
        return self._long(Clip("1080p30", what, path, seconds), path, drawn)

    def sound(self, suffix: str, seconds: float = 30 * MINUTE) -> Clip:
        """Return the voice alone: ".m4a" (AAC) or ".wav" (16 bit), 48 kHz mono; beyond a minute it repeats."""
        path = self._kept(f"voice_{min(seconds, MINUTE):g}{suffix}", lambda path: _voice(path, min(seconds, MINUTE)))
        return self._long(
            Clip(suffix.strip("."), f"sound alone, 48 kHz mono, {suffix.strip('.')}", path, seconds), path
        )

    def recorded(self, path: Path, seconds: float = MINUTE) -> Clip:
        """Return a recording of somebody's, repeated to the length."""
        clip = Clip(path.stem, f"{path.name}, repeated", path, seconds, is_generated=False)
        target = self._folder / f"{path.stem}_{seconds:g}{path.suffix}"
        return Clip(clip.name, clip.what, self._kept(target.name, lambda it: repeat(path, it, seconds)), seconds, False)

    def _long(self, clip: Clip, made: Path, made_seconds: float = MINUTE) -> Clip:
        if clip.seconds <= made_seconds:
            return clip
        name = f"{made.stem.split('_')[0]}_{clip.seconds:g}{made.suffix}"
        path = self._kept(name, lambda it: repeat(made, it, clip.seconds))
        return Clip(clip.name, clip.what, path, clip.seconds)

    def _kept(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the file, made first if there is none; one that was not finished has another name."""
        path = self._folder / name
        if not path.is_file():
            partial = path.with_name(f"partial-{name}")
            make(partial)
            partial.replace(path)
        return path


def _talk(path: Path, seconds: float) -> None:
    make_demo(path, seconds=seconds)


def make_phone(path: Path, seconds: float) -> None:
    """Write the drawn head before a textured wall that moves slowly, with the noise of a camera, and the voice.

    Without texture and noise a decoder would have next to nothing to do, whatever the bit rate.
    """
    drawn = path.with_name(f"drawn-{path.name}")
    make_demo(drawn, seconds=seconds, size=(_WIDTH // 2, _HEIGHT // 2), frame_rate=_RATE)
    with av.open(str(drawn)) as source, av.open(str(path), mode="w") as out:
        video = out.add_stream("libx264", rate=_RATE, options={"preset": "veryfast", "profile": "high", "bf": "2"})
        video.width, video.height, video.pix_fmt, video.bit_rate = _WIDTH, _HEIGHT, "yuv420p", _BIT_RATE
        sound = out.add_stream_from_template(source.streams.audio[0])
        surface = _surface()
        for packet in source.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                packet.stream = sound
                out.mux(packet)
            elif packet.stream.type == "video":
                for picture in cast(list[av.VideoFrame], packet.decode()):
                    out.mux(video.encode(_filmed(picture, next(surface))))
        out.mux(video.encode(None))
    drawn.unlink()


def _filmed(picture: av.VideoFrame, surface: NDArray[np.int16]) -> av.VideoFrame:
    large = picture.reformat(width=_WIDTH, height=_HEIGHT, format="yuv420p")
    planes = large.to_ndarray()  # [3/2 height, width], luma first
    planes[:_HEIGHT] = np.clip(planes[:_HEIGHT] + surface, 16, 235)
    filmed = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    filmed.pts, filmed.time_base = picture.pts, picture.time_base
    return filmed


def _surface() -> Iterator[NDArray[np.int16]]:
    """Yield [height, width]: what is added to the luma of one picture after the other."""
    rng = np.random.default_rng(0)
    height, width = _HEIGHT + 64, _WIDTH + 64
    cells = [
        np.kron(rng.standard_normal((-(-height // cell), -(-width // cell))), np.ones((cell, cell)))[:height, :width]
        for cell in (2, 4, 8, 16)
    ]
    grain = np.sum(cells, axis=0)
    texture = (grain * (_TEXTURE_LEVELS / np.std(grain))).astype(np.float32)
    noises = [(rng.standard_normal((_HEIGHT, _WIDTH)) * _NOISE_LEVELS).astype(np.int16) for _ in range(_NUM_NOISES)]
    shown = _beside_the_head()
    for number, noise in enumerate(cycle(noises)):
        x, y = (round(32 + 31 * np.sin(number / _RATE * speed)) for speed in (0.4, 0.3))
        yield (texture[y : y + _HEIGHT, x : x + _WIDTH] * shown).astype(np.int16) + noise


def _beside_the_head() -> NDArray[np.float32]:
    """Return [height, width]: how much of the texture is seen, 0 on the head."""
    x, y, half_x, half_y = _HEAD
    across, down = np.arange(_WIDTH) / _WIDTH, np.arange(_HEIGHT)[:, None] / _HEIGHT
    distance = np.hypot((across - x) / half_x, (down - y) / half_y)
    return np.asarray(np.clip((distance - 1) * 8, 0, 1), np.float32)


def _voice(path: Path, seconds: float) -> None:
    drawn = path.with_name(f"drawn-{path.stem}.mp4")
    make_demo(drawn, seconds=seconds, size=(64, 64), frame_rate=5)
    resampler = av.AudioResampler(format="s16" if path.suffix == ".wav" else "fltp", layout="mono", rate=_SOUND_HZ)
    with av.open(str(drawn)) as source, av.open(str(path), mode="w") as out:
        stream = out.add_stream("pcm_s16le" if path.suffix == ".wav" else "aac", rate=_SOUND_HZ, layout="mono")
        for frame in (*source.decode(audio=0), None):
            for resampled in resampler.resample(frame):
                out.mux(stream.encode(resampled))
        out.mux(stream.encode(None))
    drawn.unlink()


def repeat(source: Path, target: Path, seconds: float) -> None:
    """Copy the packets of a clip again and again, without coding them anew, until the target is long enough."""
    with av.open(str(target), mode="w") as out:
        with av.open(str(source)) as first:
            streams = {stream.index: out.add_stream_from_template(stream) for stream in first.streams}
            length = Fraction(first.duration or 0, av.time_base)
        last = dict.fromkeys(streams, Fraction(-1))
        begin = Fraction(0)
        while begin < seconds:
            with av.open(str(source)) as again:
                for packet in again.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    decoded = begin + packet.dts * packet.time_base
                    # Where the copies meet, an encoder's lead-in would go back in time.
                    if last[packet.stream_index] < decoded < seconds:
                        last[packet.stream_index] = decoded
                        shift = round(begin / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = streams[packet.stream_index]
                        out.mux(packet)
            begin += length
