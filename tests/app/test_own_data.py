"""A folder of own recordings, from the command line: train, evaluate, compare, analyse."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emotrace.app.cli import app
from emotrace.demo import make_demo
from emotrace.timeline import Timeline

SECONDS = 4.0


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn people, two in each split; half of them rated over time."""
    root = tmp_path_factory.mktemp("own")
    rows = ["file,arousal,valence,labels,subject,split"]
    for number, split in enumerate(("train", "train", "validation", "validation", "test", "test")):
        truth = make_demo(root / f"{number}.mp4", seconds=SECONDS, size=(240, 180), frame_rate=12.5, seed=number)
        if number % 2:
            rows.append(f"{number}.mp4,0.{number},-0.{number},,p{number},{split}")
            continue
        rows.append(f"{number}.mp4,,,{number}.csv,p{number},{split}")
        lines = [
            f"{time:.2f},{arousal:.3f},{valence:.3f}"
            for time, arousal, valence in zip(truth.times, truth.arousal, truth.valence, strict=True)
        ]
        (root / f"{number}.csv").write_text("\n".join(["time,arousal,valence", *lines]) + "\n")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def test_own_recordings_are_trained_on_evaluated_and_used_without_a_line_of_code(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    common = ("--corpus", "folder", "--root", folder)
    trained = run("train", "bimodal-attention", *common, "--output", output, "--small", "--json")
    assert trained.exit_code == 0, trained.stderr
    figures = json.loads(trained.stdout)
    assert figures["system"] == "bimodal-attention"
    assert -1 <= figures["ccc_valence"] <= 1

    evaluated = run("evaluate", output, *common, "--split", "test", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    judged = json.loads(evaluated.stdout)
    assert judged["ccc_valence"] == pytest.approx(figures["ccc_valence"])
    assert (judged["recordings"], judged["of_these_learnt_from"]) == (2, 0)
    assert "ccc_after_median_valence" not in judged  # nothing was left to fit it on

    others = _with_labels(folder, tmp_path / "others", "train", "test", "validation", "test")
    elsewhere = run("evaluate", output, "--corpus", "folder", "--root", others, "--json")
    assert elsewhere.exit_code == 0, elsewhere.stderr
    assert json.loads(elsewhere.stdout)["of_these_learnt_from"] == 4

    used = run("analyze", folder / "5.mp4", "--bundle", output / "bundle", "--output", tmp_path / "out")
    assert used.exit_code == 0, used.stderr
    timeline = Timeline.from_json(tmp_path / "out" / "5.json")
    assert timeline.metadata.bundle == "own"
    assert "emotions" in " ".join(timeline.metadata.problems)


def test_a_comparison_on_own_recordings_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    arguments = ("--corpus", "folder", "--root", folder, "--seeds", "1", "--output", tmp_path / "out", "--small")
    first = run("compare", "kalman-fusion", *arguments)
    assert first.exit_code == 0, first.stderr
    result = next((tmp_path / "out").rglob("result.json"))
    before = result.stat().st_mtime_ns
    second = run("compare", "kalman-fusion", "decision-rules", *arguments)
    assert second.exit_code == 0, second.stderr
    assert result.stat().st_mtime_ns == before
    page = (tmp_path / "out" / "results.md").read_text()
    assert "| kalman-fusion | 1 |" in page
    assert "| decision-rules | 1 |" in page

    other = run("compare", "kalman-fusion", *arguments, "--set", "annotation_delay=0.4")
    assert other.exit_code == 1
    assert "other settings" in other.stderr
    assert len(other.stderr.splitlines()) == 1


def test_labels_outside_the_scale_write_nothing(folder: Path, tmp_path: Path) -> None:
    root = _with_labels(folder, tmp_path / "bad", "0.1,-0.1", "5,7")
    result = run("train", "kalman-fusion", "--corpus", "folder", "--root", root, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def _with_labels(folder: Path, root: Path, *changes: str) -> Path:
    """Return a copy of the folder whose table has the second of each two texts in place of the first."""
    shutil.copytree(folder, root)
    table = (folder / "labels.csv").read_text()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in table
        table = table.replace(old, new)
    (root / "labels.csv").write_text(table)
    return root
