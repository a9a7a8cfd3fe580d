"""The chain of post-processing: each step against its definition, and that fitting it can do no harm."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from emotrace import metrics
from emotrace.errors import SettingsError
from emotrace.postprocessing import STEPS, Chain, Step, fit, report

Numbers = NDArray[np.float64]
RATE_HZ = 5.0

recordings = st.lists(
    st.integers(1, 12).flatmap(
        lambda ticks: arrays.arrays(np.float64, (2, ticks), elements=st.floats(-1, 1, width=16))
    ),
    min_size=1,
    max_size=3,
)


def _recordings(
    seed: int = 0, *, noise: float = 0.0, gain: float = 1.0, bias: float = 0.0, lead: int = 0
) -> tuple[list[Numbers], list[Numbers]]:
    """Return slow truths in [-0.6, 0.6], and predictions spoiled by exactly what is asked for."""
    generator = np.random.default_rng(seed)
    truths, predictions = [], []
    for ticks in (200, 260, 230):
        trace = 0.6 * np.sin(np.arange(ticks + lead) / 25 + generator.uniform(0, 6))
        spikes = noise * generator.standard_normal(ticks) * (generator.random(ticks) < 0.3)
        truths.append(trace[:ticks])
        predictions.append(gain * trace[lead:] + bias + spikes)
    return truths, predictions


def test_a_chain_of_nothing_only_clips() -> None:
    assert Chain().apply([0.5, -3.0, 2.0]).tolist() == [0.5, -1, 1]


@pytest.mark.parametrize("width", [1, 3, 9, 41, 101])
@pytest.mark.parametrize("ticks", [1, 7, 60, 5000])
def test_the_median_is_scipys(width: int, ticks: int) -> None:
    values = np.random.default_rng(width).uniform(-1, 1, ticks)
    expected = scipy.ndimage.median_filter(values, width, mode="nearest").astype(np.float32)
    assert np.array_equal(Chain(median_ticks=width).apply(values), expected)


def test_centring_comes_before_scaling() -> None:
    assert Chain(bias=0.1, scale=2.0).apply([0.0, 0.2]) == pytest.approx([0.2, 0.6])


def test_a_shift_moves_to_later_ticks_and_repeats_the_first() -> None:
    assert Chain(shift_ticks=2).apply([0.1, 0.2, 0.3, 0.4]) == pytest.approx([0.1, 0.1, 0.1, 0.2])
    assert Chain(shift_ticks=9).apply([0.1, 0.2]) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    "settings_of_chain",
    [{"median_ticks": 2}, {"median_ticks": -1}, {"scale": 0.0}, {"bias": np.nan}, {"shift_ticks": -1}],
)
def test_a_chain_that_is_none_is_refused(settings_of_chain: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        Chain(**settings_of_chain)


@pytest.mark.parametrize("shape", [(0,), (3, 2), ()])
def test_a_prediction_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[ticks\]"):
        Chain().apply(np.zeros(shape))


@settings(deadline=None, max_examples=60)  # a busy machine is no fault
@given(recordings, st.sets(st.sampled_from(STEPS)))
def test_a_fitted_chain_never_lowers_the_concordance_where_it_was_fitted(
    pairs: list[Numbers], steps: set[Step]
) -> None:
    truths, predictions = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    chain = fit(truths, predictions, label_rate_hz=RATE_HZ, steps=tuple(steps))
    after = metrics.ccc_concatenated(truths, [chain.apply(each) for each in predictions])
    assert after >= metrics.ccc_concatenated(truths, [Chain().apply(each) for each in predictions]) - 1e-12


def test_a_perfect_prediction_is_left_alone() -> None:
    truths, _ = _recordings()
    assert fit(truths, truths, label_rate_hz=RATE_HZ) == Chain()


def test_each_step_alone_undoes_its_own_fault() -> None:
    truths, predictions = _recordings(bias=0.3)
    chain = fit(truths, predictions, label_rate_hz=RATE_HZ, steps=["centring"])
    assert chain.bias == pytest.approx(-0.3)
    assert chain == Chain(bias=chain.bias)
    truths, predictions = _recordings(gain=0.5)
    chain = fit(truths, predictions, label_rate_hz=RATE_HZ, steps=["scaling"])
    assert chain.scale == pytest.approx(2)
    assert chain == Chain(scale=chain.scale)
    truths, predictions = _recordings(lead=6)
    assert fit(truths, predictions, label_rate_hz=RATE_HZ, steps=["shift"]) == Chain(shift_ticks=6)
    truths, predictions = _recordings(noise=1.0)
    chain = fit(truths, predictions, label_rate_hz=RATE_HZ, steps=["median"])
    assert chain.median_ticks > 1
    assert chain == Chain(median_ticks=chain.median_ticks)


def test_all_steps_together_bring_the_prediction_back() -> None:
    truths, predictions = _recordings(noise=0.3, gain=0.4, bias=0.2, lead=10)
    chain = fit(truths, predictions, label_rate_hz=RATE_HZ)
    figures = report(chain, truths, predictions)
    assert figures["none"] < 0.5
    assert figures["shift"] > 0.95


def test_a_step_that_is_switched_off_is_not_used() -> None:
    truths, predictions = _recordings(noise=0.3, gain=0.4, bias=0.2, lead=10)
    assert fit(truths, predictions, label_rate_hz=RATE_HZ, steps=()) == Chain()
    assert fit(truths, predictions, label_rate_hz=RATE_HZ, steps=("shift", "median")).bias == 0


def test_the_order_of_the_wanted_steps_changes_nothing() -> None:
    truths, predictions = _recordings(noise=0.3, gain=0.4, bias=0.2, lead=10)
    assert fit(truths, predictions, label_rate_hz=RATE_HZ, steps=STEPS[::-1]) == fit(
        truths, predictions, label_rate_hz=RATE_HZ
    )


def test_the_report_rises_from_step_to_step_where_the_chain_was_fitted() -> None:
    truths, predictions = _recordings(noise=0.3, gain=0.4, bias=0.2, lead=10)
    figures = report(fit(truths, predictions, label_rate_hz=RATE_HZ), truths, predictions)
    assert list(figures) == ["none", *STEPS]
    assert list(figures.values()) == sorted(figures.values())
    assert len(set(figures.values())) == 5


def test_the_report_ends_with_the_figure_of_the_chain_and_repeats_where_a_step_is_left_out() -> None:
    truths, predictions = _recordings(bias=0.2)
    chain = Chain(bias=-0.1, shift_ticks=3)
    figures = report(chain, truths, predictions)
    assert figures["median"] == figures["none"]
    assert figures["scaling"] == figures["centring"] != figures["median"]
    assert figures["shift"] == metrics.ccc_concatenated(truths, [chain.apply(each) for each in predictions])


def test_a_constant_prediction_cannot_be_scaled() -> None:
    truths, _ = _recordings()
    assert fit(truths, [np.zeros(len(each)) for each in truths], label_rate_hz=RATE_HZ).scale == 1


def test_what_cannot_be_fitted_is_refused() -> None:
    truths, predictions = _recordings()
    with pytest.raises(SettingsError, match="Unknown step"):
        fit(truths, predictions, label_rate_hz=RATE_HZ, steps=["smoothing"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no number"):
        fit(truths, [each * np.nan for each in predictions], label_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match="no number"):
        fit([], [], label_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match="one shape"):
        fit(truths, [each[1:] for each in predictions], label_rate_hz=RATE_HZ)
