"""Ticks and the latest event at each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrace.clock import latest, num_ticks, tick_times

SECONDS = st.floats(0, 100, allow_nan=False)


def test_tick_zero_is_at_time_zero_and_ticks_are_exact() -> None:
    np.testing.assert_array_equal(tick_times(0, 3, 25.0), [0.0, 0.04, 0.08])
    assert tick_times(90_000, 90_001, 25.0)[0] == 3600.0
    assert len(tick_times(5, 5, 25.0)) == 0


@pytest.mark.parametrize(
    ("end", "rate", "expected"),
    [(0, 25, 0), (-1, 25, 0), (0.01, 25, 1), (0.04, 25, 1), (0.041, 25, 2), (2.0, 25, 50), (0.1 + 0.2, 10, 3)],
)
def test_ticks_lie_before_the_end(end: float, rate: float, expected: int) -> None:
    assert num_ticks(end, rate) == expected


@given(end=SECONDS, rate=st.floats(0.5, 200))
def test_as_many_ticks_as_have_times_before_the_end(end: float, rate: float) -> None:
    times = tick_times(0, num_ticks(end, rate), rate)
    assert (times < end).all()
    assert len(times) / rate >= end - 2e-6


def test_the_latest_event_counts_until_it_is_too_old() -> None:
    events = np.array([0.04, 0.08, 0.5])
    ticks = np.array([0.0, 0.04, 0.079, 0.08, 0.18, 0.19, 0.5])
    assert latest(events, ticks, 0.1).tolist() == [-1, 0, 0, 1, 1, -1, 2]


def test_an_event_that_is_late_by_rounding_belongs_to_its_tick() -> None:
    assert latest(np.array([0.1 + 0.2]), np.array([0.3]), 1.0).tolist() == [0]
    assert latest(np.array([0.3]), np.array([0.1 + 0.2]), 0.0).tolist() == [0]


def test_without_events_nothing_is_known() -> None:
    assert latest(np.zeros(0), np.array([0.0, 1.0]), 10.0).tolist() == [-1, -1]
    assert latest(np.array([1.0]), np.zeros(0), 10.0).tolist() == []


@given(events=st.lists(SECONDS, max_size=8, unique=True), ticks=st.lists(SECONDS, max_size=8), age=st.floats(0, 5))
def test_the_latest_is_what_a_search_through_all_events_finds(
    events: list[float], ticks: list[float], age: float
) -> None:
    events, ticks = sorted(events), sorted(ticks)
    expected = [
        max((place for place, event in enumerate(events) if event <= tick + 1e-6), default=-1) for tick in ticks
    ]
    expected = [
        place if place >= 0 and tick - events[place] <= age + 1e-6 else -1
        for tick, place in zip(ticks, expected, strict=True)
    ]
    assert latest(np.array(events, dtype=float), np.array(ticks, dtype=float), age).tolist() == expected
