"""The answers of several folds, against the formula written out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrace import metrics
from emotrace.training.fold_ensemble import combined


def _folds(count: int = 4, ticks: int = 50) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    truth = 0.3 * np.sin(np.arange(ticks)[:, None] * [0.2, 0.3])
    level = rng.normal(size=(count, 1, 2))
    noise = rng.normal(size=(count, ticks, 2))
    return np.asarray(truth + 0.05 * level + 0.03 * noise)


def test_the_answer_is_that_of_the_formula() -> None:
    folds = _folds()
    expected = np.zeros(folds.shape[1:])
    for d in range(2):
        means = folds[:, :, d].mean(axis=1)
        weights = [
            np.mean([metrics.ccc_official(folds[i, :, d], folds[j, :, d]) for j in range(4) if j != i])
            for i in range(4)
        ]
        assert min(weights) > 0
        level = np.dot(weights, means) / np.sum(weights)
        expected[:, d] = np.mean([folds[k, :, d] - means[k] + level for k in range(4)], axis=0)
    np.testing.assert_allclose(combined(folds), expected, atol=1e-6)


def test_folds_that_say_the_same_give_that() -> None:
    same = np.repeat(_folds(1), 6, axis=0)
    np.testing.assert_allclose(combined(same), same[0], atol=1e-6)


@pytest.mark.parametrize("ticks", [1, 7])
def test_constant_folds_give_a_constant_between_them(ticks: int) -> None:
    folds = np.stack([np.full((ticks, 2), 0.2), np.full((ticks, 2), 0.4)])
    np.testing.assert_allclose(combined(folds), np.full((ticks, 2), 0.3), atol=1e-6)


def test_nothing_leaves_the_range() -> None:
    answer = combined(5 * _folds())
    assert answer.min() == -1
    assert answer.max() == 1


@pytest.mark.parametrize("shape", [(4, 50), (4, 50, 3), (4, 0, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        combined(np.zeros(shape))


def test_what_is_no_number_is_refused() -> None:
    folds = _folds()
    folds[1, 3, 0] = np.nan
    with pytest.raises(ValueError, match="no number"):
        combined(folds)
