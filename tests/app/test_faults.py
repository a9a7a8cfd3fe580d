"""Faults that are really done to a run: no result that was told as done is lost, and the next run makes all whole."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emotrace.app import ledger
from emotrace.app.cli import app
from tests import fault_runs
from tests.fault_runs import Place, Run
from tests.faults import FAULTS, small_disk_is_possible

SLOW = (
    "files may not grow",
    "permission to read lost",
    "recording overwritten",
    "SIGINT",
    "SIGTERM",
    "SIGKILL of the run",
    "stopped and continued",
    "few open files",
    "stdout full",
    "stdout closed",
    "stdin closed",
)
"""Each takes seconds and has a near relative among the others, or in `test_folder.py`."""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults are done by what Linux has for it")


def run_here(place: Place) -> Run:
    """Run to the end in this process, which is all the same to the results and saves the start of another."""
    done = CliRunner().invoke(app, [*place.command("--debug")[3:]])
    return Run(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = fault_runs.make_place(tmp_path_factory.mktemp("faults") / "place", 4, long_seconds=6.0)
    fault_runs.learn(place, run_here)
    return place


@pytest.fixture
def place(whole: Place) -> Place:
    shutil.rmtree(whole.output, ignore_errors=True)
    whole.output.mkdir()
    whole.touched.clear()
    whole.restore()
    return whole


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAULTS]
)
def test_a_fault_costs_no_result_that_was_told_and_the_next_run_ends_as_if_there_was_none(
    place: Place, name: str
) -> None:
    if name == "disk full" and not small_disk_is_possible():
        pytest.skip("no file system of its own may be made here")
    run = FAULTS[name].do(place, random.Random(7))
    assert fault_runs.judge_disturbed(place, run, FAULTS[name].statuses).all() == []
    place.restore()
    before = fault_runs.times(place)
    assert fault_runs.judge_end(place, run_here(place), before).all() == []


_READ_WITH_LITTLE_MEMORY = """
import os, resource, sys
from pathlib import Path
from emotrace.media import VideoFrame, open_clip
held = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
for more in (4, 12, 20, 28, 200):
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_DATA, (held + more * 10**6,) * 2)
        try:
            with open_clip(Path(sys.argv[1])) as clip:
                found = f"{sum(isinstance(each, VideoFrame) for each in clip.read())} {clip.problems}"
        except MemoryError:
            found = "told"
        os.write(1, f"{more}: {found}\\n".encode())
        os._exit(0)
    os.wait()
"""


def test_no_picture_is_skipped_as_damaged_because_memory_was_short(whole: Place) -> None:
    command = [sys.executable, "-c", _READ_WITH_LITTLE_MEMORY, str(whole.paths()[1])]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[-1] == "200: 25 ()"
    assert set(printed[:-1]) <= {f"{more}: {found}" for more in (4, 12, 20, 28) for found in ("told", "25 ()")}
    assert printed[0] == "4: told"


def test_what_is_done_after_the_folder_was_removed_is_not_noted_in_a_ledger_that_nobody_will_find(
    tmp_path: Path,
) -> None:
    line = ledger.Line(
        source="a", target="a", content=None, bundle="b", emotrace="0", wishes="w", asked=(), sizes={}, failure=None
    )
    with ledger.open_ledger(tmp_path / "out", ["a"]) as opened:
        opened.add(line)
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        (tmp_path / "out").mkdir()
        with pytest.raises(OSError, match="removed or replaced"):
            opened.add(line)
