"""Intervals that cover, p-values that are fair, and a short way that gives what the long way gives."""

import time
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from emotrace import metrics
from emotrace.significance import Metric, bootstrap_interval, paired_test

Numbers = NDArray[np.float64]


def _recordings(seed: int, count: int = 8, ticks: int = 40) -> tuple[list[Numbers], list[Numbers]]:
    """Return truths, and predictions whose fault differs from recording to recording."""
    generator = np.random.default_rng(seed)
    truths = [generator.uniform(-1, 1, ticks + number) for number in range(count)]
    predictions = [
        0.5 * truth + generator.normal(0, 0.2) + 0.3 * generator.standard_normal(len(truth)) for truth in truths
    ]
    return truths, predictions


def _long_way(truth: Numbers, prediction: Numbers) -> float:
    return metrics.ccc(truth, prediction)


def _mean_fault(truth: Numbers, prediction: Numbers) -> float:
    return float(np.mean(prediction - truth))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_short_way_of_the_concordance_is_the_long_way(dtype: type[Any]) -> None:
    truths, predictions = _recordings(0)
    _, others = _recordings(1)
    for recordings in (truths, predictions, others):
        recordings[:] = [each.astype(dtype) for each in recordings]
    short = bootstrap_interval(truths, predictions, metrics.ccc, resamples=200)
    long = bootstrap_interval(truths, predictions, _long_way, resamples=200)
    assert (short.low, short.high) == pytest.approx((long.low, long.high), abs=1e-9)
    result, expected = (paired_test(truths, predictions, others, metric) for metric in (metrics.ccc, _long_way))
    assert result.difference == pytest.approx(expected.difference, abs=1e-9)
    assert result.p_value == expected.p_value


def test_the_short_way_keeps_its_digits_beside_large_numbers() -> None:
    truths, predictions = _recordings(2)
    near = bootstrap_interval(truths, predictions, metrics.ccc)
    moved = bootstrap_interval([each + 1e5 for each in truths], [each + 1e5 for each in predictions], metrics.ccc)
    assert (near.low, near.high) == pytest.approx((moved.low, moved.high), abs=1e-6)


def test_a_constant_recording_counts_as_in_the_metric() -> None:
    truths = [np.zeros(5), np.zeros(5)]
    interval = bootstrap_interval(truths, [np.zeros(5), np.full(5, 0.1)], metrics.ccc)
    assert (interval.low, interval.high) == (0, 1)


def test_the_interval_of_a_perfect_prediction_is_a_point() -> None:
    truths, _ = _recordings(3)
    interval = bootstrap_interval(truths, truths, metrics.ccc)
    assert (interval.low, interval.high) == pytest.approx((1, 1))


def test_the_interval_of_a_mean_over_recordings_is_scipys() -> None:
    faults = np.random.default_rng(4).standard_normal(25)
    interval = bootstrap_interval(
        [np.zeros(3)] * 25, [np.full(3, fault) for fault in faults], _mean_fault, resamples=4000, level=0.9
    )
    expected = scipy.stats.bootstrap((faults,), np.mean, confidence_level=0.9, method="percentile", rng=5)
    ends = expected.confidence_interval
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high), abs=0.03)


def test_the_interval_covers_the_figure_of_all_recordings_about_as_often_as_it_says() -> None:
    # Predictions are truth plus a fault per recording: var 1/3 both but for the fault's 0.04 and the noise's 0.09.
    covered = 0
    wanted = 2 * 0.5 / 3 / (1 / 3 + (0.25 / 3 + 0.04 + 0.09))
    for seed in range(200):
        interval = bootstrap_interval(*_recordings(seed, count=30), metrics.ccc, level=0.9, resamples=200)
        covered += interval.low <= wanted <= interval.high
    assert 0.8 <= covered / 200 <= 0.97


