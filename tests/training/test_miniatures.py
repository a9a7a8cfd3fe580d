"""Every system on the generated miniature of its own corpus: trained, judged, told, resumed, and used on a file.

The drawn people are easy to tell apart, so a system that learns at all is far above chance. Untrained systems give
nearly the same answer whatever they are shown, a UAR of 0.125 on RAVDESS and 0.167 on Ekman-6, where trained ones reach
0.75 to 0.88 and 0.67. What takes a corpus of its own and minutes is marked slow.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

import emotrace
from emotrace import metrics
from emotrace.bundle import load_bundle
from emotrace.catalogue import CATALOGUE, clips_of
from emotrace.errors import EmotraceError, SettingsError
from emotrace.labels import EMOTIONS, timeline_emotion
from emotrace.timeline import Timeline
from emotrace.training import opening, starting
from emotrace.training.arrays import read_arrays
from emotrace.training.cells import PREDICTIONS
from emotrace.training.comparison_rows import read_csv
from emotrace.training.study import ROLES
from emotrace.training.system_bundle import save_as_bundle
from emotrace.training.systems import load_system
from tests.corpora.miniature_acted import write_cremad, write_iemocap, write_ravdess_av
from tests.corpora.miniature_open import (
    AFFWILD2_TRIALS,
    write_afew,
    write_affwild2,
    write_ekman6,
    write_videoemotion8,
)

ACTORS = (1, 17, 21)
"""Of RAVDESS: one to learn from, one to stop by, one to be judged on; and three folds."""
RAVDESS_SYSTEMS = ("cross-modal-metric", "modular-hierarchy", "bimodal-attention")
"""Clip-level, and two frame-level ones that are judged by the mean of what they say."""
EPOCHS = 12
TRIALS = AFFWILD2_TRIALS | {"Validation_Set": ("5-60-1920x1080-3", "video4", "video5", "video6")}
"""Of Aff-Wild2: all four moods stand in what is judged."""


@dataclass(frozen=True)
class Made:
    """A miniature corpus and the folder of what was trained on it."""

    corpus: str
    root: Path
    output: Path

    def compare(self, keys: Sequence[str], epochs: int, *, folds: bool = False) -> starting.Compared:
        """Run `emotrace compare --small`."""
        return starting.compare(
            keys, self.corpus, self.root, 1, self.output, [f"epochs={epochs}"], small=True, workers=1, folds=folds
        )

    def train(self, key: str, *assignments: str) -> starting.Figures:
        """Run `emotrace train --small`."""
        return starting.train(key, self.corpus, self.root, self.output, assignments, small=True, protocol=None)

    def cell(self, key: str, part: str = "seed-0") -> Path:
        """Return the folder of one system in a comparison."""
        return self.output / "cells" / key / part


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three systems, compared on 48 clips."""
    folder = tmp_path_factory.mktemp("ravdess")
    root = write_ravdess_av(folder / "corpus", clips=True, actors=ACTORS)
    made = Made("ravdess", root, folder / "compared")
    assert made.compare(RAVDESS_SYSTEMS, epochs=EPOCHS).failed == {}
    return made


@pytest.fixture(scope="session")
def ravdess_folds(ravdess: Made) -> Made:
    """One system in three folds; the features are those of the comparison."""
    made = Made("ravdess", ravdess.root, ravdess.output.with_name("folds"))
    copytree(ravdess.output / "features", made.output / "features")
    assert made.compare(["bimodal-attention"], epochs=4, folds=True).failed == {}
    return made


