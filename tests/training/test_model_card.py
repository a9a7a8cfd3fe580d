"""The model card says what a user must know before believing a number."""

from typing import Any

import pytest

from emotrace.bundle import Manifest, Quantisation
from emotrace.corpora import ferplus, nemo, ravdess
from emotrace.labels import CIRCUMPLEX, EMOTIONS, VOICE_CLASSES
from emotrace.recipe import Recipe
from emotrace.training.model_card import model_card


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    given: dict[str, Any] = {
        "name": "mine",
        "emotrace_version": "9.8.7",
        "model": "concatenation",
        "licence": "CC-BY-NC-SA-4.0",
        "recipe": Recipe(),
        "recipe_digest": Recipe().digest(),
        "emotions": EMOTIONS,
        "voice_classes": VOICE_CLASSES,
        "hidden_dim": 4,
        "face_prior": (1 / 8,) * 8,
        "voice_prior": (1 / 9,) * 9,
        "temperature": {"face": 1.0, "voice": 1.0},
        "metrics": {"face_accuracy": 0.54321, "fused_ccc_valence": 0.65432},
        "versions": {},
        "settings": {},
        "files": {},
    }
    return Manifest(**given)


@pytest.fixture(scope="module")
def card(manifest: Manifest) -> str:
    return model_card(manifest)


def test_it_names_the_bundle_its_version_its_system_and_its_licence(card: str) -> None:
    for told in ("# Model card: mine", "9.8.7", "`concatenation`", "**CC-BY-NC-SA-4.0**", "no commercial use"):
        assert told in card


@pytest.mark.parametrize("corpus", [ferplus, ravdess, nemo])
def test_it_cites_every_corpus_with_its_licence(card: str, corpus: Any) -> None:
    assert corpus.CITATION in card
    assert corpus.LICENCE in card


def test_it_says_that_arousal_and_valence_are_a_proxy_and_lists_the_coordinates(card: str) -> None:
    assert "are a proxy" in card
    for emotion, point in CIRCUMPLEX.items():
        assert f"| {emotion} | {point.valence:.3f} | {point.arousal:.3f} |" in card


def test_it_names_use_and_limits(card: str) -> None:
    for told in ("## Intended use", "## Not intended", "## Limits", "acted", "Article 5", "Contempt was never heard"):
        assert told in card


def test_it_gives_the_figures_of_the_manifest(card: str) -> None:
    assert "| face accuracy | 0.543 |" in card
    assert "| fused ccc valence | 0.654 |" in card


def test_nothing_is_left_to_fill_in(card: str) -> None:
    assert "{" not in card
    assert "}" not in card


def test_it_tells_what_integers_cost(manifest: Manifest, card: str) -> None:
    assert "32-bit floating point" in card
    told = Quantisation(
        calibration_crops=77, recordings=12, before={"face_accuracy": 0.85}, after={"face_accuracy": 0.84}
    )
    quantised = model_card(manifest.model_copy(update={"face_quantised": told}))
    for wanted in ("8-bit integers", "77 training crops", "12 composed", "| face accuracy | 0.850 | 0.840 |"):
        assert wanted in quantised
