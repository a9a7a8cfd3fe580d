"""Embeddings of clips and who is in each -> how well a linear classifier that never trained with them tells who it is.

It measures what an embedding gives away, whatever the network that made it was taught to say.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from emotrace.types import FloatArray, IntArray

_MOST_FOLDS = 5
_MOST_ITERATIONS = 5000
"""Far more than standardised vectors need; a fit that still has not converged by then warns."""


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        accuracy: share of the clips, each held out once, whose group is told right; 0..1.
        chance: share of the most frequent group: the accuracy of who does not look.
        num_groups: groups told apart.
        num_clips: clips that counted.
    """

    accuracy: float
    chance: float
    num_groups: int
    num_clips: int


def probe(embeddings: FloatArray, groups: IntArray, seed: int = 0) -> Probe | None:
    """Tell the groups by logistic regression, cross-validated over stratified folds.

    There are five folds, or as many as the smallest group has clips. Standardisation is fitted within each fold.

    Args:
        embeddings: [N, D].
        groups: [N] persons, or classes of emotion; below 0 where unknown. Those, and groups of a single clip, are left
            out.
        seed: of the folds.

    Returns:
        What was found; None where fewer than two groups are left.

    Raises:
        ValueError: an embedding is not finite.
    """
    names, counts = np.unique(groups[groups >= 0], return_counts=True)
    left = counts > 1
    if left.sum() < 2:
        return None
    kept = np.isin(groups, names[left])
    vectors, truth = embeddings[kept].astype(np.float64), groups[kept]
    folds = StratifiedKFold(min(_MOST_FOLDS, int(counts[left].min())), shuffle=True, random_state=seed)
    told = cross_val_predict(_classifier(), vectors, truth, cv=folds)
    return _probe(truth, told)


def probe_of_known(
    learnt: FloatArray, learnt_groups: IntArray, embeddings: FloatArray, groups: IntArray
) -> Probe | None:
    """Tell the groups of clips by a logistic regression on other clips of the same groups.

    Args:
        learnt: [M, D] embeddings that the regression learns from.
        learnt_groups: [M] persons, or classes of emotion.
        embeddings: [N, D] that it is judged on.
        groups: [N].

    Returns:
        What was found; None where a group is not among those learnt from, or there is one alone.

    Raises:
        ValueError: an embedding is not finite.
    """
    if not set(groups.tolist()) <= set(learnt_groups.tolist()) or len(set(groups.tolist())) < 2:
        return None
    fitted = _classifier().fit(learnt.astype(np.float64), learnt_groups)
    return _probe(groups, fitted.predict(embeddings.astype(np.float64)))


def _classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MOST_ITERATIONS))


def _probe(truth: IntArray, told: IntArray) -> Probe:
    counts = np.unique(truth, return_counts=True)[1]
    return Probe(
        accuracy=float((told == truth).mean()),
        chance=float(counts.max() / len(truth)),
        num_groups=len(counts),
        num_clips=len(truth),
    )
