"""Decoded blocks of sound with timestamps -> contiguous 16-bit chunks at one sample rate, while streaming."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from emotrace.types import AudioChunk, FloatArray

GAP_SECONDS = 0.05
"""Timestamps this far from where the samples so far end are believed; below it they are jitter."""

_TOUCHING_SECONDS = 0.001
"""A run that starts this close to the end of the last one continues it exactly."""

_LOUDEST = 1000.0
"""Of float samples, where 1 is full scale: a recording may go beyond, but sums of what is mixed stay finite."""

_MERGED_SECONDS = 0.2
"""Decoders give blocks of some 20 ms; they are resampled together, as each call costs as much as that much sound."""
_SAMPLE_RATES = range(1_000, 768_001)


class SoundTrack:
    """Joins blocks of sound into runs without gaps, each resampled on its own and placed by its timestamp.

    The sound never overlaps itself: what lies before the end of what was given out is dropped.

    Attributes:
        end_seconds: media time up to which sound was given out; 0 before the first.
        overlap_seconds: how much sound was dropped because its timestamps go back.
    """

    def __init__(self, sample_rate: int, num_channels: int = 1) -> None:
        """Start without sound.

        Args:
            sample_rate: Hz of the chunks given out.
            num_channels: 1 for samples of shape [N], 2 for [N, 2], in and out.
        """
        self._sample_rate = sample_rate
        self.num_channels = num_channels
        self._source_rate = 0
        self._resampler: Any = None  # soxr has no types
        self._run_start: float | None = None
        self._waiting: list[FloatArray] = []
        self._num_waiting = 0
        self._samples_in = 0
        self._samples_out = 0
        self.end_seconds = 0.0
        self.overlap_seconds = 0.0

    def push(self, start_seconds: float | None, samples: FloatArray, source_rate: int) -> Iterator[AudioChunk]:
        """Yield what becomes ready with one more block.

        Args:
            start_seconds: media time of the first sample; None continues the last block.
            samples: [N] or [N, 2]; values beyond [-1, 1] are clipped, what is not finite becomes 0.
            source_rate: Hz of this block.

        Raises:
            ValueError: a sample rate that no recording has.
        """
        if source_rate not in _SAMPLE_RATES:
            raise ValueError(f"a sample rate of {source_rate} Hz")
        expected = self._expected_seconds()
        start = expected if start_seconds is None else start_seconds
        continues = self._run_start is not None and source_rate == self._source_rate
        if not continues or abs(start - expected) > GAP_SECONDS:
            yield from self.close_run()
            start, samples = self._without_overlap(start, samples, source_rate)
            if len(samples) == 0:
                return
            self._open_run(start, source_rate)
        self._samples_in += len(samples)
        self._waiting.append(samples)
        self._num_waiting += len(samples)
        if self._num_waiting >= _MERGED_SECONDS * source_rate:
            yield from self._chunk(self._resampled(self._gathered(), last=False))

    def close_run(self) -> Iterator[AudioChunk]:
        """Yield what the resampler still holds; the next block stands where its own timestamp says."""
        if self._run_start is None:
            return
        yield from self._chunk(self._resampled(self._gathered(), last=True))
        self._run_start = None

    def _gathered(self) -> FloatArray:
        nothing = np.zeros(0 if self.num_channels == 1 else (0, self.num_channels), np.float32)
        gathered = np.concatenate([nothing, *self._waiting])
        self._waiting.clear()
        self._num_waiting = 0
        return gathered

    def _expected_seconds(self) -> float:
        if self._run_start is None:
            return self.end_seconds
        return self._run_start + self._samples_in / self._source_rate

    def _without_overlap(self, start: float, samples: FloatArray, source_rate: int) -> tuple[float, FloatArray]:
        if abs(start - self.end_seconds) <= _TOUCHING_SECONDS:
            return self.end_seconds, samples
        if start > self.end_seconds:
            return start, samples
        num_dropped = min(len(samples), math.ceil((self.end_seconds - start) * source_rate))
        if self.end_seconds > 0:  # what lies before media time zero is priming, not damage
            self.overlap_seconds += num_dropped / source_rate
        return start + num_dropped / source_rate, samples[num_dropped:]

    def _open_run(self, start: float, source_rate: int) -> None:
        self._run_start = start
        self._source_rate = source_rate
        self._samples_in = 0
        self._samples_out = 0
        self._resampler = None
        if source_rate != self._sample_rate:
            self._resampler = soxr.ResampleStream(source_rate, self._sample_rate, self.num_channels, dtype="float32")

    def _resampled(self, samples: FloatArray, last: bool) -> FloatArray:
        clean = np.clip(np.nan_to_num(samples, posinf=0.0, neginf=0.0), -1.0, 1.0).astype(np.float32)
        if self._resampler is None:
            return clean
        return np.asarray(self._resampler.resample_chunk(clean, last=last), dtype=np.float32)

    def _chunk(self, samples: FloatArray) -> Iterator[AudioChunk]:
        if len(samples) == 0 or self._run_start is None:
            return
        start = self._run_start + self._samples_out / self._sample_rate
        self._samples_out += len(samples)
        self.end_seconds = self._run_start + self._samples_out / self._sample_rate
        yield AudioChunk(start, _quantised(samples))


def mixed(samples: NDArray[Any], source_channels: int, num_channels: int) -> FloatArray:
    """Return [N], the mean over the channels, or [N, 2]: two channels as they are, else their mean in both.

    Args:
        samples: [C, N] planar or [1, N * C] packed, of any integer or float type that FFmpeg decodes to.
        source_channels: C.
        num_channels: 1 or 2.

    Returns:
        Samples in [-1, 1], integers scaled by their full range; floats may go beyond, what is not finite becomes 0.
    """
    planar = samples if len(samples) == source_channels else samples.reshape(-1, source_channels).T
    scale, offset = 1.0, 0.0
    if samples.dtype.kind in "iu":
        scale = 1.0 / 2 ** (8 * samples.dtype.itemsize - 1)
        offset = 1.0 if samples.dtype.kind == "u" else 0.0
    elif not np.abs(planar).max(initial=0.0) <= _LOUDEST:  # too loud, or no numbers
        planar = np.clip(np.nan_to_num(planar, nan=0.0, posinf=0.0, neginf=0.0), -_LOUDEST, _LOUDEST)
    if planar.dtype.kind == "f" and source_channels == num_channels == 1:
        return np.asarray(planar[0], dtype=np.float32)
    if num_channels == 2 == source_channels:
        return np.asarray(planar.T * scale - offset, dtype=np.float32)
    total = planar[0].astype(np.float64)
    for channel in planar[1:]:
        total += channel
    mean = total / len(planar) * scale - offset
    wanted = mean if num_channels == 1 else np.stack([mean, mean], axis=1)
    return np.asarray(wanted, dtype=np.float32)


def _quantised(samples: FloatArray) -> FloatArray:
    whole = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return np.asarray(whole / 32768.0, dtype=np.float32)
