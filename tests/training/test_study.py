"""Corpora by name: who is learnt from, stopped by and judged on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import recola, synthetic
from emotrace.corpora.rated import RatedRecording
from emotrace.errors import CorpusError, SettingsError
from emotrace.training.extraction import ComposedRecording
from emotrace.training.opening import ChallengeSettings, challenge_settings, open_split, open_study
from emotrace.training.study import ROLES, Study


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replica of the folder of AVEC 2016, three seconds a recording."""
    folder = tmp_path_factory.mktemp("replica")
    synthetic.generate(folder, seconds=3)
    return folder


def test_the_development_split_is_judged_and_two_to_learn_from_decide_when_to_stop(root: Path, tmp_path: Path) -> None:
    study = open_study("recola", root, tmp_path)
    names = {role: [item.name for item in study.items[role]] for role in ROLES}
    assert names["train"] == [f"train_{number}" for number in range(1, 8)]
    assert names["validation"] == ["train_8", "train_9"]
    assert names["test"] == [f"dev_{number}" for number in range(1, 10)]
    assert recola.PROTOCOLS["avec2016"].note in study.note
    assert study.is_comparable


def test_the_protocol_of_the_paper_is_marked_as_not_comparable(root: Path, tmp_path: Path) -> None:
    study = open_study("recola", root, tmp_path, challenge=ChallengeSettings(protocol="liu2021"))
    assert not study.is_comparable
    assert sum(len(study.items[role]) for role in ROLES) == 18
    assert "not comparable" in study.note


def test_nobody_stands_in_two_roles(root: Path, tmp_path: Path) -> None:
    for study in (open_study("recola", root, tmp_path), open_study("composed", root, tmp_path, small=True)):
        groups = [{item.subject for item in study.items[role]} for role in ROLES]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]


def test_composed_recordings_are_made_of_the_split_of_their_role(tmp_path: Path) -> None:
    study = open_study("composed", tmp_path, tmp_path)
    for role in ROLES:
        items = study.items[role]
        assert all(isinstance(item, ComposedRecording) and item.split == role for item in items)
    assert [len(study.items[role]) for role in ROLES] == [300, 60, 40]


def test_a_result_depends_on_labels_and_delay(root: Path, tmp_path: Path) -> None:
    study = open_study("recola", root, tmp_path)
    first = study.items["train"][0]
    assert isinstance(first, RatedRecording)
    assert first.labels is not None
    corrected = replace(first, labels=np.clip(first.labels + np.float32(0.01), -1, 1))
    other = replace(study, items={**study.items, "train": (corrected, *study.items["train"][1:])})
    assert len({study.digest, other.digest, study.delayed(1.0).digest}) == 3
    assert study.digest == open_study("recola", root, tmp_path / "elsewhere").digest


def test_too_few_recordings_to_stop_by_are_refused(root: Path, tmp_path: Path) -> None:
    few = [each for each in recola.read(root) if each.name in ("train_1", "train_2", "dev_1", "dev_2")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recola, "read", lambda *_, **__: few)
        with pytest.raises(CorpusError, match="four at least"):
            open_study("recola", root, tmp_path)


@pytest.mark.parametrize("corpus", ["recola", "composed", "folder"])
def test_a_corpus_that_lies_somewhere_needs_a_root(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs --root"):
        open_study(corpus, None, tmp_path)


def test_labels_to_learn_from_are_moved_and_those_to_be_judged_on_are_not(root: Path, tmp_path: Path) -> None:
    study: Study = open_study("recola", root, tmp_path)
    study.prepare(["descriptors"], lambda *_: None)
    study.encode("none", "x", lambda crops: crops.reshape(len(crops), 4, -1)[..., :3])
    moved = study.delayed(0.4)
    for role in ROLES:
        before, after = (each.tracks(role, "descriptors", "none")[0].arousal_valence for each in (study, moved))
        np.testing.assert_array_equal(before[10:], after[:-10])
    one, other = (each.unmoved(each.items["test"], "descriptors", "none")[0] for each in (study, moved))
    np.testing.assert_array_equal(one.arousal_valence, other.arousal_valence)


def test_a_file_says_how_the_challenge_is_split_and_rated(root: Path, tmp_path: Path) -> None:
    names = [f"{part}_{number}" for part in ("train", "dev") for number in range(1, 10)]
    (tmp_path / "mine.yaml").write_text(
        f"protocol: liu2021\ngold: mean\ntrain: [{', '.join(names[:12])}]\ntest: [{', '.join(names[12:])}]\n"
    )
    chosen = challenge_settings(str(tmp_path / "mine.yaml"))
    study = open_study("recola", root, tmp_path, challenge=chosen)
    assert [item.name for item in study.items["test"]] == names[12:]
    first = study.items["train"][0]
    assert isinstance(first, RatedRecording)
    assert first.labels is not None
    assert first.ratings is not None
    np.testing.assert_allclose(first.labels, first.ratings.mean(axis=0), atol=1e-5)
    (tmp_path / "odd.yaml").write_text("protocl: avec2016\n")
    with pytest.raises(SettingsError, match="unknown key"):
        challenge_settings(str(tmp_path / "odd.yaml"))


def test_a_split_alone_can_be_judged_and_withheld_labels_are_told(root: Path, tmp_path: Path) -> None:
    study = open_split("recola", root, tmp_path, "validation")
    assert [item.name for item in study.items["test"]] == [f"dev_{number}" for number in range(1, 10)]
    assert not study.items["train"]
    with pytest.raises(CorpusError, match="9 more without labels"):
        open_split("recola", root, tmp_path, "test")


def test_features_composed_of_other_corpora_are_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "ravdess").mkdir(parents=True)
        (tmp_path / name / "ravdess" / "a.wav").write_bytes(b"x" * len(name))
    studies = [open_study("composed", tmp_path / name, tmp_path / "out") for name in ("one", "other")]
    for study, message in zip(studies, ("RAVDESS", "features of other files"), strict=True):
        with pytest.raises(CorpusError, match=message):
            study.prepare(["descriptors"], lambda *_: None)
