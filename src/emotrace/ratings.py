"""Ratings of several people -> one label per tick, how far the raters agree, and by how much they lag behind.

One dimension at a time. Axes: R raters (or models of several folds, whose predictions are centred in the same way),
T ticks of the label clock, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotrace import metrics
from emotrace.types import FloatArray

Numbers = NDArray[np.float64]

_RIDGE = 0.1
"""Penalty of the regression of `best_delay`, per tick and for standardised features; far from critical there."""


@dataclass(frozen=True)
class Agreement:
    """How far the raters of one dimension agree.

    Attributes:
        ccc: mean over all pairs of raters of `metrics.ccc` (all moments by N).
        pearson: mean over all pairs of `metrics.pearson`.
        cronbach_alpha: consistency of the raters' sum, at most 1; NaN where the sum is constant.
    """

    ccc: float
    pearson: float
    cronbach_alpha: float


@dataclass(frozen=True)
class DelaySearch:
    """How well features foretell labels at each delay that was tried.

    Attributes:
        candidates: delays in ticks.
        correlations: of each candidate, in [-1, 1], on recordings that the regression had not seen. A flat curve
            says nothing of the delay: look at it before you use `best`.
    """

    candidates: tuple[int, ...]
    correlations: tuple[float, ...]

    @property
    def best(self) -> int:
        """The delay in ticks with the largest correlation; the first of equals."""
        return self.candidates[int(np.argmax(self.correlations))]


def plain_mean(ratings: ArrayLike) -> FloatArray:
    """Return [T]: the mean of ratings [R, T] over raters, as Liu & Tang 2021 take it.

    Raises:
        ValueError: `ratings` is no [R, T] of finite numbers.
    """
    return np.asarray(_checked(ratings).mean(axis=0), dtype=np.float32)


def fit_rater_weights(recordings: Sequence[ArrayLike]) -> Numbers:
    """Return [R]: how much each rater's mean is worth, from recordings [R, T] of the training split only.

    A weight is the rater's mean concordance with the others in a recording (`metrics.ccc_official`, which is what
    RECOLA's gold standard was made with), averaged over the recordings. Unlike there, a negative weight becomes
    zero, as a weighted mean must lie between the raters; where no weight is left, all raters weigh the same.

    Returns:
        [R], not negative and not all zero; their sum says nothing.

    Raises:
        ValueError: no recording, a recording is no [R, T] of finite numbers, or R differs between recordings.
    """
    tables = [_checked(each) for each in recordings]
    raters = {len(each) for each in tables}
    if len(raters) != 1:
        raise ValueError(f"recordings of {sorted(raters)} raters found, one number of raters expected in all of them")
    count = raters.pop()
    if count == 1:
        return np.ones(1)
    by_recording = [_pairwise(each, metrics.ccc_official).sum(axis=1) / (count - 1) for each in tables]
    weights = np.maximum(np.mean(by_recording, axis=0), 0)
    return weights if weights.any() else np.ones(count)


def centred_gold_standard(ratings: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Return [T]: the mean of ratings [R, T], moved to the level of the raters who agree with the others.

    gold_t = mean_r x_rt - mean_rt x_rt + (sum_r w_r mean_t x_rt) / (sum_r w_r), clipped to [-1, 1]. It differs from
    `plain_mean` by a constant (where nothing is clipped).

    Source: the AVEC 2016 and 2018 challenges, which take the weights from the recording itself.

    Args:
        ratings: [R, T].
        weights: [R] of `fit_rater_weights`; None takes them from these ratings alone.

    Raises:
        ValueError: `ratings` is no [R, T] of finite numbers, or the weights do not fit them.
    """
    table = _checked(ratings)
    worth = fit_rater_weights([table]) if weights is None else np.asarray(weights, dtype=np.float64)
    if worth.shape != (len(table),) or not (np.isfinite(worth) & (worth >= 0)).all() or not worth.any():
        raise ValueError(f"weights {worth.tolist()} found, {len(table)} expected, not negative and not all zero")
    gold = table.mean(axis=0) - table.mean() + worth @ table.mean(axis=1) / worth.sum()
    return np.asarray(np.clip(gold, -1, 1), dtype=np.float32)


def agreement(ratings: ArrayLike) -> Agreement:
    """Return how far the raters of ratings [R, T] agree; join recordings along T to speak of a corpus.

    Source of alpha: L. J. Cronbach, Psychometrika 16 (1951) 297-334.

    Raises:
        ValueError: `ratings` is no [R, T] of finite numbers, or R is below two.
    """
    table = _checked(ratings)
    count = len(table)
    if count < 2:
        raise ValueError("ratings of one rater found, two at least expected: one alone agrees with nobody")
    pairs = count * (count - 1)
    total = table.sum(axis=0)
    # Not by its variance: of equal numbers that is often a little above zero.
    varies = total.min() < total.max()
    alpha = count / (count - 1) * (1 - table.var(axis=1).sum() / total.var()) if varies else np.nan
    return Agreement(
        ccc=float(_pairwise(table, metrics.ccc).sum() / pairs),
        pearson=float(_pairwise(table, metrics.pearson).sum() / pairs),
        cronbach_alpha=float(alpha),
    )


