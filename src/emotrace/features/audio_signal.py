"""Samples -> pre-emphasised samples, frames with energy and zero-crossing rate, and a mask of speech.

Liu & Tang 2021, section 4.1, equations 1-6, and m of equation 31. The sample rate is 16 kHz.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emotrace.types import BoolArray, FloatArray, IntArray

FRAME_LENGTH = 400
"""Samples of an analysis frame: 25 ms at 16 kHz."""
HOP_LENGTH = 160
"""Samples from one analysis frame to the next: 10 ms at 16 kHz."""
TICK_LENGTH = 640
"""Samples for which the endpoint detection gives one answer: 40 ms at 16 kHz, a tick of the label clock."""

_FRAMES_PER_TICK = TICK_LENGTH // HOP_LENGTH
_BLOCK_LENGTH = 1_000 * TICK_LENGTH
"""Samples looked at in one go, so that the memory does not grow with the block that is given."""

_LOWEST_DB = -100.0
_STEP_DB = 0.5
_NUM_LEVELS = 200
_FLOOR_DB = -62.0
"""No noise floor is taken to lie under this level (dB of mean square; 0 is a full-scale square wave)."""
_FORGETTING = 0.5 ** (0.04 / 30)
"""Per tick: what was heard 30 s ago counts half."""
_SHARES = (0.10, 0.99)
"""Percentiles of the levels heard: of the background, and of the peak."""
_STEADY_TICKS = 50
"""A sound that has not let up for two seconds is taken for background."""
_STARTING_TICKS = 5.0
_ONSET_FRAMES = 3
_RELEASE_FRAMES = 6
_UNVOICED_CROSSINGS = 0.25
_UNVOICED_MARGIN = 0.15
_SILENCE_RATE = 0.02


def pre_emphasise(samples: FloatArray, coefficient: float, previous: float) -> tuple[FloatArray, float]:
    """Return y[n] = x[n] - a x[n-1] and the last sample, to be the next block's `previous` (eq. 1-2).

    Args:
        samples: [N] of one block.
        coefficient: a, in 0..1.
        previous: the sample before the block; 0 at the start of a recording.
    """
    if len(samples) == 0:
        return samples.astype(np.float32), previous
    delayed = np.empty(len(samples), dtype=np.float32)
    delayed[0] = previous
    delayed[1:] = samples[:-1]
    return samples.astype(np.float32) - np.float32(coefficient) * delayed, float(samples[-1])


@cache
def hamming(length: int) -> FloatArray:
    """Return [length], not to be written to: the symmetric Hamming window 0.54 - 0.46 cos(2 pi n / (N - 1)) (eq. 4)."""
    if length == 1:
        return np.ones(1, dtype=np.float32)
    phase = 2 * math.pi * np.arange(length) / (length - 1)
    window: FloatArray = (0.54 - 0.46 * np.cos(phase)).astype(np.float32)
    return window


def frame_signal(samples: FloatArray, frame_length: int = FRAME_LENGTH, hop_length: int = HOP_LENGTH) -> FloatArray:
    """Return [frames, frame_length]: a read-only view of overlapping frames, without padding.

    There are 1 + (N - frame_length) // hop_length frames, none if N < frame_length.
    """
    if len(samples) < frame_length:
        return np.empty((0, frame_length), dtype=samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, frame_length)[::hop_length]


def short_term_energy(frames: FloatArray, window: FloatArray) -> FloatArray:
    """Return [frames]: the sum of squares of each windowed frame (eq. 5)."""
    windowed = frames * window
    energy: FloatArray = np.sum(windowed * windowed, axis=1)
    return energy


def zero_crossing_rate(frames: FloatArray) -> FloatArray:
    """Return [frames]: sign changes per sample, 0..1; zero counts as positive (eq. 6, rectangular window)."""
    negative = frames < 0
    changes = np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)
    rate: FloatArray = (changes / frames.shape[1]).astype(np.float32)
    return rate


def crossing_rates(windows: list[FloatArray], longest: int) -> FloatArray:
    """Return [W, frames]: `zero_crossing_rate` of the frames of each window, the last repeated; without the frames.

    Args:
        windows: [N] samples each, at least 400.
        longest: samples that a window may have at most.
    """
    step = math.gcd(FRAME_LENGTH, HOP_LENGTH)
    per_frame, per_hop = FRAME_LENGTH // step, HOP_LENGTH // step
    rates = np.empty((len(windows), 1 + (longest - FRAME_LENGTH) // HOP_LENGTH), dtype=np.float32)
    for row, window in zip(rates, windows, strict=True):
        num_frames = 1 + (len(window) - FRAME_LENGTH) // HOP_LENGTH
        negative = window[: (num_frames - 1) * HOP_LENGTH + FRAME_LENGTH] < 0
        changes = np.concatenate([negative[1:] != negative[:-1], [False]])
        pieces = np.concatenate([[0], np.cumsum(np.count_nonzero(changes.reshape(-1, step), axis=1))])
        starts = np.arange(num_frames) * per_hop
        inside = pieces[starts + per_frame] - pieces[starts]
        # The change from a frame's last sample to the next sample is none of its own.
        row[:num_frames] = (inside - changes[FRAME_LENGTH - 1 :: HOP_LENGTH]) / FRAME_LENGTH
        row[num_frames:] = row[num_frames - 1]
    return rates


def _quiet_start() -> NDArray[np.float64]:
    histogram = np.zeros(_NUM_LEVELS)
    histogram[_level_index(_FLOOR_DB)] = _STARTING_TICKS
    return histogram


@dataclass(frozen=True)
class EndpointState:
    """What the endpoint detection carries from block to block; the defaults are the start of a recording.

    Attributes:
        tail: the last samples, which the first frame of the next block shares.
        histogram: [200] how often each level, in steps of 0.5 dB, was heard; older ticks count less.
        recent_db: [50] levels of the last two seconds.
        silence_crossings: zero-crossing rate of the background.
        speaking: whether the last frame was speech.
        run: consecutive last frames that speak against `speaking`.
    """

    tail: FloatArray = field(default_factory=lambda: np.zeros(FRAME_LENGTH - HOP_LENGTH, dtype=np.float32))
    histogram: NDArray[np.float64] = field(default_factory=_quiet_start)
    recent_db: NDArray[np.float64] = field(default_factory=lambda: np.full(_STEADY_TICKS, _LOWEST_DB))
    silence_crossings: float = _UNVOICED_CROSSINGS
    speaking: bool = False
    run: int = 0


@dataclass(frozen=True)
class Speech:
    """What is known of speech in each 40 ms of sound.

    Attributes:
        speech: [T] whether there is speech.
        speech_energy: [T] m of eq. 31: short-term energy from 5 % of its running 99th percentile (0) to that
            percentile (1); 0 where there is no speech.
    """

    speech: BoolArray
    speech_energy: FloatArray


def detect_speech(state: EndpointState, samples: FloatArray) -> tuple[EndpointState, Speech]:
    """Find speech by two thresholds of energy and by the zero-crossing rate (section 4.1, eq. 5-6).

    The thresholds lie between the background (10th percentile of the level heard so far, or the lowest level
    of the last two seconds if that is higher) and the peak (99th percentile). Speech starts after 30 ms over
    the high threshold and ends after 60 ms under the low one; unvoiced sounds, which cross zero more often
    than the background, pass a lower bar. No sample is deleted and nothing is taken from the future, so blocks
    with carry give exactly what the whole gives.

    Args:
        state: `EndpointState()` at the start of a recording, afterwards what the last call returned.
        samples: [N] not pre-emphasised, in [-1, 1], at 16 kHz; N is a multiple of 640. Tick t of the answer
            covers samples 640 t to 640 (t + 1).

    Raises:
        ValueError: N is not a multiple of 640.
    """
    if len(samples) % TICK_LENGTH:
        raise ValueError(f"{len(samples)} samples are not a whole number of ticks of {TICK_LENGTH} samples.")
    speech = [np.empty(0, dtype=np.bool_)]
    energy = [np.empty(0, dtype=np.float32)]
    for first in range(0, len(samples), _BLOCK_LENGTH):
        state, block = _detect_block(state, samples[first : first + _BLOCK_LENGTH])
        speech.append(block.speech)
        energy.append(block.speech_energy)
    return state, Speech(speech=np.concatenate(speech), speech_energy=np.concatenate(energy))


class WindowLevels(NamedTuple):
    """What the endpoint detection goes by, of windows that each are the start of a recording; [W, T] ticks of 40 ms.

    Attributes:
        num_ticks: [W] of each window; what is beyond says nothing.
        tick_energies: [W, T] variance of the samples.
        frame_energies: [W, 4 T] short-term energy of frames without their mean, the first 15 ms before the start.
        crossings: [W, 4 T] their zero-crossing rate.
    """

    num_ticks: IntArray
    tick_energies: NDArray[np.float64]
    frame_energies: NDArray[np.float64]
    crossings: FloatArray

    def part(self, of: slice) -> Self:
        """Return what is known of some of the windows."""
        return type(self)(self.num_ticks[of], self.tick_energies[of], self.frame_energies[of], self.crossings[of])


def detect_in_windows(levels: WindowLevels) -> list[BoolArray]:
    """Return for each window what `detect_speech` says of its ticks."""
    start = EndpointState()
    levels_db = _decibels(levels.tick_energies)
    before = np.broadcast_to(start.recent_db, (len(levels_db), _STEADY_TICKS))
    with_recent = np.concatenate([before, levels_db], axis=1)
    steady_db = np.lib.stride_tricks.sliding_window_view(with_recent, _STEADY_TICKS, axis=1)[:, 1:].min(axis=2)
    percentiles_db = _percentiles_from_start(levels_db)
    floor_db = np.maximum(np.maximum(percentiles_db[0], steady_db), _FLOOR_DB)
    frames_db = _decibels(levels.frame_energies / np.sum(hamming(FRAME_LENGTH) ** 2))
    found = []
    for window, count in enumerate(levels.num_ticks.tolist()):
        frames, ticks = (window, slice(count * _FRAMES_PER_TICK)), (window, slice(count))
        heard = frames_db[frames], levels.crossings[frames], floor_db[ticks], percentiles_db[1][ticks]
        found.append(_by_tick(_follow(start, *heard)[3]))
    return found


def _percentiles_from_start(levels_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [2, W, T]: the running percentiles of windows that each are the start of a recording."""
    # What the histogram starts with stands for a tick before the first. Sorted, its levels take the histogram's place.
    quiet = np.full((len(levels_db), 1), _level_index(_FLOOR_DB))
    index = np.concatenate([quiet, _level_index(levels_db)], axis=1)
    order = np.argsort(index, axis=1)
    cumulative = np.cumsum(_weights(levels_db.shape[1])[:, order], axis=2)
    found = [
        np.take_along_axis(index, np.take_along_axis(order, _reached(cumulative, share).T, axis=1), axis=1)
        for share in _SHARES
    ]
    return _LOWEST_DB + _STEP_DB * (np.stack(found) + 0.5)


