"""Labels, predictions and a mask of what counts -> figures of merit. Numbers in, one number out; numpy only.

In all functions truth and prediction have one shape, every element is one tick or one item, and `valid` is a
bool mask of the same shape (true counts; None counts all). Where nothing counts a figure is NaN. Functions of
several recordings take one array per recording in two lists of one length, and no mask. Equations: Liu & Tang 2021;
eq. 34 is garbled in print and is read as the coefficient of determination.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]


def ccc(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Lin's concordance correlation coefficient in [-1, 1] (eq. 35), with moments that divide by N.

    A constant input has no correlation: the figure is then 1 if truth and prediction are equal, else 0.

    Source: L. I-K. Lin, Biometrics 45 (1989) 255-268. Many programs divide the variances by N - 1, which
    gives other figures on short recordings: `ccc_official`.
    """
    return _concordance(*_numbers(truth, prediction, valid), ddof=0)


def ccc_official(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Lin's concordance as the script of the AVEC challenges has it: covariance by N, but variances by N - 1.

    For figures beside those of the challenges, and for RECOLA's gold standard. A perfect prediction of N ticks gets
    1 - 1/N, and the magnitude is never above that of `ccc`. A constant input counts as in `ccc`.
    """
    return _concordance(*_numbers(truth, prediction, valid), ddof=1)


def ccc_concatenated(truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> float:
    """`ccc` over the ticks of all recordings together: differences between recordings count, as do long recordings.

    Raises:
        ValueError: the lists have not one length, or a recording's truth and prediction not one shape.
    """
    recordings = _recordings(truths, predictions)
    if not recordings:
        return float("nan")
    return ccc(*(np.concatenate(parts) for parts in zip(*recordings, strict=True)))


def ccc_per_recording(truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> float:
    """Mean over recordings of the `ccc` of each; every recording counts the same, however long.

    A recording whose truth is constant has a concordance of 0 unless it is met exactly, and one without ticks makes
    the mean NaN.

    Raises:
        ValueError: the lists have not one length, or a recording's truth and prediction not one shape.
    """
    recordings = _recordings(truths, predictions)
    return float(np.mean([ccc(x, y) for x, y in recordings])) if recordings else float("nan")


def pearson(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Pearson's correlation in [-1, 1] (rho of eq. 36); 0 where truth or prediction is constant."""
    x, y = _numbers(truth, prediction, valid)
    if not len(x):
        return float("nan")
    if _is_constant(x) or _is_constant(y):
        return 0.0
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(np.clip(covariance / (x.std() * y.std()), -1, 1))


def rmse(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Root of the mean squared error (eq. 37)."""
    x, y = _numbers(truth, prediction, valid)
    return float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else float("nan")


def sagr(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Share of ticks where truth and prediction have the same sign (sign agreement).

    Zero is a sign of its own: it agrees with zero only. A NaN agrees with nothing and makes the figure NaN.

    Source: M. A. Nicolaou, H. Gunes and M. Pantic, IEEE Trans. Affective Computing 2 (2011) 92-105.
    """
    x, y = _numbers(truth, prediction, valid)
    if not len(x) or np.isnan(x).any() or np.isnan(y).any():
        return float("nan")
    return float(np.mean(np.sign(x) == np.sign(y)))


def r_squared(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Coefficient of determination, at most 1 (eq. 34): the share of the truth's variance that is predicted.

    A constant truth has no variance: the figure is then 1 if the prediction is equal, else 0.
    """
    x, y = _numbers(truth, prediction, valid)
    if not len(x):
        return float("nan")
    if _is_constant(x):
        return float(np.array_equal(x, y))
    return float(1 - np.sum((x - y) ** 2) / np.sum((x - x.mean()) ** 2))


def accuracy(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Share of items whose predicted label is the true one.

    Papers on speech emotion call it weighted accuracy (WA), as every class weighs by its size; their unweighted
    accuracy (UA) is `unweighted_average_recall`.
    """
    x, y = _labels(truth, prediction, valid)
    return float(np.mean(x == y)) if len(x) else float("nan")


def unweighted_average_recall(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Mean of the recalls of all classes that occur in the truth, whatever their size."""
    x, y = _labels(truth, prediction, valid)
    if not len(x):
        return float("nan")
    return float(np.mean([np.mean(y[x == label] == label) for label in np.unique(x)]))


def macro_f1(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Mean F1 of all classes that occur in truth or prediction; F1 is 0 for a class that is never hit."""
    x, y = _labels(truth, prediction, valid)
    if not len(x):
        return float("nan")
    scores = []
    for label in np.union1d(x, y):
        hits = np.sum((x == label) & (y == label))
        scores.append(2 * hits / (np.sum(x == label) + np.sum(y == label)))
    return float(np.mean(scores))


def confusion_matrix(
    truth: ArrayLike, prediction: ArrayLike, num_classes: int, valid: ArrayLike | None = None
) -> LabelArray:
    """Return [num_classes, num_classes]: how many items of each true class (row) got each label (column).

    Raises:
        ValueError: a label that counts is not in 0..num_classes - 1.
    """
    x, y = _labels(truth, prediction, valid)
    for labels in (x, y):
        if len(labels) and not (labels.min() >= 0 and labels.max() < num_classes):
            found = f"{labels.min()}..{labels.max()}"
            raise ValueError(f"labels {found} found, 0..{num_classes - 1} expected: raise num_classes or mask them")
    counts = np.bincount(x * num_classes + y, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def _concordance(x: FloatArray, y: FloatArray, *, ddof: int) -> float:
    if not len(x):
        return float("nan")
    if _is_constant(x) or _is_constant(y):
        return float(np.array_equal(x, y))
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var(ddof=ddof) + y.var(ddof=ddof) + (x.mean() - y.mean()) ** 2))


def _recordings(truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> list[tuple[FloatArray, FloatArray]]:
    if len(truths) != len(predictions):
        raise ValueError(f"{len(truths)} truths but {len(predictions)} predictions: give one of each per recording")
    return [_numbers(truth, prediction, None) for truth, prediction in zip(truths, predictions, strict=True)]


def _numbers(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    counts = _counting(x.shape, y.shape, valid)
    return x[counts], y[counts]


def _labels(truth: ArrayLike, prediction: ArrayLike, valid: ArrayLike | None) -> tuple[LabelArray, LabelArray]:
    x, y = np.asarray(truth), np.asarray(prediction)
    counts = _counting(x.shape, y.shape, valid)
    return x[counts].astype(np.int64, casting="safe"), y[counts].astype(np.int64, casting="safe")


def _counting(truth: tuple[int, ...], prediction: tuple[int, ...], valid: ArrayLike | None) -> NDArray[np.bool_]:
    """Return the mask of what counts; refuse shapes that broadcast and masks that numpy takes as indices."""
    counts = np.ones(truth, dtype=np.bool_) if valid is None else np.asarray(valid)
    if not truth == prediction == counts.shape:
        raise ValueError(f"truth {truth}, prediction {prediction} and valid {counts.shape} must have one shape")
    if counts.dtype != np.bool_:
        raise ValueError(f"valid has type {counts.dtype}, bool expected: true where an element counts")
    return counts


def _is_constant(values: FloatArray) -> bool:
    return bool(values.min() == values.max())
