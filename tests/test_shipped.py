"""The bundle that users get: it fits this code, runs the demo, and reads recordings as the page of results says."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emotrace import analyze
from emotrace.app.cli import app
from emotrace.bundle import SHIPPED, load_bundle, names
from emotrace.evaluation import evaluate
from emotrace.labels import CIRCUMPLEX
from emotrace.timeline import Timeline

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(app, ["demo", "--output", str(folder)])
    assert result.exit_code == 0, result.output
    assert str(folder / "demo.html") in result.stdout.splitlines()[-1]
    return folder


def test_every_bundle_is_whole_and_small_enough_to_ship() -> None:
    assert "default" in names()
    for name in names():
        bundle = load_bundle(name)
        assert all(bundle.read(file) for file in bundle.manifest.files)
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 25e6


def test_the_manifest_tells_figures_and_versions() -> None:
    manifest = load_bundle("default").manifest
    assert {"face_accuracy", "voice_unweighted_average_recall", "fused_ccc_valence"} <= set(manifest.metrics)
    assert set(manifest.versions) == {"torch", "onnx", "pytorch-lightning"}


def test_doctor_finds_nothing_wrong_with_it() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert re.search(r"ok\s+bundle default", result.stdout), result.stdout


def test_the_demo_marks_the_gaps_that_its_clip_was_made_with(demo: Path) -> None:
    from emotrace.demo import make_demo

    truth = make_demo(demo / "again.mp4")
    timeline = Timeline.from_json(demo / "demo.json")
    for kind, (start, end) in (("no face", truth.no_face), ("no speech", truth.no_speech)):
        found = [gap for gap in timeline.metadata.gaps if gap.kind == kind]
        # Speech and face are held for a moment before they count as gone.
        assert any(gap.start_seconds < start + 1.5 and gap.end_seconds > end - 1.0 for gap in found), kind


def test_no_trace_goes_beyond_what_arousal_and_valence_were_learnt_from(demo: Path) -> None:
    with (demo / "demo.csv").open() as file:
        rows = list(csv.DictReader(file))
    for axis in ("arousal", "valence"):
        known = np.array([float(row[axis]) for row in rows if row[axis]])
        places = [getattr(point, axis) for point in CIRCUMPLEX.values()]
        assert min(places) - 0.01 <= known.min() < known.max() <= max(places) + 0.01


def test_the_page_of_results_is_of_this_bundle() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert load_bundle("default").digest in page


def test_the_debate_has_no_face_at_first_and_the_selfie_has_one_throughout(data_root: Path) -> None:
    debate, selfie = (analyze(data_root / "clips" / name) for name in ("debate_640x360.mp4", "selfie_1920x1080.mp4"))
    first = next(gap for gap in debate.metadata.gaps if gap.kind == "no face")
    assert first.start_seconds == 0
    assert first.end_seconds > 1
    assert selfie["face_detected"].mean() > 0.9
    for timeline in (debate, selfie):
        assert np.isfinite(timeline["valence"][timeline["face_detected"].astype(bool)]).all()


def test_the_face_branch_reaches_its_aim_on_the_test_images(data_root: Path) -> None:
    figures = evaluate(load_bundle("default"), "ferplus", data_root / "ferplus", "test", only="face")
    assert figures["accuracy"] >= 0.84  # type: ignore[operator]
