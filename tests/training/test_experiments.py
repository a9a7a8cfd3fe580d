"""The experiments behind the results page, as far as they can be tried without hours of training."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emotrace.app.cli import app
from emotrace.training.experiments import EXPERIMENTS, SYSTEMS


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
