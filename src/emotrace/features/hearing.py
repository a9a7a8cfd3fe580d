"""Sound as it comes -> what is heard at the ticks of a block, and what the next block still needs."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import tick_times
from emotrace.features.audio_signal import TICK_LENGTH, EndpointState, detect_speech
from emotrace.features.block import OBJECT_BYTES, Describe, Heard
from emotrace.features.voice_input import context_samples, input_shape
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.types import AudioChunk, BoolArray, FloatArray, IntArray


@dataclass
class Hearing:
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
