"""A comparison: what is run, what is kept, what is told."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from emotrace.app.cli import app
from emotrace.errors import SettingsError
from emotrace.training import cells, comparison, opening
from emotrace.training.comparison_rows import read_csv, read_stage_one
from emotrace.training.face_networks import FACE_NETWORKS
from emotrace.training.prediction import predict
from emotrace.training.presets import PRESETS
from emotrace.training.stage_one import StageOneSettings
from emotrace.training.systems import load_system


def test_groups_stand_for_their_keys_and_none_stands_twice() -> None:
    assert comparison.resolve(["concatenation", "figure-6", "kalman-fusion"], "synthetic")[:3] == [
        "concatenation",
        "bimodal-attention",
        "kalman-fusion",
    ]
    everything = comparison.resolve(["all"], "composed")
    learn_persons = {key for key in PRESETS if key.startswith("disentangled") and key != "disentangled-single"}
    assert set(everything) == {*PRESETS, *FACE_NETWORKS} - learn_persons
    assert learn_persons < set(comparison.resolve(["all"], "ravdess"))
    assert len(everything) == len(set(everything))


def test_groups_go_without_what_a_corpus_has_no_labels_for() -> None:
    traces, classes = (set(comparison.resolve(["all"], corpus)) for corpus in ("recola", "ravdess"))
    assert "vaanet" not in traces
    assert "vgg19" in traces
    assert {"vaanet", "fcn-attention", "leader-follower", "modular-hierarchy"} <= classes
    assert not classes & {*FACE_NETWORKS, "attention-improved-alexnet"}
    for key, corpus in (("vaanet", "recola"), ("vgg19", "ravdess"), ("clip-level", "synthetic")):
        with pytest.raises(SettingsError, match=corpus):
            comparison.resolve([key], corpus)


def test_a_wrong_name_is_told_before_anything_is_made(tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["compare", "kalman", "--corpus", "synthetic", "--output", str(output)])
    assert result.exit_code == 2
    assert "'kalman'" in result.stderr
    assert "kalman-fusion" in result.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--corpus", "recolla"], "recola, synthetic"),
        (["--corpus", "recola"], "needs --root"),
        (["--corpus", "synthetic", "--set", "epochs=0"], "epochs"),
        (["--corpus", "synthetic", "--set", "epocs=3"], "unknown key 'epocs'"),
        (["--corpus", "synthetic", "--set", "annotation_delay=soon"], "expected seconds from 0 to 20, or search"),
        (["--corpus", "synthetic", "--set", "annotation_delay=30"], "expected seconds from 0 to 20, or search"),
        (["--corpus", "synthetic", "--seeds", "0"], "--seeds 0"),
        (["--corpus", "synthetic", "--set", "post_processing=[mean]"], "post_processing"),
        (["--corpus", "synthetic", "--protocol", "avec2017"], "avec2016, liu2021"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], told: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["compare", "kalman-fusion", *arguments, "--output", str(output)])
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not output.exists()


def test_a_folder_that_is_no_recola_is_named_with_what_is_missing(tmp_path: Path) -> None:
    arguments = ["compare", "kalman-fusion", "--corpus", "recola", "--root", str(tmp_path), "--output"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "recordings_audio" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


TRACE_PRESETS = [key for key in comparison.resolve(["all"], "synthetic") if key in PRESETS]
"""Without the clip-level systems, which learn classes."""
SMALL = ["compare", "all", "--corpus", "synthetic", "--small", "--seeds", "1"]
"""Every key on a generated corpus."""


@pytest.mark.slow
def test_every_system_learns_from_a_generated_corpus_and_its_checkpoint_reloads(tmp_path: Path) -> None:
    """One test for all that a finished comparison shows, as it takes a minute or two to make."""
    compared = tmp_path / "compared"
    result = CliRunner().invoke(app, [*SMALL, "--output", str(compared)])
    assert result.exit_code == 0, result.stderr
    _assert_all_learnt(compared)
    _assert_checkpoints_give_what_was_judged(compared)
    _assert_report_is_complete(compared)
    _assert_nothing_runs_again(compared)


def _assert_all_learnt(compared: Path) -> None:
    rows = {row.system: row for row in read_csv(compared / "results.csv")}
    assert set(rows) == set(TRACE_PRESETS)
    worse = {
        key: (row.figure("ccc_arousal"), row.figure("ccc_valence"))
        for key, row in rows.items()
        # A constant has a CCC of 0. The voice says little of valence, and 84 s are not much to learn from.
        if max(row.figure("ccc_arousal"), row.figure("ccc_valence")) < 0.15
    }
    assert not worse

    faces = read_stage_one(compared / "stage-one.csv")
    assert {(row.network, row.dimension) for row in faces} == {
        (network, dimension) for network in FACE_NETWORKS for dimension in ("arousal", "valence")
    }


def _assert_checkpoints_give_what_was_judged(compared: Path) -> None:
    chosen = opening.open_study("synthetic", None, compared, small=True)
    delay = yaml.safe_load((compared / "settings.yaml").read_text())["label_delay_ticks"]
    for key in TRACE_PRESETS:
        folder = compared / "cells" / key / "seed-0"
        saved = load_system(folder)
        settings = saved.settings
        assert saved.label_delay_ticks == delay
        cell = cells.SystemCell(key, settings, folder, StageOneSettings())
        track = chosen.unmoved(chosen.items["test"][:1], settings.front_end, settings.faces)[0]
        kept = cells.predictions(cell)[track.name][1]
        said = predict(saved.system, settings, track).arousal_valence
        moved = torch.cat([said[:1].expand(delay, -1), said])[: len(said)]
        np.testing.assert_allclose(moved.numpy(), kept, atol=1e-5)


def _assert_report_is_complete(compared: Path) -> None:
    page = (compared / "results.md").read_text()
    assert all(f"| {key} |" in page for key in (*TRACE_PRESETS, *FACE_NETWORKS))
    assert "0.729 / 0.718" in page
    drawn = {path.name for path in (compared / "figures").iterdir()}
    stems = ("systems", "curves", "weights_missing", "weights_contradicting", "stage_one_arousal", "stage_one_valence")
    assert drawn == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    told = json.loads((compared / "environment.json").read_text())
    assert told["packages"]["torch"]
    assert "bimodal-attention" in (compared / "settings.yaml").read_text()


def _assert_nothing_runs_again(compared: Path) -> None:
    results = {path: path.stat().st_mtime_ns for path in compared.rglob("result.json")}
    again = CliRunner().invoke(app, [*SMALL, "--output", str(compared), "--json"])
    assert again.exit_code == 0, again.stderr
    assert results == {path: path.stat().st_mtime_ns for path in compared.rglob("result.json")}
    assert len(json.loads(again.stdout)["systems"]) == len(TRACE_PRESETS)
    assert "synthetic" in os.listdir(compared)