def shift_labels(labels: ArrayLike, delay_ticks: int) -> FloatArray:
    """Undo a delay of annotation: drop the first labels, repeat the last, so that [T, ...] stays [T, ...].

    Tick t then has the label that the raters gave `delay_ticks` later.

    Raises:
        ValueError: the delay is negative, or not shorter than the labels.
    """
    values = np.asarray(labels, dtype=np.float32)
    if not 0 <= delay_ticks < len(values):
        raise ValueError(
            f"a delay of {delay_ticks} ticks found for {len(values)} labels, expected 0..{len(values) - 1}"
        )
    return np.concatenate([values[delay_ticks:], np.repeat(values[-1:], delay_ticks, axis=0)])


def delay_candidates(label_rate_hz: float) -> tuple[int, ...]:
    """Return in ticks the delays that the baseline of RECOLA searches: 0 to 9.6 s in steps of 0.4 s."""
    return tuple(sorted({round(0.4 * step * label_rate_hz) for step in range(25)}))


def best_delay(features: Sequence[ArrayLike], labels: Sequence[ArrayLike], candidates: Sequence[int]) -> DelaySearch:
    """Search the delay of annotation on recordings of the training split.

    For every candidate a ridge regression from the features of a tick to the label `candidate` ticks later is fitted
    on every other recording and judged on the rest, and the other way round; the correlation is the mean of both.
    All candidates are judged on the same ticks: the last ones, which have no label at the longest delay, are left out.

    Args:
        features: per recording [T, D]; shuffle the recordings first if neighbours in the list are alike.
        labels: per recording [T].
        candidates: delays in ticks, for example `delay_candidates`.

    Raises:
        ValueError: fewer than two recordings, no candidate, shapes that do not fit, numbers that are not finite, or
            a recording that is not longer than the longest delay.
    """
    delays = tuple(candidates)
    if min(len(features), len(labels)) < 2 or len(features) != len(labels) or not delays:
        found = f"{len(features)} features, {len(labels)} labels and {len(delays)} candidates"
        raise ValueError(f"{found} found, expected two or more recordings with both, and a candidate")
    first, second = (_beside_delayed(features[half::2], labels[half::2], delays) for half in (0, 1))
    correlations = (_foretold(*first, *second) + _foretold(*second, *first)) / 2
    return DelaySearch(delays, tuple(correlations.tolist()))


def _beside_delayed(
    features: Sequence[ArrayLike], labels: Sequence[ArrayLike], delays: tuple[int, ...]
) -> tuple[Numbers, Numbers]:
    """Return all features [N, D], and beside them the labels at every delay [N, number of delays]."""
    inputs, targets = [], []
    for feature, label in zip(features, labels, strict=True):
        seen, said = np.asarray(feature, dtype=np.float64), np.asarray(label, dtype=np.float64)
        kept = len(said) - max(delays)
        if seen.ndim != 2 or said.shape != (len(seen),) or kept < 1:
            found = f"features {seen.shape} and labels {said.shape}"
            raise ValueError(f"{found} found, expected [T, D] and [T] with T above the longest delay, {max(delays)}")
        if not (np.isfinite(seen).all() and np.isfinite(said).all()):
            raise ValueError("features or labels that are no number found: fill or cut them")
        inputs.append(seen[:kept])
        targets.append(np.stack([shift_labels(said, delay)[:kept] for delay in delays], axis=1))
    return np.concatenate(inputs), np.concatenate(targets).astype(np.float64)


def _foretold(fit_inputs: Numbers, fit_targets: Numbers, inputs: Numbers, targets: Numbers) -> Numbers:
    """Return the correlation of each column of `targets` with what a ridge regression says of it."""
    mean, spread = fit_inputs.mean(axis=0), fit_inputs.std(axis=0)
    spread[spread == 0] = 1
    known = (fit_inputs - mean) / spread
    square = known.T @ known / len(known) + _RIDGE * np.eye(known.shape[1])
    coefficients = np.linalg.solve(square, known.T @ (fit_targets - fit_targets.mean(axis=0)) / len(known))
    said = (inputs - mean) / spread @ coefficients
    return np.array([metrics.pearson(*pair) for pair in zip(targets.T, said.T, strict=True)])


def _pairwise(ratings: Numbers, figure: Callable[[ArrayLike, ArrayLike], float]) -> Numbers:
    """Return [R, R] of a symmetric figure of each pair; 0 for a rater with himself, so that sums are over pairs."""
    matrix = np.zeros((len(ratings), len(ratings)))
    for one in range(len(ratings)):
        for other in range(one):
            matrix[one, other] = matrix[other, one] = figure(ratings[one], ratings[other])
    return matrix


def _checked(ratings: ArrayLike) -> Numbers:
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        missing = "" if np.isfinite(table).all() else " with values that are no number"
        raise ValueError(f"ratings {table.shape}{missing} found, expected finite [raters, ticks] of one dimension")
    return table
