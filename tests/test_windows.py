"""Runs that are spread over a recording, and windows that cover it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.types import FloatArray
from emotrace.windows import Sampling, average_overlaps, glance, overlapping, spread_runs

LENGTH = st.integers(1, 120)
FEW = st.integers(1, 12)
SEED = st.none() | st.integers(0, 2**32 - 1)


def _draws(seed: int | None) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng(seed)


@settings(deadline=None)
@given(LENGTH, FEW, FEW, SEED)
def test_runs_are_of_consecutive_items_looped_where_there_are_too_few(
    length: int, count: int, run: int, seed: int | None
) -> None:
    runs = spread_runs(length, count, run, _draws(seed), "clip")
    assert runs.shape == (count, run)
    assert runs.min() >= 0
    assert runs.max() < length
    assert (np.diff(runs, axis=1) % length == 1 % length).all()


@settings(deadline=None)
@given(LENGTH, FEW, FEW, SEED)
def test_what_is_looped_within_its_part_keeps_its_time(length: int, count: int, run: int, seed: int | None) -> None:
    runs = spread_runs(length, count, run, _draws(seed))
    assert runs.shape == (count, run)
    edges = np.linspace(0, length, count + 1)
    if length < count * run:
        assert (runs >= np.floor(edges[:-1] + 1e-9)[:, None]).all()
        assert (runs <= np.ceil(edges[1:] - 1e-9)[:, None]).all()
    assert runs.max() < length


def test_pictures_and_sound_of_one_part_are_of_one_time_in_a_short_clip() -> None:
    ticks = 63  # 2.5 s at 25 Hz
    index = np.arange(ticks)
    looked = glance(index, index, Sampling(6, 4, 6, 48), picture_ticks=2, slice_frames=4)
    for seen, heard in zip(looked.pictures, looked.sound, strict=True):
        assert abs(seen.mean() - heard.mean()) < ticks / 12


@settings(deadline=None)
@given(st.integers(0, 100), FEW, FEW, SEED)
def test_runs_do_not_overlap_and_follow_each_other_where_there_is_room(
    more: int, count: int, run: int, seed: int | None
) -> None:
    runs = spread_runs(count * run + more, count, run, _draws(seed))
    assert (np.diff(runs[:, 0]) >= run).all()


@settings(deadline=None)
@given(LENGTH, FEW, st.integers(0, 2**32 - 1))
def test_a_run_lies_in_its_part(length: int, count: int, seed: int) -> None:
    if length < count:
        return
    first = spread_runs(length, count, 1, np.random.default_rng(seed))[:, 0]
    edges = np.linspace(0, length, count + 1)
    assert (first >= np.floor(edges[:-1])).all()
    assert (first <= edges[1:]).all()


def test_without_draws_the_middle_of_each_part_is_taken() -> None:
    assert spread_runs(30, 3, 4).tolist() == [[3, 4, 5, 6], [13, 14, 15, 16], [23, 24, 25, 26]]


def test_with_draws_the_runs_differ() -> None:
    rng = np.random.default_rng(0)
    assert len({tuple(spread_runs(100, 2, 4, rng)[:, 0]) for _ in range(10)}) > 5


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.data())
def test_windows_cover_everything_and_end_with_the_last_item(length: int, window: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, window))
    first = overlapping(length, window, hop)
    covered = {item for start in first for item in range(start, min(length, start + window))}
    assert covered == set(range(length))
    assert first[0] == 0
    assert first[-1] == max(0, length - window)
    steps = np.diff(first)
    assert (steps[:-1] == hop).all()
    assert all(0 < step <= hop for step in steps)


def test_the_windows_of_the_paper() -> None:
    assert overlapping(250, 300, 200) == [0]
    assert overlapping(300, 300, 200) == [0]
    assert overlapping(500, 300, 200) == [0, 200]
    assert overlapping(620, 300, 200) == [0, 200, 320]


@pytest.mark.parametrize(("length", "window", "hop"), [(0, 3, 2), (5, 0, 1), (5, 3, 0), (9, 3, 4)])
def test_windows_that_leave_something_out_are_refused(length: int, window: int, hop: int) -> None:
    with pytest.raises(ValueError, match="hop <= window"):
        overlapping(length, window, hop)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.data())
def test_windows_that_agree_give_what_they_say(length: int, window: int, data: st.DataObject) -> None:
    first = overlapping(length, window, data.draw(st.integers(1, window)))
    said = np.random.default_rng(0).normal(size=(length, 2)).astype(np.float32)
    found = average_overlaps([said[start : start + window] for start in first], first, length)
    np.testing.assert_allclose(found, said, atol=1e-6)
    assert found.dtype == np.float32


def test_what_overlaps_is_averaged() -> None:
    windows = [_constant(1.0), _constant(3.0)]
    assert average_overlaps(windows, [0, 2], 6).tolist() == [1, 1, 2, 2, 3, 3]


def test_what_was_filled_up_is_left_out() -> None:
    assert average_overlaps([_constant(1.0)], [0], 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("first", "length"), [([0], 5), ([1], 5)])
def test_items_without_a_window_are_refused(first: list[int], length: int) -> None:
    with pytest.raises(ValueError, match="in no window"):
        average_overlaps([_constant(1.0)], first, length)


def _constant(value: float) -> FloatArray:
    return np.full(4, value, dtype=np.float32)
