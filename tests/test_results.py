"""The pages of results and of systems, from figures made up: each stands where it belongs, and none is invented."""

import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks import results
from benchmarks import systems as systems_page

from emotrace.evaluation import CONDITIONS
from emotrace.training.comparison_rows import Row, write_csv
from emotrace.training.experiments import EXPERIMENTS, systems
from emotrace.training.face_networks import FACE_NETWORKS
from emotrace.training.presets import PRESETS, DefaultSettings

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


ENVIRONMENT = {"bundle": "abcd", "commits": ["c0ffee"], "machine": "2 cores", "packages": {"torch": "2"}}
COMPARED: dict[str, Any] = {
    name: {
        "text": "All of it.\n\n### Systems\n\n| a |\n| --- |\n| 1 |\n",
        "digest": "0",
        "environment": ENVIRONMENT,
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


def test_a_comparison_with_an_earlier_bundle_says_so_and_one_that_is_left_out_is_not_there() -> None:
    evaluations, tried = made_up(Numbers())
    own = results.page(evaluations, tried, COMPARED)
    assert "Measured with an earlier bundle" not in own
    assert "Emotion without the person" in own
    compared = {name: found for name, found in COMPARED.items() if not name.startswith("identity")}
    environment: dict[str, Any] = {**ENVIRONMENT, "bundle": "old1"}
    compared["classes"] = {**compared["classes"], "environment": environment}
    told = results.page(evaluations, tried, compared)
    assert told.count("Measured with an earlier bundle, `old1`") == 1
    assert "Emotion without the person" not in told


def test_a_figure_that_is_missing_is_no_empty_cell() -> None:
    evaluations, tried = made_up(Numbers())
    del evaluations["nemo"]["accuracy"]
    with pytest.raises(Exception, match="accuracy"):
        results.page(evaluations, tried, COMPARED)


RESULTS_PAGE = """
`emotrace compare KEY... --corpus composed --root DIR`

### Systems

| system | seeds | CCC arousal | CCC valence |
| --- | --- | --- | --- |
| bimodal-attention | 3 | **0.111** ± 0.013 | 0.222 ± 0.009 |
| vaanet | 3 | 0.333 ± 0.013 | 0.444 ± 0.009 |

`emotrace compare KEY... --corpus iemocap-6 --root DIR/iemocap`

### Systems

| system | runs | UAR |
| --- | --- | --- |
| vaanet | 3 | 0.777 ± 0.013 |

### Face networks

| network | R² arousal | R² valence |
| --- | --- | --- |
| alexnet | 0.555 | **0.666** |
"""


def comparison(folder: Path, corpus: str, *rows: Row) -> Path:
    folder.mkdir()
    (folder / "settings.yaml").write_text(f"corpus: {corpus}\n", encoding="utf-8")
    write_csv(rows, folder / "results.csv")
    return folder / "results.csv"


def test_what_a_system_reached_is_the_mean_of_a_file_or_else_stands_on_the_page_of_results(tmp_path: Path) -> None:
    traces = [Row("vaanet", seed, {"ccc_arousal": seed, "ccc_valence": 0.5}, {}, {}) for seed in (0, 1)]
    classes = [Row("g-fbp", 0, {"unweighted_average_recall": value}, {}, {}, fold) for fold, value in enumerate((0, 1))]
    files = [comparison(tmp_path / "a", "composed", *traces), comparison(tmp_path / "b", "ravdess", *classes)]
    assert systems_page.reached(files, RESULTS_PAGE) == {
        "bimodal-attention": {"composed": "0.111 / 0.222"},
        "vaanet": {"composed": "0.500 / 0.500", "iemocap-6": "UAR 0.777"},
        "g-fbp": {"ravdess": "UAR 0.500"},
    }


def test_a_system_that_was_not_run_has_no_figures_and_a_published_one_its_source() -> None:
    costs = {key: systems_page.Cost(1_500, 2_500_000, 0.25) for key in ("g-fbp", "deep-belief")}
    lines = systems_page.systems(costs, {"g-fbp": {"composed": "0.1 / 0.2", "ravdess": "UAR 0.3"}}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| clip | 1.5 k / 2.5 M | 0.25 | composed: 0.1 / 0.2; ravdess: UAR 0.3 | AFEW" in lines[2]
    assert lines[2].endswith("(abstract of arXiv 1901.04889) |")
    assert lines[3].endswith("| not run | — |")


def test_every_published_figure_belongs_to_a_key() -> None:
    assert systems_page.PUBLISHED.keys() <= {*PRESETS, *FACE_NETWORKS}


def test_only_what_stands_between_the_comments_is_replaced() -> None:
    page = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n"
    once = systems_page.replaced(page, "x", "new")
    assert once == "a\n<!-- begin: x -->\n\nnew\n\n<!-- end: x -->\nb\n"
    assert systems_page.replaced(once, "x", "new") == once
    with pytest.raises(ValueError, match="begin: y"):
        systems_page.replaced(page, "y", "new")


@pytest.mark.parametrize("key", ["bimodal-attention", "fcn-attention", "g-fbp"])
def test_the_page_counts_the_parameters_that_a_system_has(key: str) -> None:
    page = (Path(__file__).parent.parent / systems_page.PAGE).read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
    small, published = systems_page.parameters(key)
    cost = systems_page.systems({key: systems_page.Cost(small, published, 1.0)}, {}).splitlines()[2]
    assert row.split("|")[4] == cost.split("|")[4]


def test_the_table_of_face_networks_is_whole() -> None:
    lines = systems_page.faces(RESULTS_PAGE).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(FACE_NETWORKS)
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.555 / 0.666 | — |" in lines[3]
    assert "| not run |" in lines[2]
