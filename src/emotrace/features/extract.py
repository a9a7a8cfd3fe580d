"""A clip and a recipe -> features. The only place where media becomes numbers; everybody calls it.

Causal and streaming: a tick sees nothing after it, and blocks follow each other without memory growing, so a file cut
in blocks gives the same numbers as a file in one.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from emotrace.clock import num_ticks, tick_times
from emotrace.errors import MediaError
from emotrace.features.block import Describe, Pending, described_here
from emotrace.features.faces import Detector
from emotrace.features.hearing import Hearing
from emotrace.features.seeing import MainFace, Seeing
from emotrace.features.seeing_people import EveryFace
from emotrace.media import ClipInfo, VideoFrame
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.types import AudioChunk, Features

MAX_WAITING_BYTES = 1 << 30
"""Of sound and crops that wait for the other track: more than 4 h of sound, or of a day of faces."""
_LONGEST_PICTURE_SECONDS = 10.0
"""A nominal picture rate below 0.1 Hz is not believed."""


class Source(Protocol):
    """What can be read like a clip: a `media.Clip`, or a composed recording."""

    @property
    def info(self) -> ClipInfo:
        """What is known before reading."""

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        """Yield sound and pictures in the order of the file."""


def extract(
    clip: Source,
    recipe: Recipe,
    detector: Detector | None,
    *,
    hear: bool = True,
    block_seconds: float = 10.0,
) -> Generator[Features, None, None]:
    """Yield the features of a clip in blocks, first to last; the ticks cover the longer of sound and video.

    Args:
        clip: open, not read yet.
        recipe: every choice that changes the numbers.
        detector: finds faces; None leaves the pictures out.
        hear: whether the sound is used.
        block_seconds: media time of a block, at most; changes no number.

    Raises:
        MediaError: the clip turns out to be unreadable, or one track lies hours ahead of the other.
    """
    everybody = pending(clip, recipe, detector, hear=hear, block_seconds=block_seconds)
    return (part() for [part] in everybody)


def extract_people(
    clip: Source,
    recipe: Recipe,
    detector: Detector,
    *,
    hear: bool = True,
    block_seconds: float = 10.0,
) -> Generator[tuple[Features, ...], None, None]:
    """Yield the features of everybody in a clip: for each block those of every person at the ticks they are seen.

    The voice belongs to whoever speaks. Where nobody visible does, or nobody is visible, there are the features of
    `types.NOBODY`. Every tick is among those of somebody; those of a block are in order of their numbers.

    Args:
        clip: as for `extract`.
        recipe: as for `extract`.
        detector: finds faces.
        hear: as for `extract`.
        block_seconds: as for `extract`.

    Raises:
        MediaError: as `extract` does.
    """
    everybody = pending(clip, recipe, detector, people="all", hear=hear, block_seconds=block_seconds)
    return (tuple(part() for part in parts) for parts in everybody)


def pending(
    clip: Source,
    recipe: Recipe,
    detector: Detector | None,
    *,
    people: Literal["main", "all"] = "main",
    hear: bool = True,
    block_seconds: float = 10.0,
    describe: Describe = described_here,
) -> Generator[tuple[Pending, ...], None, None]:
    """Yield what `extract` or `extract_people` yields, each with its voice inputs still to be made: by a call.

    Whoever calls makes them, so that looking and hearing can be the work of two threads.

    Args:
        clip: as for `extract`.
        recipe: as for `extract`.
        detector: as for `extract`; needed where everybody is followed.
        people: the main person alone, or everybody.
        hear: as for `extract`.
        block_seconds: as for `extract`.
        describe: makes the inputs of the voice network, here or elsewhere.

    Raises:
        MediaError: as `extract` does.
    """
    voice = Hearing(recipe, describe)
    seeing: Seeing = EveryFace(recipe) if people == "all" else MainFace(recipe)
    for first, stop in _blocks(clip, voice, seeing, recipe, detector, hear=hear, block_seconds=block_seconds):
        ticks = tick_times(first, stop, recipe.label_rate_hz)
        yield seeing.take(ticks, voice.take(first, stop))


def _blocks(
    clip: Source,
    voice: Hearing,
    seeing: Seeing,
    recipe: Recipe,
    detector: Detector | None,
    *,
    hear: bool,
    block_seconds: float,
) -> Iterator[tuple[int, int]]:
    """Read the clip, and yield the first tick and the one after the last of every block that is complete."""
    pictures = _Pictures(_picture_seconds(clip.info, recipe))
    # A tick is complete when every track in use has gone past it.
    used = [voice] if hear and clip.info.has_audio else []
    tracks: list[Hearing | _Pictures] = [*used, pictures] if detector is not None and clip.info.has_video else [*used]
    block = max(1, round(block_seconds * recipe.label_rate_hz))
    first = 0
    for item in clip.read(sample_rate=SAMPLE_RATE, video_rate_hz=recipe.video.rate_hz):
        if isinstance(item, AudioChunk):
            voice.note_end(item)
            if hear:
                voice.add(item)
        else:
            pictures.note_end(item)
            if detector is not None:
                seeing.add(item, detector)
        while (
            tracks and num_ticks(min(track.complete_seconds for track in tracks), recipe.label_rate_hz) > first + block
        ):
            yield first, first + block
            first += block
        _refuse_to_wait(clip, voice, seeing)
    last = num_ticks(max(voice.end_seconds, pictures.end_seconds), recipe.label_rate_hz)
    while first < last:
        stop = min(first + block, last)
        yield first, stop
        first = stop


@dataclass
class _Pictures:
    """How far the pictures reach."""

    picture_seconds: float
    end_seconds: float = 0.0
    complete_seconds: float = 0.0

    def note_end(self, frame: VideoFrame) -> None:
        """Keep in mind that before this picture no other is to come."""
        self.complete_seconds = frame.time_seconds
        self.end_seconds = frame.time_seconds + self.picture_seconds


def _picture_seconds(info: ClipInfo, recipe: Recipe) -> float:
    """Return how long the last picture stands: a tick at least, longer in a slow video."""
    nominal = 1 / info.frame_rate if info.frame_rate else 0.0
    return max(1 / recipe.label_rate_hz, min(nominal, _LONGEST_PICTURE_SECONDS))


def _refuse_to_wait(clip: Source, voice: Hearing, seeing: Seeing) -> None:
    if voice.waiting_bytes + seeing.waiting_bytes > MAX_WAITING_BYTES:
        ahead, behind = ("sound", "pictures") if voice.waiting_bytes > seeing.waiting_bytes else ("pictures", "sound")
        raise MediaError(
            f"{clip.info.path} holds hours of {ahead} before the {behind} of the same time. Write the file anew "
            "(ffmpeg -i FILE -c copy NEW), or analyse one of them with --only voice or --only face."
        )
