"""Speed and remaining time of many recordings, on a clock of the test's own."""

import pytest

from emotrace.app.pace import Pace


def test_nothing_is_foretold_before_anything_is_known() -> None:
    pace = Pace(3, now=0.0)
    assert pace.seconds_left(10.0) is None
    pace.begin(0)
    assert pace.seconds_left(10.0) is None


def test_the_rest_takes_as_long_per_second_of_media_as_what_is_done() -> None:
    pace = Pace(4, now=0.0)
    pace.skip()
    pace.begin(0)
    pace.begin(1)
    pace.go_on(0, 30.0, 60.0)
    pace.go_on(1, 10.0, 20.0)
    assert pace.speed(10.0) == pytest.approx(4.0)
    assert pace.seconds_left(10.0) == pytest.approx((30 + 10 + 40) / 4)
    pace.end(0, 60.0)
    pace.end(1, None)
    assert pace.speed(10.0) == pytest.approx(7.0)
    assert pace.seconds_left(10.0) == pytest.approx(60 / 7)


def test_without_lengths_it_goes_by_files() -> None:
    pace = Pace(5, now=0.0)
    for number in range(2):
        pace.begin(number)
        pace.end(number, None)
    assert pace.seconds_left(10.0) == pytest.approx(15.0)


def test_at_the_end_nothing_is_left() -> None:
    pace = Pace(1, now=0.0)
    pace.begin(0)
    pace.end(0, 5.0)
    assert pace.seconds_left(2.0) == 0.0
