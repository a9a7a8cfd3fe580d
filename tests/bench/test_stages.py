"""Times of stages add up to the whole, whatever calls what."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.stages import OTHER, STAGES, START, Clock, with_start

from tests.media_factory import talking_clip

REPOSITORY = Path(__file__).parent.parent.parent


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_function_inside_another_counts_once() -> None:
    now = Time()
    clock = Clock(now)
    inner = clock.timed("face network", lambda: now.pass_by(3))

    def outer() -> None:
        now.pass_by(1)
        inner()
        now.pass_by(2)

    now.pass_by(10)
    clock.timed("fusion network", outer)()
    now.pass_by(20)
    clock.settle()
    assert clock.seconds == {OTHER: 30, "fusion network": 3, "face network": 3}


def test_a_generator_counts_while_it_makes_an_item_and_not_while_it_is_used() -> None:
    now = Time()
    clock = Clock(now)
    closed = []

    def items() -> Iterator[int]:
        try:
            for number in range(5):
                now.pass_by(1)
                yield number
        finally:
            closed.append(True)

    for number in clock.timed("decoding", items)():
        now.pass_by(10)
        if number == 2:
            break
    clock.settle()
    assert clock.seconds == {"decoding": 3, OTHER: 30}
    assert closed


def test_what_writes_keeps_the_time_of_what_it_calls() -> None:
    now = Time()
    clock = Clock(now)
    decode = clock.timed("decoding", lambda: now.pass_by(4))
    clock.timed("writing html", decode)()
    clock.settle()
    assert clock.seconds == {OTHER: 0, "writing html": 4}


def test_an_error_leaves_the_stage() -> None:
    now = Time()
    clock = Clock(now)

    def fail() -> None:
        now.pass_by(1)
        raise ValueError("no crop")

    with pytest.raises(ValueError, match="no crop"):
        clock.timed("cropping", fail)()
    now.pass_by(2)
    clock.settle()
    assert clock.seconds == {OTHER: 2, "cropping": 1}


def test_every_named_function_is_there_and_the_stages_of_a_real_clip_add_up(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "talk.mp4", seconds=1.0)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", str(clip), str(tmp_path / "out")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["stages"]
    assert list(told) == [*STAGES, OTHER]
    for stage in ("decoding", "looking for faces", "hearing", "voice network", "fusion network", "writing html"):
        assert told[stage] > 0, stage
    whole = with_start(told, 100.0)
    assert whole[START] > 0
    assert sum(whole.values()) == pytest.approx(100.0)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".json", ".html"}
