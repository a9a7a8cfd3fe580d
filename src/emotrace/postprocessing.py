"""Predictions of a recording -> predictions that fit the labels better: the chain of the AVEC challenges.

The chain is fitted on training or development recordings and then applied as it is. It looks ahead by half the
median's width, so it is for whole recordings. One dimension at a time; T ticks of the label clock.

Source: M. Valstar et al., "AVEC 2016: Depression, Mood, and Emotion Recognition Workshop and Challenge", Proc. 6th
Int. Workshop on Audio/Visual Emotion Challenge (2016). The grids of widths and shifts are ours, within its ranges.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotrace import metrics
from emotrace.errors import SettingsError
from emotrace.types import FloatArray

Step = Literal["median", "centring", "scaling", "shift"]
STEPS: tuple[Step, ...] = get_args(Step)
"""In the order in which they are fitted and applied."""

MEDIAN_SECONDS = (0.4, 1.0, 2.0, 5.0, 10.0, 20.0)
SHIFT_SECONDS = tuple(0.4 * step for step in range(1, 26))
"""0.4 to 10 s."""

_BLOCK_TICKS = 4096
"""Ticks that are filtered at once: bounds the memory, which is this times the median's width."""


@dataclass(frozen=True)
class Chain:
    """What is done to a prediction; the defaults do nothing but clip.

    Attributes:
        median_ticks: odd width of the median filter; 1 is none.
        bias: added after the filter.
        scale: multiplies what was centred, about zero as in the challenge; above 0.
        shift_ticks: by how much the prediction is moved to later ticks, as raters lag behind; at least 0.
    """

    median_ticks: int = 1
    bias: float = 0.0
    scale: float = 1.0
    shift_ticks: int = 0

    def __post_init__(self) -> None:
        if self.median_ticks < 1 or self.median_ticks % 2 == 0:
            raise SettingsError(f"median_ticks {self.median_ticks}: expected an odd number of ticks, 1 for no filter.")
        if not np.isfinite(self.bias) or not np.isfinite(self.scale) or self.scale <= 0:
            raise SettingsError(f"bias {self.bias}, scale {self.scale}: expected finite numbers, and a scale above 0.")
        if self.shift_ticks < 0:
            raise SettingsError(f"shift_ticks {self.shift_ticks}: expected 0 or more, a move to later ticks.")

    def apply(self, prediction: ArrayLike) -> FloatArray:
        """Return [T]: a prediction [T] of one recording, filtered, centred, scaled, shifted, clipped to [-1, 1].

        Beyond its ends a recording is taken to go on with its first and last value.

        Raises:
            ValueError: the prediction is no [T] with a tick at least.
        """
        return np.clip(_shifted(self._levelled(prediction), self.shift_ticks), -1, 1).astype(np.float32)

    def _levelled(self, prediction: ArrayLike) -> NDArray[np.float64]:
        values = np.asarray(prediction, dtype=np.float64)
        if values.ndim != 1 or not len(values):
            raise ValueError(f"prediction {values.shape} found, expected [ticks] of one dimension and recording")
        return (_median(values, self.median_ticks) + self.bias) * self.scale


def fit(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    *,
    label_rate_hz: float,
    steps: Sequence[Step] = STEPS,
) -> Chain:
    """Return the chain that suits these recordings, which must not be those it is judged on.

    One step after the other is kept if it raises the concordance over all ticks together
    (`metrics.ccc_concatenated`) of what the chain so far gives, clipping included. So on these recordings the chain
    is never worse than the clipped predictions.

    Args:
        truths: per recording [T] in [-1, 1].
        predictions: per recording [T].
        label_rate_hz: ticks per second, which turns `MEDIAN_SECONDS` and `SHIFT_SECONDS` into ticks.
        steps: those that may be used, in any order.

    Raises:
        SettingsError: an unknown step.
        ValueError: no recording, shapes that do not fit, or values that are no number.
    """
    unknown = sorted(set(steps) - set(STEPS))
    if unknown:
        raise SettingsError(f"Unknown step of post-processing {unknown}: expected some of {', '.join(STEPS)}.")
    width, chain = 1, Chain()
    best = _score(chain, truths, predictions)
    if not np.isfinite(best):
        raise ValueError("the concordance to begin with is no number: give recordings whose values all are numbers")
    for step in (each for each in STEPS if each in steps):
        for trial in _trials(step, chain, truths, predictions, label_rate_hz):
            score = _score(trial, truths, predictions)
            if score > best:
                chain, best = trial, score
        if step == "median":
            # Wide filters are slow: the other steps start from what is filtered.
            width, chain = chain.median_ticks, Chain()
            predictions = [_median(np.asarray(each, dtype=np.float64), width) for each in predictions]
    return replace(chain, median_ticks=width)


def report(chain: Chain, truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> dict[str, float]:
    """Return the concordance over all ticks (`metrics.ccc_concatenated`) after each step in turn.

    Keys are "none" (predictions that are clipped only) and `STEPS`; a step that the chain leaves out repeats the
    figure before it.

    Raises:
        ValueError: shapes that do not fit.
    """
    stages: dict[str, Chain] = {"none": Chain()}
    stages["median"] = replace(stages["none"], median_ticks=chain.median_ticks)
    stages["centring"] = replace(stages["median"], bias=chain.bias)
    stages["scaling"] = replace(stages["centring"], scale=chain.scale)
    stages["shift"] = chain
    return {name: _score(stage, truths, predictions) for name, stage in stages.items()}


def _trials(
    step: Step, chain: Chain, truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike], label_rate_hz: float
) -> Iterator[Chain]:
    if step == "median":
        for seconds in MEDIAN_SECONDS:
            yield replace(chain, median_ticks=round(seconds * label_rate_hz) | 1)
    elif step == "shift":
        for seconds in SHIFT_SECONDS:
            yield replace(chain, shift_ticks=round(seconds * label_rate_hz))
    else:
        truth = np.concatenate([np.asarray(each, dtype=np.float64) for each in truths])
        said = np.concatenate([chain._levelled(each) for each in predictions])
        if step == "centring":
            yield replace(chain, bias=float(truth.mean() - said.mean()))
        elif truth.std() > 0 and said.std() > 0:
            yield replace(chain, scale=float(truth.std() / said.std()))


def _score(chain: Chain, truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> float:
    return metrics.ccc_concatenated(truths, [chain.apply(each) for each in predictions])


def _median(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    if width == 1:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, width // 2, mode="edge"), width)
    blocks = [windows[start : start + _BLOCK_TICKS] for start in range(0, len(values), _BLOCK_TICKS)]
    return np.concatenate([np.median(block, axis=1) for block in blocks])


def _shifted(values: NDArray[np.float64], ticks: int) -> NDArray[np.float64]:
    return values[np.maximum(np.arange(len(values)) - ticks, 0)]
