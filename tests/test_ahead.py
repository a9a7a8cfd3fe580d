"""Items made ahead: the same ones, an error in its place, nothing left running."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrace.ahead import ahead


def threads() -> int:
    return sum(thread.name == "emotrace-ahead" for thread in threading.enumerate())


@given(st.lists(st.none() | st.integers()), st.integers(1, 5))
def test_the_items_come_in_their_order(items: list[int | None], num_items: int) -> None:
    assert list(ahead(iter(items), num_items)) == items


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk has gone")

    source = ahead(failing(), 5)
    assert [next(source), next(source)] == [1, 2]
    with pytest.raises(OSError, match="the disk has gone"):
        next(source)


def test_no_more_than_asked_for_are_made_ahead() -> None:
    made = []

    def counting() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    source = ahead(counting(), 3)
    assert next(source) == 0
    source.close()
    assert len(made) <= 6  # the one taken, three that wait, one in the hands of the thread, one more that it began


def test_a_taker_that_stops_early_ends_the_thread_and_closes_the_items() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    source = ahead(endless(), 2)
    next(source)
    assert threads() == 1
    source.close()
    assert closed.is_set()
    assert threads() == 0
