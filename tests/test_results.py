"""The page of results, from figures made up: every figure is told where it belongs, and none is invented."""

import re
from typing import Any

import pytest
from benchmarks import results

from emotrace.evaluation import CONDITIONS
from emotrace.training.experiments import EXPERIMENTS, systems
from emotrace.training.presets import DefaultSettings

SYSTEMS = systems(DefaultSettings().fusion)


class Numbers:
    """Gives another number each time it is asked, and remembers them."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __call__(self) -> float:
        value = 0.101 + 0.001 * len(self.given)
        self.given.append(f"{value:.3f}")
        return value

    def runs(self, *names: str) -> dict[str, Any]:
        return {key: {name: self() for name in names} for key in ("mean", "standard_deviation")}

    def heard(self) -> dict[str, Any]:
        return {"unweighted_average_recall": self(), "accuracy": self()}


TRACE = ("ccc_arousal", "ccc_valence", "unweighted_average_recall")


COMPARED = {
    name: {
        "text": "All of it.\n\n### Systems\n\n| a |\n| --- |\n| 1 |\n",
        "digest": "0",
        "environment": {"commits": ["c0ffee"], "machine": "2 cores", "packages": {"torch": "2"}},
    }
    for name in results.COMPARISONS
}


def made_up(number: Numbers) -> tuple[dict[str, Any], dict[str, Any]]:
    evaluations: dict[str, Any] = {
        "ferplus": {"bundle_digest": "abcd", "images": 7, "left_out_without_majority": 2}
        | number.heard()
        | {"equal_prior_accuracy": number(), "equal_prior_unweighted_average_recall": number()},
        "ravdess": number.heard(),
        "nemo": number.heard(),
    }
    for name in ("fused", "voice only", "face only"):
        evaluations[name] = {"recordings": 3} | {each: {key: number() for key in TRACE} for each in CONDITIONS}
    tried: dict[str, Any] = {
        "face-alexnet": {
            "settings": {"epochs": 4, "seed": 0},
            "parameters": 2_500_000,
            "test_accuracy": number(),
            "test_unweighted_average_recall": number(),
        },
        "voice-folds": number.runs("unweighted_average_recall", "accuracy")
        | {"folds": {"actors 1-4": {"unweighted_average_recall": number()}}},
        "voice-transfer": {"ravdess to nemo": number.heard(), "nemo to ravdess": number.heard()},
        "voice-pretraining": {
            "seeds": [0, 1],
            "speech alone": number.runs("ravdess", "nemo"),
            "bursts before": number.runs("ravdess", "nemo"),
        },
        "fusion": {
            "seeds": [0, 1],
            "systems": {
                name: {each: number.runs(*TRACE, "audio_weight_correlation") for each in CONDITIONS} for name in SYSTEMS
            },
        },
    }
    return evaluations, tried


def test_every_figure_is_on_the_page_and_every_table_is_whole() -> None:
    number = Numbers()
    evaluations, tried = made_up(number)
    told = results.page(evaluations, tried, COMPARED)
    assert told.count("| 1 |") == len(COMPARED)
    assert set(tried) == set(EXPERIMENTS)
    assert set(evaluations) == set(results.EVALUATIONS)
    assert len(set(number.given)) == len(number.given)
    for name, system in tried["fusion"]["systems"].items():
        for each in CONDITIONS:
            cells = " | ".join(results.spread(system[each], key) for key in TRACE)
            assert f"| {each} | {name} | {cells} |" in told
    for each in CONDITIONS:
        assert f"| {each} | fused | {evaluations['fused'][each]['ccc_arousal']:.3f} |" in told
    for table in re.findall(r"(?:^\|.*\n)+", told, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "{" not in told


def test_a_figure_that_is_missing_is_no_empty_cell() -> None:
    evaluations, tried = made_up(Numbers())
    del evaluations["nemo"]["accuracy"]
    with pytest.raises(Exception, match="accuracy"):
        results.page(evaluations, tried, COMPARED)
