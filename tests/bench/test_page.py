"""The page of performance from figures made up: each stands where it belongs, and what is missing is said to be."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import bench, lengths, page, parts, steps
from benchmarks.clips import Clip
from benchmarks.following import Trace, compared, overlap

from emotrace.app.measuring import Cost

CONDITIONS: dict[str, Any] = {
    "commit": "c0ffee",
    "date": "2030-01-02",
    "cores": 2,
    "processor": "P",
    "system": "S",
    "detector": "haar",
    "bundle": "abcd",
    "versions": {"Python": "3", "av": "18"},
}


def clip(name: str, seconds: float = 60.0) -> Clip:
    return Clip(name, f"what of {name}", Path(__file__), seconds)


def cost(seconds: float, megabytes: float = 200.0) -> Cost:
    return Cost(seconds, megabytes, "")


def made_up() -> dict[str, Any]:
    figures = {
        name: bench._figures(clip(name), [cost(0.5), cost(0.75)], [cost(4.0), cost(5.0, 222.0)])
        for name in ("640x480", "1080p30")
    }
    stages = {"start": 1.0, "decoding": 2.0, "other": 1.0}
    apart = {"median": 0.011, "percentile_95": 0.022, "largest": None}
    length = {"clip": "640x480", "minutes": 5, "seconds": 20.0, "x_real_time": 15.0, "results_megabytes": 1.0}
    found: dict[str, Any] = {
        "speed": {
            "repeats": 2,
            "clips": figures,
            "start": {"import_seconds": 0.01, "help_seconds": 0.02},
            "goals": bench.judged(figures),
            "install_megabytes": 333.0,
        },
        "stages": {"clips": {"640x480": {"clip_seconds": 60, "whole_seconds": 4.0, "stages": stages}}},
        "lengths": {
            "goal_megabytes": 700.0,
            "recordings": [
                {**length, "peak_megabytes": 201.0, "first_rows_seconds": 2.0, "curve": [[1.0, 201.0, 0.0]]},
                {**length, "peak_megabytes": 701.0, "first_rows_seconds": None, "curve": [[1.0, 701.0, 9.0]]},
            ],
        },
        "following": {
            "clips": {
                "640x480": {
                    "what": "a | b",
                    **dict.fromkeys(("share_followed", "share_searched", "share_both", "median_overlap"), 0.9),
                    **dict.fromkeys(("processor_seconds_followed", "processor_seconds_searched"), 3.0),
                    **dict.fromkeys(("arousal", "valence"), apart),
                }
            }
        },
        "peer": {
            "clip": "c",
            "seconds": 20.0,
            "peer": {"name": "fer", "version": "1", "pictures_per_second": 5.0, "peak_megabytes": 900.0},
            "emotrace_pictures_per_second": 400.0,
            "ratio": 80.0,
        },
        "steps": {
            "seconds": {"640x480": 60.0},
            "repeats": 2,
            "clips": {"640x480": "w"},
            "steps": steps.rows(
                [steps.Step("aaa", "first", Path()), steps.Step("bbb", "then | faster", Path())],
                [clip("640x480")],
                {(0, "640x480"): [cost(12.0), cost(15.0)], (1, "640x480"): [cost(9.0), cost(4.0, 250.0)]},
            ),
        },
    }
    return {name: {"conditions": CONDITIONS, **part} for name, part in found.items()}


def test_every_part_stands_on_the_page_with_its_conditions_and_every_table_is_whole() -> None:
    told = page.text(made_up())
    assert set(made_up()) == set(parts.NAMES)
    assert told.count("Commit `c0ffee`, 2030-01-02; 2 cores of P (S)") == len(parts.NAMES)
    assert "Not measured" not in told
    tables = re.findall(r"(?:^\|.*\n)+", told, re.MULTILINE)
    assert len(tables) == 8
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1
    assert "{" not in told
    for words in ("**15.0x** | 12% | 222 MB | 25% / 50%", "under 700 MB", "**over** 700 MB", "**80.0x**", "0.022 / —"):
        assert words in told


def test_a_part_that_was_not_measured_says_how_it_is() -> None:
    told = page.text({})
    assert told.count("Not measured yet: `") == len(parts.NAMES)


def test_goals_are_judged_by_what_was_reached() -> None:
    told = page.text(made_up())
    assert "| 640x480, x real time | 15 | 15 | met |" in told
    assert "| 640x480, of the decode-only rate | 0.25 | 0.125 | **not met** |" in told
    assert "| 1080p30, x real time | 4 | 15 | met |" in told
    assert "| m4a, x" not in told


def test_a_step_is_compared_with_the_one_before() -> None:
    first, second = made_up()["steps"]["steps"]
    assert first["clips"]["640x480"]["ratio"] is None
    assert second["clips"]["640x480"] == {"x_real_time": 15.0, "peak_megabytes": 250.0, "ratio": 3.0}


def test_parts_that_are_kept_come_back(tmp_path: Path) -> None:
    parts.keep("peer", made_up()["peer"], tmp_path)
    assert parts.kept(tmp_path) == {"peer": made_up()["peer"]}
    page.write(tmp_path / "page.md", tmp_path)
    assert (tmp_path / "page.md").read_text(encoding="utf-8").count("Not measured yet") == len(parts.NAMES) - 1


def test_an_older_commit_runs_from_its_own_folder(tmp_path: Path) -> None:
    try:
        step = steps.unpacked("HEAD=a reason", tmp_path / "0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no working copy of git")
    assert step.why == "a reason"
    assert (step.source / "emotrace" / "__init__.py").is_file()
    steps.check(step, sys.executable)
    with pytest.raises(SystemExit, match="was run in place"):
        steps.check(steps.Step("x", "", tmp_path / "nothing"), sys.executable)


def test_the_last_whole_row_of_a_growing_file_tells_its_media_time(tmp_path: Path) -> None:
    growing = tmp_path / "long.csv.partial"
    assert lengths.written_seconds(growing) is None
    growing.write_text("time,person\n", encoding="utf-8")
    assert lengths.written_seconds(growing) is None
    growing.write_text("time,person\n" + "".join(f"{tick / 25:.2f},0\n" for tick in range(5000)) + "200.0", "utf-8")
    assert lengths.written_seconds(growing) == 199.96


def test_a_thinned_curve_keeps_its_peak_and_a_drawn_one_is_a_picture(tmp_path: Path) -> None:
    curve = lengths.Curve(tmp_path / "none")
    for number in range(2000):
        curve.look(float(number), 999.0 if number == 777 else 200.0)
    thin = curve.thinned()
    assert len(thin) <= 240
    assert max(megabytes for _, megabytes, _ in thin) == 999.0
    assert thin[-1][0] == 1999.0
    assert lengths.largest([(0, 1, 0.0), (1, 5, 0.0), (2, 3, 9.0)]) == {0.0: 5, 9.0: 3}
    lengths.draw(made_up()["lengths"], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[1:4] == b"PNG"


def test_traces_are_compared_where_both_know_something() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [np.nan] * 4], np.float32)
    moved = boxes + np.array([5, 0, 0, 0], np.float32)
    assert overlap(boxes[:2], moved[:2]).tolist() == pytest.approx([1 / 3, 1 / 3])
    nothing = np.zeros(3, np.float32)
    one = Trace(np.array([True, True, False]), boxes, np.array([0.0, 0.5, np.nan], np.float32), nothing, 1.0)
    other = Trace(np.array([True, False, False]), moved, np.array([0.0, 0.3, 0.1], np.float32), nothing, 2.0)
    found = compared(one, other)
    assert found["share_both"] == pytest.approx(1 / 3)
    assert found["median_overlap"] == pytest.approx(1 / 3)
    assert found["arousal"]["largest"] == pytest.approx(0.2)
    assert compared(one, Trace(np.zeros(3, bool), moved, other.arousal, other.valence, 2.0))["median_overlap"] is None
