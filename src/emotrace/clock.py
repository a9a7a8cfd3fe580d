"""The label clock: ticks at a fixed rate from media time zero, and what is the latest event at each tick."""

import math

import numpy as np
from numpy.typing import NDArray

_SLACK_SECONDS = 1e-6
"""Timestamps are rationals turned into floats: an event this much after a tick still belongs to it."""


def tick_times(first: int, stop: int, rate_hz: float) -> NDArray[np.float64]:
    """Return [stop - first]: the media time in seconds of ticks first .. stop - 1; tick 0 is at time 0."""
    return np.arange(first, stop, dtype=np.float64) / rate_hz


def num_ticks(end_seconds: float, rate_hz: float) -> int:
    """Return how many ticks lie in [0, end)."""
    return max(0, math.ceil((end_seconds - _SLACK_SECONDS) * rate_hz))


def latest(events: NDArray[np.float64], ticks: NDArray[np.float64], max_age_seconds: float) -> NDArray[np.int64]:
    """Return [T]: the index of the last event at or before each tick, -1 if none is young enough.

    Args:
        events: [M] rising times in seconds.
        ticks: [T] rising times in seconds.
        max_age_seconds: an older event no longer counts.
    """
    index = np.searchsorted(events, ticks + _SLACK_SECONDS, side="right") - 1
    known = index >= 0
    age = ticks - events[np.maximum(index, 0)] if len(events) else np.full(len(ticks), np.inf)
    return np.where(known & (age <= max_age_seconds + _SLACK_SECONDS), index, -1)
