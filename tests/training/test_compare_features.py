"""Every system on a folder of feature tables: compared, trained, judged again, and refused where it needs media.

The classes of the generated tables shift their columns by more than these scatter: a system that learns at all is far
above chance for speakers whom it has not met. What takes minutes is marked slow.
"""

from collections.abc import Sequence
from pathlib import Path
from shutil import copy, copytree

import numpy as np
import pytest

from emotrace.errors import CorpusError, SettingsError
from emotrace.training import cells, comparison, opening, starting
from emotrace.training.cells import run_cell
from emotrace.training.comparison_rows import Row
from emotrace.training.fitting import Labels, fitted, why_not
from emotrace.training.presets import PRESETS
from emotrace.training.study import Study
from emotrace.training.systems import load_system
from emotrace.training.table_features import REPORT, SCALES
from tests.corpora.miniature_features import CLASSES, write_features

FAST = ("bimodal-attention", "leader-follower", "am-fbp", "vaanet", "perception-attention", "dialogue-attention")
"""Two frame-level systems and four clip-level ones."""
HAVE_VOICE_NETWORKS = ("leader-follower", "am-fbp", "vaanet")
"""Of their own, which read spectrograms."""
LEARN = ("bimodal-attention", "am-fbp")
"""In two epochs."""
NEED_MEDIA = {
    "end-to-end-lstm": "it reads crops and waveform, and feature tables have none",
    "deep-belief": "it reads crops, and feature tables have none",
    "attention-spectrum": "front_end=spectrum hears sound, and feature tables have none",
    "attention-egemaps": "front_end=egemaps hears sound, and feature tables have none",
    "attention-cut": "front_end=descriptors-cut hears sound, and feature tables have none",
    "attention-improved-alexnet": "its face network sees pictures, and feature tables have none",
}
FIGURES = ("unweighted_average_recall", "accuracy", "macro_f1")
QUICK = comparison.small(comparison.ComparisonSettings(epochs=1))
RATED = ("bimodal-attention", "kalman-fusion", "leader-follower")


def compare(
    keys: Sequence[str], root: Path, output: Path, *, epochs: int = 1, folds: bool = False
) -> starting.Compared:
    """Run `emotrace compare --corpus features --small`."""
    return starting.compare(keys, "features", root, 1, output, [f"epochs={epochs}"], small=True, workers=1, folds=folds)


def evaluate(folder: Path, root: Path, split: str = "test") -> starting.Figures:
    """Run `emotrace evaluate --corpus features`."""
    return starting.evaluate(folder, "features", root, split, small=False, protocol=None)


def opened(root: Path, output: Path) -> Study:
    """Return the study with its features made."""
    study = opening.open_study("features", root, output)
    study.prepare(["descriptors"], lambda done, total: None)
    return study


def recalls(compared: starting.Compared) -> dict[str, float]:
    return {row.system: row.figure("unweighted_average_recall") for row in compared.report.rows}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="session")
def compared(root: Path, output: Path) -> starting.Compared:
    return compare(FAST, root, output, epochs=2)


@pytest.fixture(scope="session")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, starting.Figures]:
    """The folder of a system and its figures."""
    folder = tmp_path_factory.mktemp("trained")
    figures = starting.train("am-fbp", "features", root, folder, ["epochs=2"], small=True, protocol=None)
    return folder, figures


# What runs, and what does not


def test_systems_that_need_media_are_refused_with_the_reason(root: Path, tmp_path: Path) -> None:
    found = {key: why_not(key, fitted(each.settings, "features"), "features") for key, each in PRESETS.items()}
    assert {key for key, reason in found.items() if reason} == set(NEED_MEDIA)
    for key, reason in NEED_MEDIA.items():
        assert (found[key] or "").startswith(f"{key}: {reason}: ")
        with pytest.raises(SettingsError, match=reason):
            compare([key], root, tmp_path / "out")
        with pytest.raises(SettingsError, match=reason):
            starting.train(key, "features", root, tmp_path / "out", [], small=True, protocol=None)
    assert not (tmp_path / "out").exists()


