"""One cell of a comparison: what is kept of it, and the process that runs it."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emotrace.errors import EmotraceError
from emotrace.training.cells import SystemCell, cell_origin, is_done, run_cell, system_row, weight_points
from emotrace.training.opening import open_study
from emotrace.training.presets import PRESETS
from emotrace.training.stage_one import StageOneSettings
from emotrace.training.study import Study

_PARENT = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from emotrace.training.cells import start_worker
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=start_worker)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    worker = int(told.stdout)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _lives(worker):
        time.sleep(0.2)
    assert not _lives(worker)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Ended, and waiting for somebody to ask.
    return " Z" not in Path(f"/proc/{process}/stat").read_text() if Path("/proc").is_dir() else True


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study("composed", tmp_path, tmp_path, small=True)


def _cell(folder: Path) -> SystemCell:
    return SystemCell("kalman-fusion", PRESETS["kalman-fusion"].settings, folder, StageOneSettings())


RESULT = {
    "figures": {"ccc_arousal": 0.5, "beta_own": None},
    "intervals": {"ccc_arousal": [0.4, None]},
    "curves": {"missing face": {"0": [0.5, 0.25], "100": [None, 0.0]}},
    "weight_points": {"missing": [[0.5, 0.25]]},
}


def _told(study: Study, cell: SystemCell) -> dict[str, object]:
    return {"origin": cell_origin(study, cell), "commit": None, "result": RESULT}


def test_a_result_is_read_as_it_was_and_what_is_not_defined_is_nan(study: Study, tmp_path: Path) -> None:
    cell = _cell(tmp_path)
    assert not is_done(study, cell)
    (tmp_path / "result.json").write_text(json.dumps(_told(study, cell)))
    assert is_done(study, cell)
    row = system_row(cell)
    assert row.figure("ccc_arousal") == 0.5
    assert math.isnan(row.figure("beta_own"))
    assert math.isnan(row.intervals["ccc_arousal"][1])
    assert row.curves["missing face"][0] == (0.5, 0.25)
    assert math.isnan(row.curves["missing face"][100][0])
    assert weight_points(cell) == {"missing": [(0.5, 0.25)]}


def test_a_result_of_other_settings_is_refused(study: Study, tmp_path: Path) -> None:
    cell = _cell(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps(_told(study, cell)))
    other = replace(cell, settings=cell.settings.model_copy(update={"seed": 1}))
    with pytest.raises(EmotraceError, match="other settings"):
        is_done(study, other)
    with pytest.raises(EmotraceError, match="other settings"):
        is_done(study.delayed(1.0), cell)


def test_a_training_of_other_settings_is_not_gone_on_with(study: Study, tmp_path: Path) -> None:
    cell = _cell(tmp_path)
    (tmp_path / "begun.txt").write_text(cell_origin(study, cell))
    other = replace(cell, settings=cell.settings.model_copy(update={"learning_rate": 0.5}))
    with pytest.raises(EmotraceError, match="training of other settings"):
        run_cell(study, other)


def test_the_face_networks_count_only_for_a_system_that_sees_through_them(study: Study, tmp_path: Path) -> None:
    larger = StageOneSettings(width=0.25)
    for key, counts in (("bimodal-attention", False), ("attention-improved-alexnet", True)):
        cell = SystemCell(key, PRESETS[key].settings, tmp_path, StageOneSettings())
        assert (cell_origin(study, cell) != cell_origin(study, replace(cell, stage_one=larger))) == counts


def test_a_damaged_result_is_told(study: Study, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"origin": ')
    with pytest.raises(EmotraceError, match="damaged"):
        is_done(study, _cell(tmp_path))
