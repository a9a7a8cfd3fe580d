"""The experiments behind the results page, as far as they can be tried without hours of training."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emotrace.app.cli import app
from emotrace.corpora import ravdess
from emotrace.training import experiments
from emotrace.training.experiments import EXPERIMENTS, run, systems
from emotrace.training.presets import DefaultSettings
from tests.corpora.trees import write_sound
from tests.training.test_default import QUICK
from tests.training.trees import write_corpora

SYSTEMS = systems(DefaultSettings().fusion)


def test_a_wrong_name_is_refused_with_the_names_that_there_are(tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["experiment", "fussion", "--data", str(tmp_path), "--output", str(output)])
    assert result.exit_code == 2
    assert "'fussion'" in result.stderr
    assert all(name in result.stderr for name in EXPERIMENTS)
    assert len(result.stderr.splitlines()) == 1
    assert not output.exists()


def test_a_missing_corpus_is_one_line(tmp_path: Path) -> None:
    arguments = ["experiment", "voice-folds", "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "ravdess" in result.stderr


def test_the_systems_compared_all_differ() -> None:
    told = [settings.model_dump_json() for settings in SYSTEMS.values()]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("name", ["voice only", "face only"])
def test_a_system_of_one_modality_has_no_modal_scaling(name: str) -> None:
    assert SYSTEMS[name].only == name.split()[0]
    assert SYSTEMS[name].modal_scaling == "none"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_corpora(tmp_path_factory.mktemp("corpora"))
    for actor in (first for first, *_ in ravdess.FOLDS):
        for code in range(1, 5):
            name = f"03-01-{code:02d}-01-01-01-{actor:02d}.wav"
            write_sound(root / "ravdess" / f"Actor_{actor:02d}" / name, seed=100 * actor + code)
    for contributor in (1, 2, 300, 340):
        for category in ("03", "15", "24"):
            sound = root / "emogator" / "mp3" / f"{contributor:06d}-{category}-1.wav"
            write_sound(sound, seed=contributor + int(category)).rename(sound.with_suffix(".opus"))
    return root


def leaves(figures: object) -> Iterator[Any]:
    """Yield every value that is no container."""
    if isinstance(figures, dict | list):
        for each in figures.values() if isinstance(figures, dict) else figures:
            yield from leaves(each)
    else:
        yield figures


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_in_small_and_writes_what_it_found(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "SEEDS", (0, 1))
    monkeypatch.setattr(experiments, "COMPOSED_COUNT", 1)
    monkeypatch.setattr(experiments, "_BURST_EPOCHS", 1)
    kept = ("attention, mask, modal scaling (shipped)", "face only")
    monkeypatch.setattr(experiments, "systems", lambda base: {each: systems(base)[each] for each in kept})
    found = run(name, data, tmp_path / "out", QUICK)
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written == json.loads(json.dumps(found))
    assert written["experiment"] == name
    numbers = [value for value in leaves(written) if isinstance(value, float)]
    assert numbers
    assert all(math.isfinite(value) for value in numbers)
    if name == "voice-folds":
        assert len(written["folds"]) == len(ravdess.FOLDS)
    if name == "fusion":
        assert set(written["systems"]) == set(kept)