def test_groups_go_without_what_needs_media_or_classes() -> None:
    everything = set(comparison.resolve(["all"], "features"))
    assert everything == set(PRESETS) - set(NEED_MEDIA)
    rated = set(comparison.resolve(["all"], "features", Labels(emotions=False, persons=True)))
    assert {*RATED} <= rated < everything
    assert "am-fbp" not in rated


def test_face_networks_and_own_encoders_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="vgg19: face networks see pictures, and feature tables have none"):
        compare(["vgg19"], root, tmp_path)
    own = ["visual.backbone=own"]
    with pytest.raises(SettingsError, match="its face network sees pictures, and feature tables have none"):
        starting.train("vaanet", "features", root, tmp_path, own, small=True, protocol=None)


def test_there_are_no_folds(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--folds: features has no usual cross-validation: leave the option out\."):
        compare(["bimodal-attention"], root, tmp_path / "out", folds=True)
    assert not (tmp_path / "out").exists()


# What is learnt and told


def test_fusion_systems_tell_the_classes_of_new_speakers(compared: starting.Compared) -> None:
    assert compared.failed == {}
    found = recalls(compared)
    assert set(found) == set(FAST)
    assert min(found[key] for key in LEARN) >= 0.75


def test_a_comparison_of_tables_tells_what_it_is_of(compared: starting.Compared, output: Path) -> None:
    page = (output / "results.md").read_text()
    assert "# Comparison on features" in page
    assert "features.csv tells what was found" in page
    assert "12 train, 6 validation, 12 test" in page
    assert "3 classes; chance is a UAR of 0.333" in page
    assert (output / "features" / REPORT).is_file()
    assert list((output / "features").rglob("*.png")) == []


def test_columns_enter_as_they_are_and_voices_without_spectrograms(compared: starting.Compared, output: Path) -> None:
    for key in FAST:
        saved = load_system(output / "cells" / key / "seed-0")
        assert saved.settings.audio.backbone == ("frozen" if key in HAVE_VOICE_NETWORKS else "own")
        assert saved.system.sizes.classes == CLASSES
        assert (saved.system.sizes.num_regions, saved.system.sizes.region_dim) == (1, 10)


def test_a_finished_comparison_is_not_trained_again(compared: starting.Compared, root: Path, output: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (output / "cells").rglob("*") if path.is_file()}
    assert recalls(compare(FAST, root, output, epochs=2)) == recalls(compared)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_traces_are_followed(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root", traces=True, seconds=6.0, clips=3)
    compared = compare(RATED, root, tmp_path / "out", epochs=3)
    assert compared.failed == {}
    rows: dict[str, Row] = {row.system: row for row in compared.report.rows}
    assert set(rows) == set(RATED)
    assert max(row.figure("ccc_arousal") for row in rows.values()) > 0.5
    with pytest.raises(
        SettingsError, match=r"am-fbp: it learns classes of emotion, and features has no labels of them"
    ):
        compare(["am-fbp"], root, tmp_path / "other")


# Judged again


def test_a_trained_system_is_judged_again_as_it_was(trained: tuple[Path, starting.Figures], root: Path) -> None:
    folder, figures = trained
    again = evaluate(folder, root)
    assert {name: again[name] for name in FIGURES} == pytest.approx({name: figures[name] for name in FIGURES})
    assert (again["recordings"], again["of_these_learnt_from"], again["split"]) == (12, 0, "test")
    learnt = evaluate(folder, root, "train")
    assert (learnt["recordings"], learnt["of_these_learnt_from"]) == (12, 12)
    with (folder / "features" / REPORT).open() as file:
        assert len(file.readlines()) == 1 + 2 * 30


def test_no_bundle_is_written(trained: tuple[Path, starting.Figures]) -> None:
    assert (trained[0] / "weights.safetensors").is_file()
    assert not (trained[0] / "bundle").exists()


def test_a_system_is_judged_on_another_folder_of_the_same_columns(
    trained: tuple[Path, starting.Figures], tmp_path: Path
) -> None:
    folder = tmp_path / "trained"
    copytree(trained[0], folder)
    speakers = {"fay": "test", "gus": "test"}
    new = evaluate(folder, write_features(tmp_path / "new", speakers=speakers, seed=5))
    assert (new["recordings"], new["of_these_learnt_from"]) == (12, 0)
    assert isinstance(new["unweighted_average_recall"], float)
    assert new["unweighted_average_recall"] >= 0.75
    with pytest.raises(CorpusError, match=r"holds nothing of the split train: choose another --split"):
        evaluate(folder, tmp_path / "new", "train")
    numbered = write_features(tmp_path / "numbered", kind="npz", speakers=speakers)
    with pytest.raises(CorpusError, match=r"fay-0 has 12 voice columns of features \(0, \.\.\.\), but 12 were learnt"):
        evaluate(folder, numbered)


def test_a_compared_system_is_judged_with_the_scales_of_its_comparison(
    compared: starting.Compared, root: Path, output: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cell"
    copytree(output / "cells" / "am-fbp" / "seed-0", folder)
    with pytest.raises(CorpusError, match=r"scales\.safetensors is missing"):
        evaluate(folder, root)
    copy(output / "features" / SCALES, folder / "features" / SCALES)
    assert evaluate(folder, root)["unweighted_average_recall"] == pytest.approx(recalls(compared)["am-fbp"])


# Odd corpora


def test_a_split_of_one_class_is_refused(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root")
    table = root / "labels.csv"
    lines = table.read_text().splitlines()
    table.write_text(
        "\n".join(each.replace("happy", "calm").replace("tense", "calm") if ",test" in each else each for each in lines)
    )
    with pytest.raises(CorpusError, match=r"holds 12 clip\(s\) to be judged on, of 1 class\(es\): .* Move clips"):
        compare(["bimodal-attention"], root, tmp_path / "out")


def test_clips_of_a_moment_have_classes(tmp_path: Path) -> None:
    study = opened(write_features(tmp_path / "root", seconds=0.2), tmp_path)
    for cell in comparison.plan(["bimodal-attention", "am-fbp"], study, 1, tmp_path, QUICK).systems:
        run_cell(study, cell)
        assert cells.system_row(cell).figure("clips") == 12


def test_clips_of_a_moment_have_no_traces(tmp_path: Path) -> None:
    study = opened(write_features(tmp_path / "root", seconds=0.2, traces=True), tmp_path)
    with pytest.raises(CorpusError, match=r"ann-0 lasts 0\.20 s, expected 1 s at least: leave it out"):
        study.tracks("train", "descriptors", "bundle")


@pytest.mark.slow
@pytest.mark.parametrize("modalities", [("voice", "face"), ("voice",), ("face",)])
def test_every_other_system_runs_on_classes(modalities: tuple[str, ...], tmp_path: Path) -> None:
    compared = compare(["all"], write_features(tmp_path / "root", modalities=modalities), tmp_path / "out")
    assert compared.failed == {}
    assert set(recalls(compared)) == set(PRESETS) - set(NEED_MEDIA)


@pytest.mark.slow
def test_every_system_runs_on_a_single_column(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root", kind="npz")
    for path in root.rglob("*.npz"):
        with np.load(path) as kept:
            features, time = kept["features"][:, :1], kept["time"]
        np.savez(path, features=features, time=time)
    compared = compare(["all"], root, tmp_path / "out")
    assert compared.failed == {}


@pytest.mark.slow
def test_every_frame_level_system_runs_on_traces(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root", traces=True, seconds=6.0, clips=3)
    compared = compare(["all"], root, tmp_path / "out")
    assert compared.failed == {}
    assert {row.system for row in compared.report.rows} == set(
        comparison.resolve(["all"], "features", Labels(emotions=False, persons=True))
    )
