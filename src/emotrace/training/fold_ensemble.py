"""What the models of several folds say of one recording -> one answer.

Source: the code of Zhang et al. 2021 (arXiv 2107.01175), which moves the folds to a common level as the AVEC challenges
do with raters, takes the mean and clips. Ours, as in `ratings.py`: a fold that disagrees with the others has no weight
instead of a negative one.
"""

import numpy as np
from numpy.typing import ArrayLike

from emotrace.ratings import centred_gold_standard
from emotrace.types import FloatArray


def combined(predictions: ArrayLike) -> FloatArray:
    """Return [T, 2] in [-1, 1]: the mean of predictions [K, T, 2] of K folds, each moved to the level they agree on.

    Per dimension: x_k - mean_t x_k + (sum_j w_j mean_t x_j) / (sum_j w_j), w_j being the mean concordance of fold j
    with the others on this recording.

    Raises:
        ValueError: the predictions are no [K, T, 2] of finite numbers.
    """
    folds = np.asarray(predictions, dtype=np.float64)
    if folds.ndim != 3 or folds.shape[2] != 2:
        raise ValueError(f"predictions {folds.shape} found, expected [folds, ticks, 2]: arousal and valence.")
    return np.stack([centred_gold_standard(folds[..., dimension]) for dimension in range(2)], axis=1)
