"""Figures of a bundle on tiny corpora, checked by hand."""

from pathlib import Path

import numpy as np
import pytest

from emotrace import evaluation
from emotrace.bundle import Bundle, load_bundle
from emotrace.corpora import ferplus, ravdess
from emotrace.errors import CorpusError, SettingsError
from emotrace.evaluation import evaluate, voice_scores
from emotrace.inference.session import Session
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from tests.app import tiny_bundle
from tests.corpora.trees import write_ferplus, write_nemo, write_ravdess


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    seeds = {"FER2013Train": [1, 2, 3, 4], "FER2013Valid": [5, 6, 7, 8], "FER2013Test": list(range(10, 18))}
    write_ferplus(root / "ferplus", seeds=seeds)
    write_ravdess(root / "ravdess", (1, 21))
    write_nemo(root / "nemo", ("ann", "bob", "cat", "dan"), ("sadness", "happiness"))
    return root


def test_the_figures_of_the_face_branch_can_be_checked_by_hand(bundle: Bundle, data: Path) -> None:
    figures = evaluate(bundle, "ferplus", data / "ferplus", "test")
    # The tiny network's logits are the mean lightness times -1 .. 1: it always says the last class, contempt, and the
    # prior of the tiny bundle is even. Emotions take turns: two pictures each of four, none of them contempt.
    matrix = np.array(figures["confusion_matrix"])
    assert matrix[:, EMOTIONS.index("contempt")].tolist() == [2, 0, 0, 2, 2, 0, 2, 0]
    assert matrix.sum() == figures["images"] == 8
    assert figures["left_out_without_majority"] == 0
    assert figures["accuracy"] == figures["unweighted_average_recall"] == figures["macro_f1"] == 0
    assert figures["equal_prior_accuracy"] == 0
    assert (figures["bundle"], figures["bundle_digest"]) == ("tiny", bundle.digest)
    assert (figures["corpus"], figures["split"], figures["only"]) == ("ferplus", "test", "face")


def test_the_figures_of_the_voice_branch_follow_from_its_scores(bundle: Bundle, data: Path) -> None:
    figures = evaluate(bundle, "ravdess", data / "ravdess", "test")
    session = Session(bundle)
    utterances = [each for each in ravdess.read(data / "ravdess") if each.split == "test"]
    columns = [VOICE_CLASSES.index(label) for label in ravdess.LABELS]
    said = [
        ravdess.LABELS[int(voice_scores(session.branches.voice, bundle.recipe, each.path)[columns].argmax())]
        for each in utterances
    ]
    right = np.mean([one == each.label for one, each in zip(said, utterances, strict=True)])
    assert figures["utterances"] == len(utterances) == 8
    assert figures["accuracy"] == figures["unweighted_average_recall"] == right
    assert figures["labels"] == list(ravdess.LABELS)
    assert np.array(figures["confusion_matrix"]).sum(axis=1).tolist() == [1] * 8


def test_composed_recordings_give_figures_under_every_condition(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "COMPOSED_COUNT", 1)
    monkeypatch.setattr(evaluation, "CONDITIONS", {"usual": evaluation.CONDITIONS["usual"]})
    figures = evaluate(bundle, "composed", data, "test", only="face")
    usual = figures["usual"]
    assert isinstance(usual, dict)
    assert set(usual) == {"ccc_arousal", "ccc_valence", "unweighted_average_recall"}
    assert all(-1 <= value <= 1 for value in usual.values())
    assert figures["recordings"] == 1


@pytest.mark.parametrize(("corpus", "only"), [("ferplus", "voice"), ("ravdess", "face"), ("emogator", "face")])
def test_a_modality_that_the_corpus_has_not_is_refused(
    bundle: Bundle, data: Path, corpus: str, only: evaluation.Only
) -> None:
    with pytest.raises(SettingsError, match=f"--only {only}: {corpus} has none"):
        evaluate(bundle, corpus, data / corpus, "test", only=only)


def test_unknown_corpora_and_splits_and_empty_splits_are_refused(bundle: Bundle, data: Path) -> None:
    with pytest.raises(SettingsError, match="--corpus holiday: expected one of ferplus, ravdess"):
        evaluate(bundle, "holiday", data, "test")
    with pytest.raises(SettingsError, match=f"--split all: expected one of {', '.join(ferplus.FOLDERS)}"):
        evaluate(bundle, "ferplus", data / "ferplus", "all")
    with pytest.raises(CorpusError, match="no ravdess recording of the validation split"):
        evaluate(bundle, "ravdess", data / "ravdess", "validation")