def _reached(cumulative: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """Return [T, W]: the first place of the last axis with at least the share of the sum."""
    return np.asarray(np.count_nonzero(cumulative < share * cumulative[:, :, -1:], axis=2), dtype=np.intp)


@cache
def _weights(num_ticks: int) -> NDArray[np.float64]:
    """Return [T, 1 + T]: what a tick counts at a tick, the first one for the start."""
    age = np.arange(num_ticks)[:, None] - np.arange(-1, num_ticks)
    weights = np.where(age >= 0, _FORGETTING ** np.maximum(age, 0), 0)
    weights[:, 0] *= _STARTING_TICKS
    return weights


def _by_tick(by_frame: BoolArray) -> BoolArray:
    speech: BoolArray = by_frame.reshape(-1, _FRAMES_PER_TICK).sum(axis=1) >= _FRAMES_PER_TICK / 2
    return speech


def _detect_block(state: EndpointState, samples: FloatArray) -> tuple[EndpointState, Speech]:
    ticks = samples.reshape(-1, TICK_LENGTH).astype(np.float64)
    energies = ticks.var(axis=1)
    levels_db = _decibels(energies)
    histogram, percentiles_db = _running_percentiles(state.histogram, levels_db)
    with_recent = np.concatenate([state.recent_db, levels_db])
    steady_db = np.lib.stride_tricks.sliding_window_view(with_recent, _STEADY_TICKS)[1:].min(axis=1)
    floor_db = np.maximum(np.maximum(percentiles_db[:, 0], steady_db), _FLOOR_DB)
    peak_db = percentiles_db[:, 1]

    with_tail = np.concatenate([state.tail, samples.astype(np.float32)])
    frames = frame_signal(with_tail)
    centred = frames - frames.mean(axis=1, keepdims=True)
    window = hamming(FRAME_LENGTH)
    frames_db = _decibels(short_term_energy(centred, window).astype(np.float64) / np.sum(window**2))
    speaking, run, crossings, by_frame = _follow(state, frames_db, zero_crossing_rate(centred), floor_db, peak_db)

    speech = _by_tick(by_frame)
    top = 10 ** (np.maximum(peak_db, _FLOOR_DB) / 10)
    threshold = 0.05 * top
    scaled = np.clip((energies - threshold) / (top - threshold), 0, 1)
    carry = EndpointState(
        tail=with_tail[len(with_tail) - len(state.tail) :].copy(),
        histogram=histogram,
        recent_db=with_recent[-_STEADY_TICKS:].copy(),
        silence_crossings=crossings,
        speaking=speaking,
        run=run,
    )
    return carry, Speech(speech=speech, speech_energy=np.where(speech, scaled, 0).astype(np.float32))


def _follow(
    state: EndpointState,
    frames_db: NDArray[np.float64],
    crossing_rates: FloatArray,
    floor_db: NDArray[np.float64],
    peak_db: NDArray[np.float64],
) -> tuple[bool, int, float, BoolArray]:
    """Return speaking, run and silence_crossings after the last frame, and speaking at every frame."""
    spread_db = np.maximum(peak_db - floor_db, 0)
    high_db = np.repeat(floor_db + np.maximum(6, 0.35 * spread_db), _FRAMES_PER_TICK).tolist()
    low_db = np.repeat(floor_db + np.maximum(3.5, 0.2 * spread_db), _FRAMES_PER_TICK).tolist()
    faint_db = np.repeat(floor_db + np.maximum(2, 0.1 * spread_db), _FRAMES_PER_TICK).tolist()
    speaking, run, silence_crossings = state.speaking, state.run, state.silence_crossings
    turns: list[int] = []
    rows = zip(frames_db.tolist(), crossing_rates.tolist(), high_db, low_db, faint_db, strict=True)
    for frame, (level, crossings, high, low, faint) in enumerate(rows):
        unvoiced = crossings >= _UNVOICED_CROSSINGS and crossings >= silence_crossings + _UNVOICED_MARGIN
        if speaking:
            against = level < (faint if unvoiced else low)
        else:
            against = level >= (low if unvoiced else high)
            if not against:
                silence_crossings += _SILENCE_RATE * (crossings - silence_crossings)
        if not against:
            run = 0
            continue
        run += 1
        if run >= (_RELEASE_FRAMES if speaking else _ONSET_FRAMES):
            speaking, run = not speaking, 0
            turns.append(frame)
    turned = np.searchsorted(turns, np.arange(len(frames_db)), side="right") % 2 == 1
    return speaking, run, silence_crossings, turned != state.speaking


def _running_percentiles(
    histogram: NDArray[np.float64], levels_db: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the histogram after the last tick and [T, 2]: the 10th and 99th percentile at every tick, in dB."""
    histogram = histogram.copy()
    found = np.empty((len(levels_db), 2), dtype=np.intp)
    shares = np.array(_SHARES)
    for tick, level in enumerate(_level_index(levels_db)):
        histogram *= _FORGETTING
        histogram[level] += 1
        cumulative = np.cumsum(histogram)
        found[tick] = np.searchsorted(cumulative, shares * cumulative[-1])
    return histogram, _LOWEST_DB + _STEP_DB * (found.astype(np.float64) + 0.5)


def _level_index(levels_db: NDArray[np.float64] | float) -> NDArray[np.intp]:
    index = np.floor((np.asarray(levels_db) - _LOWEST_DB) / _STEP_DB)
    return np.clip(index, 0, _NUM_LEVELS - 1).astype(np.intp)


def _decibels(mean_squares: NDArray[np.float64]) -> NDArray[np.float64]:
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(mean_squares, 1e-10))
    return decibels
