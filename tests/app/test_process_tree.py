"""Memory of a real process and its real children."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from subprocess import PIPE

import pytest

from emotrace.app import process_tree
from emotrace.app.measuring import cost

pytestmark = pytest.mark.skipif(not process_tree.is_told(), reason="this system does not tell of children")

_MEGABYTES = 60
_HOLD = f"""
import subprocess, sys, time
held = bytes(range(256)) * ({_MEGABYTES} * 10**6 // 256)
if sys.argv[1] == "1":
    time.sleep(0.4)
else:
    subprocess.run([sys.executable, "-S", "-c", sys.argv[2], str(int(sys.argv[1]) - 1), sys.argv[2]], check=True)
"""
"""Holds memory and has as many generations as it is told; the youngest stays a while."""


_WAIT = "print('started', flush=True); input()"


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-S", "-c", _WAIT], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has started
        yield process
        process.kill()


def test_a_child_s_memory_counts_with_its_parent_s() -> None:
    alone = cost(["-S", "-c", _HOLD, "1", _HOLD]).peak_megabytes
    three = cost(["-S", "-c", _HOLD, "3", _HOLD]).peak_megabytes
    assert _MEGABYTES < alone < 1.8 * _MEGABYTES
    assert 3 * _MEGABYTES < three < 2.5 * alone + _MEGABYTES


def test_the_tree_holds_children_and_ends_with_them(waiting: subprocess.Popen[str]) -> None:
    assert waiting.pid in process_tree.tree(os.getpid())
    assert process_tree.resident_megabytes(waiting.pid) > 1
    waiting.kill()
    waiting.wait()
    assert waiting.pid not in process_tree.tree(os.getpid())
    assert process_tree.resident_megabytes(waiting.pid) == 0


def test_a_watch_looks_until_its_block_ends(waiting: subprocess.Popen[str]) -> None:
    seen: list[tuple[float, float]] = []
    with process_tree.Watch(waiting.pid, lambda seconds, megabytes: seen.append((seconds, megabytes)), 0.005):
        while len(seen) < 3:
            time.sleep(0.005)
    count = len(seen)
    time.sleep(0.03)
    assert len(seen) == count
    assert [seconds for seconds, _ in seen] == sorted(seconds for seconds, _ in seen)
    assert all(megabytes > 1 for _, megabytes in seen)


def test_what_a_process_prints_and_takes_is_told() -> None:
    looked: list[float] = []
    found = cost(
        ["-c", "import os, time; print(os.environ['WORD']); time.sleep(0.2)"],
        environment={"WORD": "here"},
        look=lambda seconds, megabytes: looked.append(megabytes),
    )
    assert found.printed.strip() == "here"
    assert found.seconds > 0.2
    assert looked
    assert found.peak_megabytes >= max(looked)