@pytest.fixture(scope="session")
def ekman6(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """VAANet, trained on 12 clips."""
    folder = tmp_path_factory.mktemp("ekman6")
    root = write_ekman6(folder / "corpus", clips=True, count=5, seconds=1.2)
    made = Made("ekman6", root, folder / "trained")
    made.train("vaanet", "epochs=20", "patience=20", "batch_size=3")
    return made


@pytest.fixture(scope="session")
def affwild2(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The leader-follower, trained on four recordings.

    A trial of the miniature has one mood, to which no window of it correlates: the loss is that of the whole batch.
    """
    folder = tmp_path_factory.mktemp("affwild2")
    root = write_affwild2(folder / "corpus", clips=True, trials=TRIALS)
    made = Made("affwild2", root, folder / "trained")
    made.train("leader-follower", "main_loss=ccc", "epochs=8", "batch_size=4", "stretches_per_epoch=40")
    return made


@pytest.fixture(scope="session")
def iemocap(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The voice system, trained on 32 utterances."""
    folder = tmp_path_factory.mktemp("iemocap")
    root = write_iemocap(folder / "corpus", clips=True, dialogues=("F_impro01", "M_impro02", "M_script01_1"))
    made = Made("iemocap", root, folder / "trained")
    made.train("fcn-attention", "epochs=25", "patience=25", "batch_size=8")
    return made


# What is learnt


@pytest.mark.parametrize("key", RAVDESS_SYSTEMS)
def test_on_ravdess_systems_of_both_levels_learn_classes(key: str, ravdess: Made) -> None:
    _assert_beats_chance(ravdess.cell(key))


def test_vaanet_learns_ekman_6(ekman6: Made) -> None:
    _assert_beats_chance(ekman6.output)


def test_the_leader_follower_learns_aff_wild2(affwild2: Made) -> None:
    kept = read_arrays(affwild2.output / PREDICTIONS)
    truth, said = (
        np.concatenate([kept[name.replace(".truth", end)] for name in kept if name.endswith(".truth")])
        for end in (".truth", ".answer")
    )
    # Of valence 0.33 untrained, by luck: what the frozen face regions say is near to it.
    assert max(metrics.ccc(truth[:, place], said[:, place]) for place in range(2)) > 0.6


@pytest.mark.slow
def test_a_voice_system_learns_iemocap(iemocap: Made) -> None:
    made = Made("iemocap", iemocap.root, iemocap.output.with_name("folds"))
    copytree(iemocap.output / "features", made.output / "features")
    # The drawn people differ less in voice than in face, and each has a voice of its own: all sessions are judged.
    assert made.compare(["fcn-attention"], epochs=25, folds=True).failed == {}
    _assert_beats_chance(*(made.cell("fcn-attention", f"fold-{fold}-seed-0") for fold in range(5)))


@pytest.mark.slow
def test_a_bilinear_system_learns_iemocap(iemocap: Made) -> None:
    made = Made("iemocap", iemocap.root, iemocap.output.with_name("compared"))
    copytree(iemocap.output / "features", made.output / "features")
    compared = made.compare(["ag-fbp"], epochs=12)
    assert compared.failed == {}
    # The frozen face regions part the four classes by themselves: untrained it happens to name three of them.
    assert compared.report.rows[0].figure("unweighted_average_recall") > 0.9
    _assert_told(made, ["ag-fbp"])


@pytest.mark.slow
def test_the_bilinear_systems_learn_afew(tmp_path: Path) -> None:
    made = Made("afew", write_afew(tmp_path / "corpus", clips=True, train=4, seconds=1.2), tmp_path / "out")
    assert made.compare(["am-fbp", "g-fbp"], epochs=12).failed == {}
    for key in ("am-fbp", "g-fbp"):
        _assert_beats_chance(made.cell(key))
    _assert_told(made, ["am-fbp", "g-fbp"])


@pytest.mark.slow
def test_the_metric_system_learns_crema_d(tmp_path: Path) -> None:
    made = Made("cremad", write_cremad(tmp_path / "corpus", clips=True), tmp_path / "out")
    assert made.compare(["cross-modal-metric"], epochs=10).failed == {}
    _assert_beats_chance(made.cell("cross-modal-metric"))
    _assert_told(made, ["cross-modal-metric"])


@pytest.mark.slow
def test_vaanet_learns_videoemotion_8(tmp_path: Path) -> None:
    root = write_videoemotion8(tmp_path / "corpus", clips=True, count=5, seconds=1.2)
    made = Made("videoemotion8", root, tmp_path / "out")
    made.train("vaanet", "epochs=20", "patience=20", "batch_size=3")
    _assert_beats_chance(made.output)


def _assert_beats_chance(*folders: Path) -> None:
    """Beats 1.5 times chance, and 99 of 100 systems that give the same answers to other clips."""
    kept = {name: each for folder in folders for name, each in read_arrays(folder / PREDICTIONS).items()}
    names = [name.removesuffix(".truth") for name in kept if name.endswith(".truth")]
    shares = np.concatenate([kept[f"{name}.answer"] for name in names])
    truth = np.concatenate([kept[f"{name}.truth"] for name in names]).argmax(axis=1)
    told, rng = shares.argmax(axis=1), np.random.default_rng(0)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    by_luck = [metrics.unweighted_average_recall(truth, rng.permutation(told)) for _ in range(1000)]
    reached = metrics.unweighted_average_recall(truth, told)
    assert reached >= 1.5 / shares.shape[1]
    assert reached > np.quantile(by_luck, 0.99)


# What the user sees


def test_a_comparison_tells_its_figures_and_draws_them(ravdess: Made) -> None:
    _assert_told(ravdess, RAVDESS_SYSTEMS)
    page = (ravdess.output / "results.md").read_text()
    assert "16 train, 16 validation, 16 test" in page
    assert "chance is a UAR of 0.125" in page
    assert "RAVDESS: accuracy 89.25 %" in page
    assert "not comparable" in page
    assert all(row.fold is None for row in read_csv(ravdess.output / "results.csv"))


def _assert_told(made: Made, keys: Sequence[str]) -> None:
    page, classes = (made.output / "results.md").read_text(), CATALOGUE[made.corpus].classes
    assert "| system | runs | UAR | accuracy (WA) | macro F1 |" in page
    for key in keys:
        assert f"| {key} | 1 |" in page
        assert f"### {key}" in page
    assert page.count("| true class | " + " | ".join(classes)) == len(keys)
    assert "## Failed" not in page
    stems = ["recalls", *(f"confusion_{key}" for key in keys)]
    drawn = {path.name for path in (made.output / "figures").iterdir() if path.stat().st_size > 1000}
    assert drawn == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    rows = {row.system: row for row in read_csv(made.output / "results.csv")}
    assert set(rows) == set(keys)
    for row in rows.values():
        for name in ("unweighted_average_recall", "accuracy", "macro_f1"):
            assert 0 <= row.figure(name) <= 1


def test_a_finished_comparison_is_told_again_without_training(ravdess: Made) -> None:
    before = _times(ravdess.output / "cells") | _times(ravdess.output / "features")
    told = (ravdess.output / "results.md").read_text()
    again = ravdess.compare(RAVDESS_SYSTEMS, epochs=EPOCHS)
    assert [row.system for row in again.report.rows] == list(RAVDESS_SYSTEMS)
    assert _times(ravdess.output / "cells") | _times(ravdess.output / "features") == before
    assert (ravdess.output / "results.md").read_text() == told


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_other_settings_need_another_folder(ravdess: Made) -> None:
    with pytest.raises(EmotraceError, match="choose another --output"):
        ravdess.compare(RAVDESS_SYSTEMS, epochs=EPOCHS + 1)


# Folds


def test_folds_judge_every_clip_once_and_keep_people_apart(ravdess: Made) -> None:
    studies = opening.open_folds("ravdess", ravdess.root, ravdess.output)
    assert [study.fold for study in studies] == [0, 4, 5]
    for study in studies:
        people = [{item.subject for item in study.items[role]} for role in ROLES]
        assert sum(map(len, people)) == len(set().union(*people)) == len(ACTORS)
    judged = Counter(item.name for study in studies for item in study.items["test"])
    assert judged == Counter(clip.name for clip in clips_of("ravdess", ravdess.root))


def test_a_cross_validation_tells_each_fold_and_their_spread(ravdess_folds: Made) -> None:
    rows = read_csv(ravdess_folds.output / "results.csv")
    assert [row.fold for row in rows] == [0, 4, 5]
    recalls = [row.figure("unweighted_average_recall") for row in rows]
    page = (ravdess_folds.output / "results.md").read_text()
    assert f"**{np.mean(recalls):.3f}** ± {np.std(recalls, ddof=1):.3f}" in page
    assert "| bimodal-attention | 3 |" in page
    assert "3 folds, 48 clips in all" in page
    judged = [
        name.removesuffix(".truth")
        for row in rows
        for name in read_arrays(ravdess_folds.cell("bimodal-attention", f"fold-{row.fold}-seed-0") / PREDICTIONS)
        if name.endswith(".truth")
    ]
    assert sorted(judged) == sorted(clip.name for clip in clips_of("ravdess", ravdess_folds.root))


def test_folds_of_aff_wild2_stop_by_every_training_recording_once(affwild2: Made) -> None:
    studies = opening.open_folds("affwild2", affwild2.root, affwild2.output)
    stopped_by: Counter[str] = Counter()
    for study in studies:
        names = {role: {item.name for item in study.items[role]} for role in ROLES}
        assert not names["train"] & names["validation"]
        assert names["test"] == {item.name for item in studies[0].items["test"]}
        assert {item.split for item in study.items["test"]} == {"validation"}
        stopped_by.update(names["validation"])
    assert len(studies) == 5
    assert set(stopped_by.values()) == {1}
    assert set(stopped_by) == names["train"] | names["validation"]


def test_a_corpus_without_folds_is_refused(tmp_path: Path) -> None:
    root = write_afew(tmp_path / "afew")
    with pytest.raises(SettingsError, match=r"--folds: afew has no usual cross-validation: leave the option out\."):
        Made("afew", root, tmp_path / "out").compare(["vaanet"], epochs=1, folds=True)
    with pytest.raises(SettingsError, match=r"--folds: synthetic has no usual cross-validation"):
        Made("synthetic", tmp_path / "none", tmp_path / "out").compare(["leader-follower"], epochs=1, folds=True)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "none").exists()


# What is refused


def test_face_networks_learn_no_classes_of_clips(ravdess: Made) -> None:
    for key in ("vgg19", "attention-improved-alexnet"):
        with pytest.raises(
            SettingsError, match=r"face networks .*learn arousal or valence over time, and ravdess has classes"
        ):
            ravdess.compare([key], epochs=1)


@pytest.mark.parametrize("corpus", ["affwild2", "synthetic", "recola"])
def test_a_clip_level_system_needs_classes(corpus: str, tmp_path: Path) -> None:
    made = Made(corpus, tmp_path / "none", tmp_path / "out")
    for refused in (lambda: made.compare(["vaanet"], epochs=1), lambda: made.train("vaanet")):
        with pytest.raises(SettingsError, match=f"classes of emotion, and {corpus} has no labels of them"):
            refused()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", ["clip", "frame"])
def test_a_system_is_not_judged_on_other_classes(level: str, ravdess: Made, ekman6: Made) -> None:
    folder = ravdess.cell("cross-modal-metric" if level == "clip" else "bimodal-attention")
    with pytest.raises(SettingsError, match="but ekman6 has anger, disgust, fear, joy"):
        starting.evaluate(folder, "ekman6", ekman6.root, "test", small=True, protocol=None)


def test_a_system_is_judged_again_as_it_was(ravdess: Made) -> None:
    folder = ravdess.cell("cross-modal-metric")
    copytree(ravdess.output / "features", folder / "features", dirs_exist_ok=True)
    found = starting.evaluate(folder, "ravdess", ravdess.root, "test", small=True, protocol=None)
    row = next(row for row in read_csv(ravdess.output / "results.csv") if row.system == "cross-modal-metric")
    assert found["unweighted_average_recall"] == pytest.approx(row.figure("unweighted_average_recall"))
    assert (found["recordings"], found["of_these_learnt_from"]) == (16, 0)
    learnt = starting.evaluate(folder, "ravdess", ravdess.root, "train", small=True, protocol=None)
    assert (learnt["recordings"], learnt["of_these_learnt_from"]) == (16, 16)


# What becomes of a trained system


def test_a_bundle_of_a_clip_level_system_tells_the_class_of_a_file(ekman6: Made) -> None:
    clips = [clip for clip in clips_of("ekman6", ekman6.root) if clip.split == "train"]
    assert load_bundle(ekman6.output / "bundle").manifest.level == "clip"
    right = 0
    for clip in clips:
        assert clip.video is not None
        timeline = emotrace.analyze(clip.video, bundle=ekman6.output / "bundle")
        _assert_tells_a_class(timeline, CATALOGUE["ekman6"].classes)
        right += timeline.summary()["clip_class"] == clip.label
    assert right > 0.6 * len(clips)


@pytest.mark.slow
def test_a_bundle_of_a_voice_system_tells_the_class_of_a_sound(iemocap: Made) -> None:
    clips = [clip for clip in clips_of("iemocap", iemocap.root) if clip.split == "train"]
    right = 0
    for clip in clips:
        assert clip.audio is not None
        timeline = emotrace.analyze(clip.audio, bundle=iemocap.output / "bundle")
        _assert_tells_a_class(timeline, CATALOGUE["iemocap"].classes)
        right += timeline.summary()["clip_class"] == clip.label
    assert right > 0.6 * len(clips)


def _assert_tells_a_class(timeline: Timeline, classes: Sequence[str]) -> None:
    shares = timeline.metadata.clip_probabilities
    assert tuple(shares) == tuple(classes)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(timeline["arousal"]).any()


def test_a_bundle_of_a_frame_level_system_follows_a_file(affwild2: Made) -> None:
    bundle = load_bundle(affwild2.output / "bundle")
    assert bundle.manifest.level == "frame"
    timeline = emotrace.analyze(affwild2.root / "batch1" / "1-30-1280x720.mp4", bundle=bundle)
    assert timeline.metadata.clip_probabilities == {}
    assert timeline.summary()["clip_class"] is None
    known = np.isfinite(timeline["arousal"])
    assert known.mean() > 0.5
    assert np.abs(timeline["arousal"][known]).max() <= 1
    assert all(np.isnan(timeline[emotion]).all() for emotion in EMOTIONS)  # Aff-Wild2 has no labels of them here


def test_a_bundle_of_a_frame_level_system_tells_the_classes_that_it_learnt(ravdess: Made, tmp_path: Path) -> None:
    saved = load_system(ravdess.cell("bimodal-attention"))
    bundle = save_as_bundle(tmp_path / "bundle", saved, {}, "ravdess", "A miniature.", tells_emotions=True)
    assert bundle.manifest.level == "frame"
    clips = [clip for clip in clips_of("ravdess", ravdess.root) if clip.split == "train"]
    right = 0
    for clip in clips:
        assert clip.video is not None
        timeline = emotrace.analyze(clip.video, bundle=bundle)
        told = {emotion: float(np.nan_to_num(timeline[emotion]).mean()) for emotion in EMOTIONS}
        right += max(told, key=told.__getitem__) == timeline_emotion(clip.label)
    assert right > 0.6 * len(clips)
