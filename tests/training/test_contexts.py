"""Who speaks, what was said before, and when an event is: systems that learn these, on generated miniatures.

The drawn people are easy to tell apart, see `test_miniatures.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

import emotrace
from emotrace.bundle import load_bundle
from emotrace.catalogue import clips_of
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import SettingsError
from emotrace.inference.dialogue import answer_turns
from emotrace.training import opening, starting
from emotrace.training.cells import PREDICTIONS
from emotrace.training.comparison_rows import read_csv
from emotrace.training.prediction import predict_classes
from emotrace.training.study import ROLES
from emotrace.training.systems import load_system
from emotrace.turns import Turn
from tests.corpora.miniature_acted import write_iemocap, write_ravdess_av
from tests.corpora.miniature_ave import CATEGORIES, write_ave

EPOCHS = 14


@dataclass(frozen=True)
class Made:
    """A miniature corpus and the folder of what was trained on it."""

    corpus: str
    root: Path
    output: Path

    def row(self, key: str) -> dict[str, float]:
        """Return the figures of one system."""
        return dict(next(row for row in read_csv(self.output / "results.csv") if row.system == key).figures)


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three actors, whom all systems have met."""
    folder = tmp_path_factory.mktemp("actors")
    root = write_ravdess_av(folder / "corpus", clips=True, actors=(1, 17, 21), repetitions=5, seconds=1.0)
    made = Made("ravdess", root, folder / "compared")
    keys = ["disentangled-multitask", "disentangled"]
    settings = [f"epochs={EPOCHS}"]
    compared = starting.compare(keys, "ravdess", root, 1, made.output, settings, workers=1, protocol="person-shared")
    assert compared.failed == {}
    return made


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Five sessions of one dialogue each, with dialogue-attention trained on three."""
    folder = tmp_path_factory.mktemp("sessions")
    root = write_iemocap(folder / "corpus", clips=True, dialogues=("F_impro01",))
    made = Made("iemocap", root, folder / "trained")
    settings = [f"epochs={EPOCHS}", f"patience={EPOCHS}", "batch_size=8"]
    starting.train("dialogue-attention", "iemocap", root, made.output, settings, small=False, protocol=None)
    return made


# Persons


def test_clips_of_every_person_stand_in_every_role_where_persons_are_shared(actors: Made) -> None:
    study = opening.open_study("ravdess", actors.root, actors.output, shared_persons=True)
    people = {role: {item.subject for item in study.items[role]} for role in ROLES}
    assert people["train"] == people["validation"] == people["test"]
    assert len(people["train"]) == 3
    names = [item.name for item in study.all_items]
    assert len(set(names)) == len(names) == 3 * 8 * 5
    assert len(study.items["train"]) == 3 * 8 * 3
    apart = opening.open_study("ravdess", actors.root, actors.output)
    assert not {item.subject for item in apart.items["train"]} & {item.subject for item in apart.items["test"]}
    assert apart.digest != study.digest


def test_the_identity_probe_stands_beside_the_recall(actors: Made) -> None:
    page = (actors.output / "results.md").read_text()
    assert "| identity probe | its chance |" in page
    assert "all who are judged were learnt from" in page
    for key in ("disentangled-multitask", "disentangled"):
        found = actors.row(key)
        assert found["identity_chance"] == pytest.approx(1 / 3)
        assert found["unweighted_average_recall"] > 1.5 / 8


def test_another_protocol_of_persons_is_refused(tmp_path: Path) -> None:
    told = "--protocol avec2016: expected one of person-disjoint, person-shared for ravdess"
    with pytest.raises(SettingsError, match=told):
        starting.compare(["vaanet"], "ravdess", tmp_path, 1, tmp_path / "out", [], protocol="avec2016")
    with pytest.raises(SettingsError, match="--protocol person-shared: recola is not split so"):
        starting.compare(["modular-hierarchy"], "recola", tmp_path, 1, tmp_path / "out", [], protocol="person-shared")
    assert not (tmp_path / "out").exists()


# Dialogues


def test_a_corpus_of_dialogues_keeps_its_turns_together_and_in_order(sessions: Made) -> None:
    clips = clips_of("iemocap", sessions.root)
    assert {clip.dialogue for clip in clips} == {f"Ses0{session}F_impro01" for session in range(1, 6)}
    for dialogue in {clip.dialogue for clip in clips}:
        starts = [clip.start_seconds for clip in clips if clip.dialogue == dialogue]
        assert starts == sorted(starts)
        assert len(starts) > 3


def test_turns_are_judged_in_the_context_of_those_before_them(sessions: Made) -> None:
    saved = load_system(sessions.output)
    study = opening.open_study("iemocap", sessions.root, sessions.output)
    tracks = study.unmoved(study.items["test"], "log-mel", "bundle")
    together = predict_classes(saved.system, saved.settings, tracks)
    first_two = predict_classes(saved.system, saved.settings, tracks[:2])
    np.testing.assert_allclose(together[:2].numpy(), first_two.numpy(), atol=1e-5)  # nothing later counts
    alone = predict_classes(saved.system, saved.settings, tracks[-1:])
    assert np.abs(together[-1].numpy() - alone[0].numpy()).max() > 1e-3


def test_a_trained_dialogue_system_answers_for_the_turns_of_a_file(sessions: Made) -> None:
    saved, bundle = load_system(sessions.output), load_bundle(sessions.output / "bundle")
    study = opening.open_study("iemocap", sessions.root, sessions.output)
    items = [item for item in study.items["test"] if isinstance(item, LabelledClip)]
    tracks = study.unmoved(items, "log-mel", "bundle")
    wanted = predict_classes(saved.system, saved.settings, tracks).numpy()
    first = items[0]
    assert first.video is not None
    timeline = emotrace.analyze(first.video, bundle=bundle)
    turns = [Turn(item.start_seconds, item.end_seconds or 0.0, item.subject) for item in items]
    found = answer_turns(first.video, timeline, bundle, turns)
    # The film shows both people and has no sound: one of them is followed, and answered for in every turn.
    assert len(found.answers) == len(turns)
    assert found.classes == study.classes
    assert wanted.shape == (len(turns), len(study.classes))
    assert all(sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-3) for answer in found.answers)
    (shown,) = found.shown
    assert shown.values.shape == (len(turns), len(turns))
    np.testing.assert_allclose(shown.values.sum(axis=1), 1, atol=1e-4)
    assert (np.triu(shown.values, 1) == 0).all()


def test_a_trained_system_can_hear_the_turns(sessions: Made, tmp_path: Path) -> None:
    own = tmp_path / "own"
    copytree(sessions.output / "features", own / "features")
    few = ["epochs=2", "batch_size=8"]
    starting.train("disentangled-single", "iemocap", sessions.root, own, few, small=False, protocol=None)
    lent = [*few, "utterance.system=disentangled", f"utterance.weights={own / 'weights.safetensors'}"]
    made = tmp_path / "made"
    copytree(sessions.output / "features", made / "features")
    starting.train("dialogue-attention", "iemocap", sessions.root, made, lent, small=False, protocol=None)
    before, after = load_system(own), load_system(made)
    kept, used = before.system.state_dict(), after.system.state_dict()
    same = [name for name in kept if name.startswith("system.encode")]
    assert same
    for name in same:
        np.testing.assert_array_equal(kept[name].numpy(), used[f"system.utterance.{name}"].numpy())
    assert (before.system.mean == after.system.mean).all()
    assert load_bundle(made / "bundle").manifest.system is not None
    assert (made / PREDICTIONS).is_file()


# Events


def test_events_are_found_in_their_seconds(tmp_path: Path) -> None:
    counts = {"trainSet.txt": 3, "valSet.txt": 1, "testSet.txt": 1}
    root = write_ave(tmp_path / "corpus", clips=True, categories=tuple(CATEGORIES)[:2], counts=counts)
    made = Made("ave", root, tmp_path / "out")
    settings = ["epochs=60", "patience=60", "batch_size=3", "learning_rate=0.003"]
    key = "positive-sample-propagation"
    found = starting.train(key, "ave", root, made.output, settings, small=False, protocol=None)
    assert float(str(found["segment_accuracy"])) > 0.8
    assert found["unweighted_average_recall"] == 1
    with pytest.raises(SettingsError, match="choose a clip-level one"):
        starting.compare(["bimodal-attention"], "ave", root, 1, made.output, [])
