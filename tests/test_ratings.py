"""Gold standards, agreement and the search of the annotation delay, on ratings whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import ArrayLike, NDArray

from emotrace import metrics, ratings

Numbers = NDArray[np.float64]

tables = st.integers(1, 5).flatmap(
    lambda raters: arrays.arrays(np.float64, (raters, 9), elements=st.floats(-1, 1, width=16))
)


def _raters(seed: int = 0, count: int = 4, ticks: int = 60) -> Numbers:
    """Return ratings of one slow trace by raters of their own noise and level, inside [-0.8, 0.8]."""
    generator = np.random.default_rng(seed)
    trace = 0.4 * np.sin(np.linspace(0, 7, ticks))
    levels = generator.uniform(-0.2, 0.2, (count, 1))
    return trace + levels + generator.uniform(-0.2, 0.2, (count, ticks))


def _smooth(generator: np.random.Generator, ticks: int, width: int) -> Numbers:
    noise = np.convolve(generator.standard_normal(ticks + 4 * width), np.hanning(width), mode="same")
    kept = noise[2 * width : 2 * width + ticks]
    return np.asarray(0.3 * kept / kept.std())


def _delayed(seed: int, delay: int, recordings: int = 4) -> tuple[list[Numbers], list[Numbers]]:
    """Return features of a trace and labels that follow it `delay` ticks later."""
    generator = np.random.default_rng(seed)
    features, labels = [], []
    for ticks in generator.integers(250, 350, recordings):
        trace = _smooth(generator, int(ticks) + delay, 15)
        now, before = trace[delay:], trace[:ticks]
        others = generator.standard_normal((ticks, 3))
        features.append(np.column_stack([5 * now + generator.standard_normal(ticks), np.full(ticks, 2.0), others]))
        labels.append(before + 0.05 * generator.standard_normal(ticks))
    return features, labels


def test_equal_raters_give_their_rating() -> None:
    rating = _raters()[0]
    for gold in (ratings.plain_mean([rating] * 3), ratings.centred_gold_standard([rating] * 3)):
        assert gold == pytest.approx(rating, abs=1e-6)
        assert gold.dtype == np.float32


def test_the_gold_standard_is_the_equation_written_out() -> None:
    table = _raters(1, count=3)
    between = {pair: metrics.ccc_official(table[pair[0]], table[pair[1]]) for pair in [(0, 1), (0, 2), (1, 2)]}
    weights = [
        (between[0, 1] + between[0, 2]) / 2,
        (between[0, 1] + between[1, 2]) / 2,
        (between[0, 2] + between[1, 2]) / 2,
    ]
    assert ratings.fit_rater_weights([table]) == pytest.approx(weights)
    level = sum(weight * rating.mean() for weight, rating in zip(weights, table, strict=True)) / sum(weights)
    expected = table.mean(axis=0) - table.mean() + level
    assert ratings.centred_gold_standard(table) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)  # a busy machine is no fault
@given(tables)
def test_centring_moves_the_mean_of_the_raters_as_a_whole_and_between_their_levels(table: Numbers) -> None:
    gold = ratings.centred_gold_standard(table).astype(np.float64)
    inside = np.abs(gold) < 1
    moved = (gold - table.mean(axis=0))[inside]
    assert moved == pytest.approx(np.full(len(moved), moved[0] if len(moved) else 0), abs=1e-6)
    assert np.abs(gold).max() <= 1
    if inside.all():
        levels = table.mean(axis=1)
        assert levels.min() - 1e-6 <= gold.mean() <= levels.max() + 1e-6


def test_a_rater_of_another_level_pulls_the_gold_standard_less_than_the_mean() -> None:
    table = _raters(2)
    table -= table.mean(axis=1, keepdims=True)
    table[3] += 0.5
    assert ratings.plain_mean(table).mean() == pytest.approx(0.125, abs=1e-6)
    assert 0 < ratings.centred_gold_standard(table).mean() < 0.08


def test_a_rater_who_contradicts_the_others_has_no_weight() -> None:
    table = _raters(3)
    table[1] = 0.3 - table[1]
    weights = ratings.fit_rater_weights([table])
    assert weights[1] == 0
    assert (weights[[0, 2, 3]] > 0).all()


def test_raters_without_agreement_are_averaged() -> None:
    trace = _raters(4)[0]
    table = np.stack([trace, 0.2 - trace])
    assert ratings.fit_rater_weights([table]).tolist() == [1, 1]
    assert np.array_equal(ratings.centred_gold_standard(table), ratings.plain_mean(table))


def test_one_rater_is_his_own_gold_standard() -> None:
    table = _raters(5, count=1)
    assert ratings.centred_gold_standard(table) == pytest.approx(table[0], abs=1e-6)


def test_weights_of_several_recordings_are_the_mean_of_those_of_each() -> None:
    tables_of_training = [_raters(seed, ticks=40 + 10 * seed) for seed in range(3)]
    alone = [ratings.fit_rater_weights([table]) for table in tables_of_training]
    assert ratings.fit_rater_weights(tables_of_training) == pytest.approx(np.mean(alone, axis=0))


def test_weights_of_training_are_used_as_they_are() -> None:
    table = _raters(6)
    gold = ratings.centred_gold_standard(table, [0, 3, 0, 1])
    level = (3 * table[1].mean() + table[3].mean()) / 4
    assert gold.mean() == pytest.approx(level, abs=1e-6)


def test_the_gold_standard_is_clipped_to_the_range_of_labels() -> None:
    table = np.array([[0.9, 1.0, 0.9], [0.9, 1.0, 0.9], [-0.1, 0.3, -0.1]])
    assert ratings.centred_gold_standard(table, [1, 1, 0]).max() == 1


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, 1, -1], [0, 0, 0, 0], [1, 1, 1, np.nan]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="4 expected, not negative"):
        ratings.centred_gold_standard(_raters(), weights)


def test_recordings_of_other_raters_have_no_common_weights() -> None:
    with pytest.raises(ValueError, match=r"\[3, 4\] raters"):
        ratings.fit_rater_weights([_raters(count=4), _raters(count=3)])
    with pytest.raises(ValueError, match=r"\[\] raters"):
        ratings.fit_rater_weights([])


@pytest.mark.parametrize(
    "table", [[0.1, 0.2], np.zeros((0, 5)), np.zeros((3, 0)), np.zeros((2, 5, 2)), [[0.1, np.nan]]]
)
def test_ratings_that_are_no_table_of_numbers_are_refused(table: ArrayLike) -> None:
    for function in (ratings.plain_mean, ratings.centred_gold_standard, ratings.agreement):
        with pytest.raises(ValueError, match=r"expected finite \[raters, ticks\]"):
            function(table)


def test_equal_raters_agree_fully() -> None:
    found = ratings.agreement([_raters()[0]] * 3)
    assert (found.ccc, found.pearson, found.cronbach_alpha) == pytest.approx((1, 1, 1))


def test_a_constant_offset_costs_concordance_but_no_correlation_and_no_consistency() -> None:
    trace = np.array([-0.1, 0.1, -0.1, 0.1])
    found = ratings.agreement([trace, trace + 0.2])
    # covariance 0.01, variances 0.01, squared shift 0.04: 0.02 / (0.02 + 0.04)
    assert found.ccc == pytest.approx(1 / 3)
    assert found.pearson == pytest.approx(1)
    assert found.cronbach_alpha == pytest.approx(1)


def test_agreement_is_numpys_over_all_pairs() -> None:
    table = _raters(7, count=5)
    above = np.triu_indices(5, 1)
    found = ratings.agreement(table)
    assert found.pearson == pytest.approx(np.asarray(np.corrcoef(table))[above].mean())
    assert found.ccc == pytest.approx(np.mean([metrics.ccc(table[i], table[j]) for i, j in zip(*above, strict=True)]))
    moments = np.cov(table)
    assert found.cronbach_alpha == pytest.approx(5 / 4 * (1 - np.trace(moments) / moments.sum()))


def test_alpha_of_raters_who_cancel_is_unknown() -> None:
    trace = _raters()[0]
    assert math.isnan(ratings.agreement([trace, -trace]).cronbach_alpha)


def test_one_rater_agrees_with_nobody() -> None:
    with pytest.raises(ValueError, match="two at least"):
        ratings.agreement(_raters(count=1))


def test_labels_move_to_earlier_ticks_and_the_last_is_repeated() -> None:
    assert ratings.shift_labels([1, 2, 3, 4], 0).tolist() == [1, 2, 3, 4]
    assert ratings.shift_labels([1, 2, 3, 4], 3).tolist() == [4, 4, 4, 4]
    assert ratings.shift_labels([[1, 5], [2, 6], [3, 7]], 1).tolist() == [[2, 6], [3, 7], [3, 7]]


@pytest.mark.parametrize("delay", [-1, 4])
def test_a_delay_that_leaves_no_label_is_refused(delay: int) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.\.3"):
        ratings.shift_labels([1, 2, 3, 4], delay)


def test_candidates_are_those_of_recola_at_any_rate() -> None:
    assert ratings.delay_candidates(25) == tuple(range(0, 241, 10))
    assert ratings.delay_candidates(1) == tuple(range(11))


@pytest.mark.parametrize("delay", [0, 8, 20])
def test_the_delay_is_found(delay: int) -> None:
    found = ratings.best_delay(*_delayed(delay, delay), range(0, 41, 4))
    assert found.best == delay
    assert found.candidates == tuple(range(0, 41, 4))
    assert max(found.correlations) > 0.7


def test_labels_that_the_features_know_nothing_of_show_no_delay() -> None:
    # Many features: what was fitted on the recordings that judge it would reach 0.4.
    generator = np.random.default_rng(2)
    features = [generator.standard_normal((200, 200)) for _ in range(10)]
    labels = [_smooth(generator, 200, 15) for _ in features]
    assert np.abs(ratings.best_delay(features, labels, range(0, 41, 4)).correlations).max() < 0.2


def test_the_first_of_equal_delays_is_best() -> None:
    features, labels = _delayed(0, 0)
    found = ratings.best_delay(features, [np.zeros(len(each)) for each in labels], [4, 0, 8])
    assert found.correlations == (0, 0, 0)
    assert found.best == 4


def test_a_search_without_enough_data_is_refused() -> None:
    features, labels = _delayed(0, 0)
    with pytest.raises(ValueError, match="two or more recordings"):
        ratings.best_delay(features[:1], labels[:1], [0])
    with pytest.raises(ValueError, match="and a candidate"):
        ratings.best_delay(features, labels, [])
    with pytest.raises(ValueError, match="above the longest delay, 400"):
        ratings.best_delay(features, labels, [0, 400])
    with pytest.raises(ValueError, match="no number"):
        ratings.best_delay([features[0] * np.nan, *features[1:]], labels, [0])