def test_a_higher_level_is_a_wider_interval_and_a_seed_is_repeatable() -> None:
    recordings = _recordings(6)
    narrow, wide = (bootstrap_interval(*recordings, metrics.ccc, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap_interval(*recordings, metrics.ccc, level=0.5) == narrow
    assert bootstrap_interval(*recordings, metrics.ccc, level=0.5, seed=1) != narrow


def test_labels_keep_their_type_for_the_metric() -> None:
    truths = [np.array([0, 1, 1]), np.array([0, 0, 1])]
    interval = bootstrap_interval(truths, [truths[0], 1 - truths[1]], metrics.unweighted_average_recall)
    assert (interval.low, interval.high) == (0, 1)


def test_a_thousand_resamples_of_forty_recordings_take_no_time() -> None:
    truths, predictions = _recordings(7, count=40, ticks=400)
    start = time.process_time()
    bootstrap_interval(truths, predictions, metrics.ccc)
    paired_test(truths, predictions, truths, metrics.ccc)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("count", [2, 5, 10])
def test_the_exact_p_of_a_system_that_is_always_better_is_the_smallest_there_is(count: int) -> None:
    truths, predictions = _recordings(8, count=count)
    result = paired_test(truths, truths, predictions, metrics.ccc)
    assert result.p_value == 2 ** (1 - count)
    assert result.method == "exact"
    assert result.difference == pytest.approx(1 - metrics.ccc_concatenated(truths, predictions))


def test_the_drawn_p_of_a_system_that_is_always_better_is_one_of_the_draws() -> None:
    truths, predictions = _recordings(9, count=40)
    result = paired_test(truths, truths, predictions, metrics.ccc, resamples=499)
    assert result.p_value == 1 / 500
    assert result.method == "random"


def test_equal_systems_do_not_differ() -> None:
    truths, predictions = _recordings(10)
    result = paired_test(truths, predictions, predictions, metrics.ccc)
    assert (result.difference, result.p_value) == (0, 1)


def test_exchanged_systems_change_the_sign_only() -> None:
    truths, one = _recordings(11)
    _, other = _recordings(12)
    there, back = paired_test(truths, one, other, metrics.ccc), paired_test(truths, other, one, metrics.ccc)
    assert there.difference == -back.difference
    assert there.p_value == back.p_value


@pytest.mark.parametrize("count", [8, 12])
def test_the_p_of_a_mean_over_recordings_is_scipys_for_swapped_signs(count: int) -> None:
    generator = np.random.default_rng(13)
    one, other = generator.normal(0.4, 1, count), generator.standard_normal(count)
    zeros = [np.zeros(2)] * count
    result = paired_test(
        zeros, [np.full(2, each) for each in one], [np.full(2, each) for each in other], _mean_fault, resamples=4000
    )
    expected = scipy.stats.permutation_test(
        (one, other), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=10_000
    )
    assert result.difference == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-9 if count == 8 else 0.03)


@pytest.mark.parametrize("count", [7, 14])
def test_a_p_of_alike_systems_is_as_rare_as_it_says(count: int) -> None:
    found = []
    for seed in range(300):
        truths, one = _recordings(seed, count=count, ticks=12)
        generator = np.random.default_rng(seed + 1000)
        other = [0.5 * each + generator.normal(0, 0.2) + 0.3 * generator.standard_normal(len(each)) for each in truths]
        found.append(paired_test(truths, one, other, metrics.ccc, resamples=199, seed=seed).p_value)
    assert min(found) > 0
    for level in (0.1, 0.25, 0.5, 0.75):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=0.09)


@pytest.mark.parametrize("metric", [metrics.ccc, metrics.rmse])
def test_one_recording_says_nothing_of_others(metric: Metric) -> None:
    truths, predictions = _recordings(14, count=1)
    with pytest.raises(ValueError, match="two at least"):
        bootstrap_interval(truths, predictions, metric)
    with pytest.raises(ValueError, match="two at least"):
        paired_test(truths, predictions, predictions, metric)


def test_what_does_not_fit_is_refused() -> None:
    truths, predictions = _recordings(15)
    with pytest.raises(ValueError, match="8 truths but 7 predictions"):
        bootstrap_interval(truths, predictions[1:], metrics.ccc)
    with pytest.raises(ValueError, match="recording 1"):
        paired_test(truths, predictions, [predictions[0], *predictions[:-1]], metrics.ccc)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(truths, predictions, metrics.ccc, level=95)
    with pytest.raises(ValueError, match="resamples 0"):
        bootstrap_interval(truths, predictions, metrics.ccc, resamples=0)
    with pytest.raises(ValueError, match="no number"):
        paired_test(truths, predictions, [each * np.nan for each in predictions], metrics.ccc)
