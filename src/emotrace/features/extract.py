"""A clip and a recipe -> features. The only place where media becomes numbers; everybody calls it.

Causal and streaming: a tick sees nothing after it, and blocks follow each other without memory growing, so a file cut
in blocks gives the same numbers as a file in one.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import num_ticks, tick_times
from emotrace.errors import MediaError
from emotrace.features.audio_signal import TICK_LENGTH, EndpointState, detect_speech
from emotrace.features.block import Describe, Heard, Pending, described_here
from emotrace.features.faces import Detector
from emotrace.features.seeing import OBJECT_BYTES, MainFace, Seeing
from emotrace.features.seeing_people import EveryFace
from emotrace.features.voice_input import context_samples, input_shape
from emotrace.media import ClipInfo, VideoFrame
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.types import AudioChunk, BoolArray, Features, FloatArray, IntArray

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
    voice = _Voice(recipe, describe)
    seeing: Seeing = EveryFace(recipe) if people == "all" else MainFace(recipe)
    for first, stop in _blocks(clip, voice, seeing, recipe, detector, hear=hear, block_seconds=block_seconds):
        ticks = tick_times(first, stop, recipe.label_rate_hz)
        yield seeing.take(ticks, voice.take(first, stop))


def _blocks(
    clip: Source,
    voice: "_Voice",
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
    tracks: list[_Voice | _Pictures] = [*used, pictures] if detector is not None and clip.info.has_video else [*used]
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


def _refuse_to_wait(clip: Source, voice: "_Voice", seeing: Seeing) -> None:
    if voice.waiting_bytes + seeing.waiting_bytes > MAX_WAITING_BYTES:
        ahead, behind = ("sound", "pictures") if voice.waiting_bytes > seeing.waiting_bytes else ("pictures", "sound")
        raise MediaError(
            f"{clip.info.path} holds hours of {ahead} before the {behind} of the same time. Write the file anew "
            "(ffmpeg -i FILE -c copy NEW), or analyse one of them with --only voice or --only face."
        )


@dataclass
class _Voice:
    """Samples heard so far that later ticks still need, and the carry of the endpoint detection."""

    recipe: Recipe
    describe: Describe
    end_seconds: float = 0.0
    waiting_bytes: int = 0
    _pieces: deque[tuple[int, FloatArray]] = field(default_factory=deque)
    _next_sample: int = 0
    _endpoint: EndpointState = field(default_factory=EndpointState)
    _detected: int = 0
    _last_speech: tuple[bool, float] = (False, 0.0)
    _has_input: bool = False
    _ticks_since_speech: int = 1_000_000
    _heard_anything: bool = False

    def __post_init__(self) -> None:
        self._context = context_samples(self.recipe.audio)
        self._hop_ticks = max(1, round(self.recipe.audio.hop_seconds * self.recipe.label_rate_hz))

    @property
    def complete_seconds(self) -> float:
        """Media time before which nothing more is to come."""
        return self.end_seconds

    def add(self, chunk: AudioChunk) -> None:
        """Keep a chunk with its place in media time, less what overlaps; gaps between chunks are silence."""
        place = round(chunk.start_seconds * SAMPLE_RATE)
        samples = chunk.samples[max(0, self._next_sample - place) :]
        place = max(place, self._next_sample)
        self._pieces.append((place, samples))
        self._next_sample = place + len(samples)
        self.waiting_bytes += _piece_bytes(samples)
        self._heard_anything = True

    def note_end(self, chunk: AudioChunk) -> None:
        """Keep in mind how far the sound reaches."""
        self.end_seconds = max(self.end_seconds, chunk.start_seconds + len(chunk.samples) / SAMPLE_RATE)

    def _between(self, first: int, stop: int) -> FloatArray:
        """Return samples first .. stop - 1 of the recording, zeros where there are none."""
        out = np.zeros(stop - first, dtype=np.float32)
        for place, samples in self._pieces:
            if place >= stop:  # what the file holds ahead is not looked through
                break
            low, high = max(first, place), min(stop, place + len(samples))
            if high > low:
                out[low - first : high - first] = samples[low - place : high - place]
        return out

    def take(self, first: int, stop: int) -> Heard:
        """Return what is heard at ticks first .. stop - 1, and forget the samples that no later tick needs."""
        count = stop - first
        if not self._heard_anything:
            nothing = np.zeros(count, dtype=bool)
            no_index, no_energy = np.full(count, -1), np.full(count, np.nan, dtype=np.float32)
            return Heard(self._no_inputs, no_index, nothing, nothing, no_energy)

        speech, energy = self._endpoints(tick_times(first, stop, self.recipe.label_rate_hz))
        inputs, index = self._inputs(first, stop)
        heard = Heard(inputs, index, self._recent(speech), speech, energy)
        self._forget(self._sample(self._last_hop(stop)) - self._context)
        return heard

    def _sample(self, tick: int) -> int:
        """Return the sample at a tick: sound before it is heard, sound from it on is not."""
        return round(tick / self.recipe.label_rate_hz * SAMPLE_RATE)

    def _endpoints(self, ticks: NDArray[np.float64]) -> tuple[BoolArray, FloatArray]:
        """Return what the endpoint detection says of the last whole 40 ms before each tick."""
        ends = np.floor(ticks * SAMPLE_RATE / TICK_LENGTH + 1e-6).astype(np.int64)
        samples = self._between(self._detected * TICK_LENGTH, int(ends[-1]) * TICK_LENGTH)
        self._endpoint, found = detect_speech(self._endpoint, samples)
        # One tick may fall into the stretch that the block before has seen last.
        speech = np.concatenate([[self._last_speech[0]], found.speech])
        energy = np.concatenate([[self._last_speech[1]], found.speech_energy])
        place = ends - self._detected
        self._detected = int(ends[-1])
        self._last_speech = bool(speech[-1]), float(energy[-1])
        return speech[place], energy[place].astype(np.float32)

    def _last_hop(self, before: int) -> int:
        """Return the last tick before this one at which an input is due; 0 where none is."""
        return (before - 1) // self._hop_ticks * self._hop_ticks

    def _inputs(self, first: int, stop: int) -> tuple[Callable[[], FloatArray], IntArray]:
        """Return what makes the inputs, from the one that is the latest before the first tick on; which one holds."""
        ticks = np.arange(first, stop)
        due = (ticks > 0) & (ticks % self._hop_ticks == 0)
        index = np.cumsum(due) - (not self._has_input)
        at = [self._last_hop(first)] * self._has_input + ticks[due].tolist()
        if not at:
            return self._no_inputs, index
        self._has_input = True
        origin = self._sample(at[0]) - self._context
        ends = np.array([self._sample(tick) for tick in at]) - origin
        return self.describe(self._between(origin, self._sample(stop - 1)), ends, self.recipe.audio), index

    def _no_inputs(self) -> FloatArray:
        return np.zeros((0, *input_shape(self.recipe.audio)), dtype=np.float32)

    def _recent(self, speech: BoolArray) -> BoolArray:
        hold_ticks = round(self.recipe.audio.speech_hold_seconds * self.recipe.label_rate_hz)
        ticks = np.arange(1, len(speech) + 1)
        last = np.maximum.accumulate(np.where(speech, ticks, -self._ticks_since_speech))  # 0 is the block before
        self._ticks_since_speech = int(ticks[-1] - last[-1])
        return (ticks - last) <= hold_ticks

    def _forget(self, before: int) -> None:
        while self._pieces and self._pieces[0][0] + len(self._pieces[0][1]) <= before:
            self.waiting_bytes -= _piece_bytes(self._pieces.popleft()[1])


def _piece_bytes(samples: FloatArray) -> int:
    return samples.nbytes + OBJECT_BYTES
