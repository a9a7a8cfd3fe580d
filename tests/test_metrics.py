"""Figures of merit against hand-computed cases, properties, SciPy and scikit-learn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from emotrace import metrics

NUMBERS = [metrics.ccc, metrics.ccc_official, metrics.pearson, metrics.rmse, metrics.sagr, metrics.r_squared]
LABELS = [metrics.accuracy, metrics.unweighted_average_recall, metrics.macro_f1]
Figure = Callable[..., float]

traces = arrays.arrays(np.float64, 12, elements=st.floats(-1, 1, width=16))


def _random_traces(seed: int, count: int = 50) -> tuple[metrics.FloatArray, metrics.FloatArray]:
    generator = np.random.default_rng(seed)
    truth = generator.uniform(-1, 1, count)
    return truth, 0.6 * truth + 0.3 * generator.standard_normal(count) + 0.1


def _random_labels(seed: int) -> tuple[metrics.LabelArray, metrics.LabelArray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 5, 80)
    return truth, np.where(generator.random(80) < 0.5, truth, generator.integers(0, 6, 80))


def test_ccc_of_a_shifted_trace_is_the_hand_computed_one() -> None:
    # variances 2/3 with 1/N, covariance 2/3, means 2 and 3: 2 * 2/3 / (2/3 + 2/3 + 1) = 4/7; with 1/(N-1) it is 2/3
    assert metrics.ccc([1, 2, 3], [2, 3, 4]) == pytest.approx(4 / 7)


def test_ccc_of_equal_traces_is_one() -> None:
    truth, _ = _random_traces(0)
    assert metrics.ccc(truth, truth) == pytest.approx(1)


def test_ccc_of_a_mirrored_trace_is_minus_one() -> None:
    assert metrics.ccc([-1, 0, 1], [1, 0, -1]) == pytest.approx(-1)


@settings(deadline=None)  # a busy machine is no fault
@given(traces, traces)
def test_ccc_is_symmetric_and_no_larger_than_pearson(truth: metrics.FloatArray, prediction: metrics.FloatArray) -> None:
    value = metrics.ccc(truth, prediction)
    assert value == pytest.approx(metrics.ccc(prediction, truth))
    assert abs(value) <= abs(metrics.pearson(truth, prediction)) + 1e-9 or np.array_equal(truth, prediction)


@pytest.mark.parametrize("constant", [0.0, 0.1, -0.7])
def test_ccc_of_a_constant_is_zero(constant: float) -> None:
    truth, _ = _random_traces(1)
    assert metrics.ccc(truth, np.full(50, constant)) == 0
    assert metrics.ccc(np.full(50, constant), truth) == 0


def test_ccc_of_equal_constants_is_one_and_of_different_ones_zero() -> None:
    assert metrics.ccc([0.1] * 7, [0.1] * 7) == 1
    assert metrics.ccc([0.1] * 7, [0.2] * 7) == 0


def test_ccc_is_twice_the_covariance_over_the_spread_by_numpy() -> None:
    truth, prediction = _random_traces(2, 8)
    moments = np.cov(truth, prediction, bias=True)
    shift = truth.mean() - prediction.mean()
    assert metrics.ccc(truth, prediction) == pytest.approx(2 * moments[0, 1] / (np.trace(moments) + shift**2))


def test_the_official_ccc_divides_the_variances_by_one_less() -> None:
    # variances 1 with 1/(N-1), covariance 2/3 with 1/N, shift 1: 2 * 2/3 / (1 + 1 + 1)
    assert metrics.ccc_official([1, 2, 3], [2, 3, 4]) == pytest.approx(4 / 9)
    assert metrics.ccc_official([1, 2, 3], [1, 2, 3]) == pytest.approx(1 - 1 / 3)


def test_the_official_ccc_is_that_of_numpys_moments() -> None:
    truth, prediction = _random_traces(8, 9)
    covariance = np.cov(truth, prediction, bias=True)[0, 1]
    spread = np.trace(np.cov(truth, prediction)) + (truth.mean() - prediction.mean()) ** 2
    assert metrics.ccc_official(truth, prediction) == pytest.approx(2 * covariance / spread)


@settings(deadline=None)
@given(traces, traces)
def test_the_official_ccc_is_no_larger(truth: metrics.FloatArray, prediction: metrics.FloatArray) -> None:
    assert abs(metrics.ccc_official(truth, prediction)) <= abs(metrics.ccc(truth, prediction))


def test_ccc_official_of_a_constant_is_as_of_ccc() -> None:
    assert metrics.ccc_official([0.1] * 3, [0.1] * 3) == metrics.ccc_official([0.1], [0.1]) == 1
    assert metrics.ccc_official([0.1] * 3, [0.1, 0.2, 0.3]) == metrics.ccc_official([0.1], [0.2]) == 0


def test_concatenated_ccc_is_that_of_all_ticks_and_per_recording_that_of_each() -> None:
    truth, prediction = _random_traces(9)
    truths, predictions = [truth[:10], truth[10:]], [prediction[:10], prediction[10:]]
    assert metrics.ccc_concatenated(truths, predictions) == metrics.ccc(truth, prediction)
    each = [metrics.ccc(truths[0], predictions[0]), metrics.ccc(truths[1], predictions[1])]
    assert metrics.ccc_per_recording(truths, predictions) == pytest.approx(sum(each) / 2)


def test_levels_of_recordings_alone_count_for_the_concatenated_ccc_only() -> None:
    truths, predictions = [[-0.5, -0.4], [0.5, 0.4]], [[-0.4, -0.5], [0.4, 0.5]]
    assert metrics.ccc_concatenated(truths, predictions) > 0.9
    assert metrics.ccc_per_recording(truths, predictions) == pytest.approx(-1)


@pytest.mark.parametrize("figure", [metrics.ccc_concatenated, metrics.ccc_per_recording])
def test_recordings_that_do_not_fit_are_refused_and_none_is_nan(figure: Figure) -> None:
    assert math.isnan(figure([], []))
    with pytest.raises(ValueError, match="2 truths but 1 predictions"):
        figure([[1, 2], [3]], [[1, 2]])
    with pytest.raises(ValueError, match="one shape"):
        figure([[1, 2], [3]], [[1], [2, 3]])


def test_sagr_counts_equal_signs_and_zero_as_its_own() -> None:
    assert metrics.sagr([0.1, -0.2, 0.3, -0.4], [0.9, -0.1, -0.3, 0.4]) == 0.5
    assert metrics.sagr([0, 0, 0.5, 0], [0, 0.5, 0, -0.0]) == 0.5


def test_sagr_is_the_accuracy_of_the_signs() -> None:
    truth, prediction = _random_traces(10)
    expected = sklearn.metrics.accuracy_score(np.sign(truth), np.sign(prediction))
    assert metrics.sagr(truth, prediction) == pytest.approx(expected)


def test_pearson_is_scipys() -> None:
    truth, prediction = _random_traces(3)
    assert metrics.pearson(truth, prediction) == pytest.approx(scipy.stats.pearsonr(truth, prediction).statistic)


def test_pearson_of_a_constant_is_zero() -> None:
    assert metrics.pearson([0.1, 0.1, 0.1], [1, 2, 3]) == 0


def test_rmse_is_scikit_learns() -> None:
    truth, prediction = _random_traces(4)
    assert metrics.rmse(truth, prediction) == pytest.approx(sklearn.metrics.root_mean_squared_error(truth, prediction))


def test_rmse_of_a_shift_is_the_shift() -> None:
    assert metrics.rmse([1, 2, 3], [3, 4, 5]) == pytest.approx(2)


def test_r_squared_is_scikit_learns() -> None:
    truth, prediction = _random_traces(5)
    assert metrics.r_squared(truth, prediction) == pytest.approx(sklearn.metrics.r2_score(truth, prediction))


def test_r_squared_of_the_mean_is_zero() -> None:
    assert metrics.r_squared([1, 2, 3], [2, 2, 2]) == pytest.approx(0)


def test_r_squared_of_a_constant_truth_is_one_only_if_predicted() -> None:
    assert metrics.r_squared([0.1] * 3, [0.1] * 3) == 1
    assert metrics.r_squared([0.1] * 3, [0.1, 0.2, 0.1]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_classification_figures_are_scikit_learns(seed: int) -> None:
    truth, prediction = _random_labels(seed)
    known = prediction < 5  # balanced_accuracy_score warns about classes that are only predicted
    assert metrics.accuracy(truth, prediction) == pytest.approx(sklearn.metrics.accuracy_score(truth, prediction))
    assert metrics.unweighted_average_recall(truth, prediction, known) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(truth[known], prediction[known])
    )
    assert metrics.macro_f1(truth, prediction) == pytest.approx(
        sklearn.metrics.f1_score(truth, prediction, average="macro")
    )
    assert np.array_equal(
        metrics.confusion_matrix(truth, prediction, 6),
        sklearn.metrics.confusion_matrix(truth, prediction, labels=range(6)),
    )


def test_unweighted_average_recall_does_not_follow_the_large_class() -> None:
    truth = [0] * 8 + [1] * 2
    assert metrics.accuracy(truth, [0] * 10) == pytest.approx(0.8)
    assert metrics.unweighted_average_recall(truth, [0] * 10) == pytest.approx(0.5)


def test_macro_f1_counts_a_class_that_is_only_predicted_as_zero() -> None:
    # class 0: 2 * 1 / (2 + 1), class 1: 0 of 1 predicted
    assert metrics.macro_f1([0, 0], [0, 1]) == pytest.approx((2 / 3 + 0) / 2)


def test_rows_of_the_confusion_matrix_are_the_truth() -> None:
    assert metrics.confusion_matrix([0, 0, 1], [1, 0, 1], 2).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("label", [-1, 3])
def test_the_confusion_matrix_refuses_a_label_out_of_range(label: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.2 expected"):
        metrics.confusion_matrix([0, label], [0, 1], 3)


@pytest.mark.parametrize("figure", NUMBERS)
def test_a_masked_figure_is_that_of_the_slice_even_beside_nan(figure: Figure) -> None:
    truth, prediction = _random_traces(6)
    valid = np.random.default_rng(6).random(50) < 0.6
    expected = figure(truth[valid], prediction[valid])
    truth[~valid], prediction[~valid] = np.nan, 1e9
    assert figure(truth, prediction, valid) == expected


@pytest.mark.parametrize("figure", LABELS)
def test_a_masked_label_figure_is_that_of_the_slice(figure: Figure) -> None:
    truth, prediction = _random_labels(7)
    valid = truth != 2
    expected = figure(truth[valid], prediction[valid])
    assert figure(np.where(valid, truth, -1), prediction, valid) == expected


@pytest.mark.parametrize("figure", NUMBERS + LABELS)
def test_a_figure_of_nothing_is_nan(figure: Figure) -> None:
    assert math.isnan(figure([], []) if figure in NUMBERS else figure([1], [1], [False]))


@pytest.mark.parametrize("figure", NUMBERS)
def test_an_unmasked_nan_is_not_hidden(figure: Figure) -> None:
    assert math.isnan(figure([0.0, 1.0, 2.0], [0.0, np.nan, 2.0]))


@pytest.mark.parametrize("figure", NUMBERS + LABELS)
def test_shapes_that_would_broadcast_are_refused(figure: Figure) -> None:
    with pytest.raises(ValueError, match="one shape"):
        figure(np.zeros((3, 1), dtype=int), np.zeros((1, 3), dtype=int))


def test_a_mask_of_integers_is_refused() -> None:
    with pytest.raises(ValueError, match="bool expected"):
        metrics.accuracy([0, 1], [0, 1], [0, 1])
