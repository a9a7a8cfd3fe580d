"""Timeline -> what the report draws: means per bin of time, SVG paths in a 1000 x 100 box, ticks, hatches.

A recording of hours has more ticks than a screen has pixels. Every curve is therefore the mean over equal
bins, with the lowest and highest value of each bin kept as a band. Unknown stretches are left out of curves,
never bridged.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotrace.timeline import Gap, Timeline
from emotrace.types import BoolArray

MAX_BINS = 1200
"""More than the widest panel has pixels on most screens; a page of hours stays below 1 MB."""
BOX_WIDTH = 1000.0
BOX_HEIGHT = 100.0
_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)

Curve = NDArray[np.float64]
"""[B] one value per bin, NaN where nothing is known."""


@dataclass(frozen=True)
class Bins:
    """Equal bins of media time from 0 on.

    Attributes:
        width_seconds: of a bin; a multiple of the tick.
        num_bins: B.
        row_bins: [T] the bin of each row.
        ticks_per_bin: 1 where nothing is averaged.
    """

    width_seconds: float
    num_bins: int
    row_bins: NDArray[np.int64]
    ticks_per_bin: int

    @property
    def end_seconds(self) -> float:
        """Media time at the right edge of every panel."""
        return self.num_bins * self.width_seconds

    def mean(self, values: NDArray[np.generic]) -> Curve:
        """Return [B]: the mean of what is known in each bin, from [T]."""
        numbers = values.astype(np.float64)
        known = ~np.isnan(numbers)
        rows = self.row_bins[known]
        counts = np.bincount(rows, minlength=self.num_bins)
        sums = np.bincount(rows, weights=numbers[known], minlength=self.num_bins)
        means: Curve = np.divide(sums, counts, out=np.full(self.num_bins, np.nan), where=counts > 0)
        return means

    def extremes(self, values: NDArray[np.generic]) -> tuple[Curve, Curve]:
        """Return the lowest and the highest known value of each bin, [B] each, from [T]."""
        numbers = values.astype(np.float64)
        low, high = np.full(self.num_bins, np.nan), np.full(self.num_bins, np.nan)
        np.fmin.at(low, self.row_bins, numbers)
        np.fmax.at(high, self.row_bins, numbers)
        return low, high


def make_bins(timeline: Timeline, max_bins: int = MAX_BINS) -> Bins:
    """Return at most `max_bins` bins that cover the recording and every row."""
    tick = 1.0 / timeline.metadata.settings.label_rate_hz
    time = timeline["time"]
    last = float(time[-1]) + tick if len(time) else 0.0
    ticks = max(1, math.ceil(max(timeline.metadata.duration_seconds, last) / tick - 1e-6))
    ticks_per_bin = -(-ticks // max_bins)
    width = ticks_per_bin * tick
    num_bins = -(-ticks // ticks_per_bin)
    empty = Bins(width, num_bins, np.zeros(0, dtype=np.int64), ticks_per_bin)
    return replace(empty, row_bins=bin_of(time, empty))


def bin_of(times: NDArray[np.float64], bins: Bins) -> NDArray[np.int64]:
    """Return [T]: the bin of each time."""
    return np.minimum(((times + 1e-6) / bins.width_seconds).astype(np.int64), bins.num_bins - 1)


def line_path(curve: Curve, low: float, high: float) -> str:
    """Return the path of a curve through the middles of the bins, broken where nothing is known."""
    x = _middles(len(curve))
    y = _heights(curve, low, high)
    return "".join(_polyline(x[start:stop], y[start:stop]) for start, stop in runs(~np.isnan(curve)))


def band_path(lower: Curve, upper: Curve, low: float, high: float) -> str:
    """Return the closed path of the area between two curves; known stretches reach to their bins' edges."""
    count = len(lower)
    pieces = []
    for start, stop in runs(~np.isnan(lower) & ~np.isnan(upper)):
        edges = np.array([start, stop]) / count * BOX_WIDTH
        x = np.concatenate([edges[:1], _middles(count)[start:stop], edges[1:]])
        top, bottom = (_flat_ends(_heights(curve[start:stop], low, high)) for curve in (upper, lower))
        pieces.append(_polyline(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])) + "Z")
    return "".join(pieces)


def steps_path(curve: Curve, low: float, high: float) -> str:
    """Return the closed path from the ground to a curve that keeps its value through each bin, and jumps."""
    x = np.repeat(np.arange(len(curve) + 1) / len(curve) * BOX_WIDTH, 2)[1:-1]
    y = np.repeat(_heights(np.nan_to_num(curve, nan=low), low, high), 2)
    # Every value stands twice, so inside a flat stretch the neighbours on both sides are equal: no turn there.
    turns = np.concatenate([[True], y[2:] != y[:-2], [True]])
    x, y = np.concatenate([[0.0], x[turns], [BOX_WIDTH]]), np.concatenate([[BOX_HEIGHT], y[turns], [BOX_HEIGHT]])
    return _polyline(x, y) + "Z"


def runs(present: BoolArray) -> list[tuple[int, int]]:
    """Return the stretches [start, stop) in which all are present."""
    edges = np.diff(np.concatenate([[False], present, [False]]).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def hatches(gaps: Iterable[Gap], kinds: tuple[str, ...], bins: Bins) -> list[tuple[float, float]]:
    """Return start and width in percent of gaps as wide as a bin; those closer than a bin are one."""
    wanted = sorted((gap.start_seconds, gap.end_seconds) for gap in gaps if gap.kind in kinds)
    joined: list[tuple[float, float]] = []
    for start, end in wanted:
        if joined and start - joined[-1][1] < bins.width_seconds * 0.999:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return [
        (percent(start, bins), percent(min(end, bins.end_seconds), bins) - percent(start, bins))
        for start, end in joined
        if end - start > bins.width_seconds * 0.999 and start < bins.end_seconds
    ]


def percent(seconds: float, bins: Bins) -> float:
    """Return the place of a time on the panel's width."""
    return round(100.0 * seconds / bins.end_seconds, 3)


def time_ticks(bins: Bins) -> list[tuple[float, str]]:
    """Return at most seven (percent, text) marks of the time axis."""
    end = bins.end_seconds
    step = next((step for step in _TICK_STEPS if end / step <= 7), end / 4)
    return [(percent(n * step, bins), clock_text(n * step)) for n in range(int(end / step + 1e-9) + 1)]


def clock_text(seconds: float) -> str:
    """Return 7.2 s below a minute, 1:07 below an hour, 1:02:07 above."""
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _middles(count: int) -> Curve:
    return (np.arange(count) + 0.5) / count * BOX_WIDTH


def _heights(curve: Curve, low: float, high: float) -> Curve:
    return (high - np.clip(curve, low, high)) / (high - low) * BOX_HEIGHT


def _flat_ends(values: Curve) -> Curve:
    return np.concatenate([values[:1], values, values[-1:]])


def _polyline(x: Curve, y: Curve) -> str:
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    # A single point has no length: a hair's breadth lets its round cap show.
    return "M" + "L".join(points) if len(points) > 1 else f"M{points[0]}h.1"
