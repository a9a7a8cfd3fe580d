"""Truths and predictions of several recordings -> how sure a figure of merit is, and a difference of two systems.

Recordings are drawn and swapped, never ticks: neighbouring ticks of a recording say nearly the same, so that their
number would make every figure look sure. All recordings are of one dimension; T ticks of the label clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotrace import metrics
from emotrace.types import IntArray

Metric = Callable[[NDArray[Any], NDArray[Any]], float]
"""Truth and prediction of all ticks together -> a figure; all figures of `emotrace.metrics` are such."""

_EXACT_RECORDINGS = 10
"""Up to this number of recordings all swaps are tried: 1024."""

_TIE = 1e-12
"""Differences closer than this are equal; sums in another order differ by so much."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: its lower end, in the figure's unit.
        high: its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class PairedResult:
    """Whether two systems differ on the same recordings.

    Attributes:
        difference: figure of system a less that of system b.
        p_value: share of swaps that give a difference at least as large, of either sign; above 0, at most 1.
        method: "exact" if all swaps were tried, "random" if a sample of them.
    """

    difference: float
    p_value: float
    method: Literal["exact", "random"]


def bootstrap_interval(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    metric: Metric,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a figure over recordings drawn with replacement.

    It speaks of other recordings of the same kind. With few recordings (below 20 or so) it is too narrow.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Args:
        truths: per recording [T].
        predictions: likewise.
        metric: judges the ticks of all drawn recordings together.
        level: of confidence, between 0 and 1.
        resamples: how often recordings are drawn.
        seed: of the draws.

    Raises:
        ValueError: fewer than two recordings, shapes that do not fit, or a level or number that is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} found, expected a number between 0 and 1, such as 0.95")
    wanted, said = _checked(truths, predictions, resamples)
    picks = np.random.default_rng(seed).integers(len(wanted), size=(resamples, len(wanted)))
    scores = _scores(wanted, said, metric, picks)
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def paired_test(
    truths: Sequence[ArrayLike],
    predictions_a: Sequence[ArrayLike],
    predictions_b: Sequence[ArrayLike],
    metric: Metric,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedResult:
    """Test two-sided whether systems a and b differ, by swapping their predictions of whole recordings.

    If the systems are alike, it does not matter which of them said what of a recording. Up to ten recordings all 2^n
    swaps are tried, and p cannot be below 2^(1-n): five recordings cannot show a difference at p < 0.05. With more, p
    is (1 + extreme swaps) / (1 + resamples), which is valid though drawn.

    Source: E. W. Noreen, "Computer-Intensive Methods for Testing Hypotheses" (1989), approximate randomization; the
    correction by one: B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39.

    Args:
        truths: per recording [T].
        predictions_a: likewise, of system a.
        predictions_b: likewise, of system b.
        metric: judges the ticks of all recordings together.
        resamples: how many swaps are drawn where not all are tried.
        seed: of the draws.

    Raises:
        ValueError: fewer than two recordings, shapes that do not fit, no resample, or a figure that is no number.
    """
    wanted, said_a = _checked(truths, predictions_a, resamples)
    said_b = _checked(truths, predictions_b, resamples)[1]
    count = len(wanted)
    exact = count <= _EXACT_RECORDINGS
    if exact:
        swapped = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        drawn = np.random.default_rng(seed).integers(2, size=(resamples, count))
        swapped = np.concatenate([np.zeros((1, count), dtype=np.int64), drawn])
    # Rows 0..n-1 are what a said, n..2n-1 what b said; row 0 of `swapped` swaps nothing.
    own = np.arange(count)
    both, said = wanted + wanted, said_a + said_b
    differences = _scores(both, said, metric, own + count * swapped) - _scores(
        both, said, metric, own + count * (1 - swapped)
    )
    if not np.isfinite(differences).all():
        raise ValueError("a figure is no number: give recordings whose values all are numbers")
    extreme = np.abs(differences) >= abs(differences[0]) - _TIE
    return PairedResult(float(differences[0]), float(extreme.mean()), "exact" if exact else "random")


def _scores(
    truths: list[NDArray[Any]], predictions: list[NDArray[Any]], metric: Metric, picks: IntArray
) -> NDArray[np.float64]:
    """Return [K]: the figure over the recordings of each row of picks [K, n]."""
    if metric is metrics.ccc and all(each.min() < each.max() for each in truths + predictions):
        return _ccc_of_moments(_moments(truths, predictions), picks)
    return np.array(
        [
            metric(np.concatenate([truths[i] for i in row]), np.concatenate([predictions[i] for i in row]))
            for row in picks
        ]
    )


def _moments(truths: list[NDArray[Any]], predictions: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Return [6, n]: what `metrics.ccc` needs to know of each recording, as sums over its ticks.

    One level, the mean truth, is taken off everything: a concordance does not change by it, and squares of large
    numbers would lose digits.
    """
    level = np.concatenate(truths).mean(dtype=np.float64)
    rows = []
    for truth, prediction in zip(truths, predictions, strict=True):
        x, y = truth.astype(np.float64) - level, prediction.astype(np.float64) - level
        rows.append([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])
    return np.array(rows, dtype=np.float64).T


def _ccc_of_moments(moments: NDArray[np.float64], picks: IntArray) -> NDArray[np.float64]:
    count, x, y, xx, yy, xy = (row[picks].sum(axis=1) for row in moments)
    mean_x, mean_y = x / count, y / count
    covariance = xy / count - mean_x * mean_y
    spread = xx / count - mean_x**2 + yy / count - mean_y**2
    return np.asarray(2 * covariance / (spread + (mean_x - mean_y) ** 2))


def _checked(
    truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike], resamples: int
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    if resamples < 1:
        raise ValueError(f"resamples {resamples} found, expected one at least")
    if len(truths) != len(predictions):
        raise ValueError(f"{len(truths)} truths but {len(predictions)} predictions: give one of each per recording")
    if len(truths) < 2:
        raise ValueError(f"{len(truths)} recording(s) found, two at least expected: one alone says nothing of others")
    wanted, said = [np.asarray(each) for each in truths], [np.asarray(each) for each in predictions]
    for number, (one, other) in enumerate(zip(wanted, said, strict=True)):
        if one.ndim != 1 or not len(one) or one.shape != other.shape:
            raise ValueError(
                f"recording {number}: truth {one.shape} and prediction {other.shape}, expected [T] of both"
            )
    return wanted, said
