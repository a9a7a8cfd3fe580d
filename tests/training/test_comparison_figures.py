"""The figures are valid files that do not change without reason, and draw what can be drawn."""

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from PIL import Image

from emotrace.training.comparison_figures import curves_figure, stage_one_figure, systems_figure, weights_figure
from emotrace.training.comparison_rows import CURVES, Row, StageOneRow

Draw = Callable[[Path], tuple[Path, Path]]

MANY = 25
"""More systems than there are looks of a line without its colour."""


def _row(number: int, seed: int) -> Row:
    ccc = 0.3 + 0.02 * number + 0.01 * seed
    return Row(
        system=f"a-published-system-{number}",
        seed=seed,
        figures={"ccc_arousal": ccc, "ccc_valence": ccc / 2, "rmse_arousal": 0.2, "rmse_valence": nan, "beta_r": nan},
        intervals={"ccc_arousal": (ccc - 0.1, ccc + 0.1), "rmse_valence": (nan, nan)},
        curves={name: {share: (ccc - share / 200, ccc) for share in (0, 50, 100)} for name in CURVES},
    )


def _stage_one(network: str, seed: int, epochs: int) -> StageOneRow:
    r2 = tuple(0.6 - 3 / epoch for epoch in range(1, epochs + 1))
    rmse = tuple(0.2 + 0.1 / epoch + 0.01 * seed for epoch in range(1, epochs + 1))
    return StageOneRow(network, "arousal", seed, r2[-1], rmse[-1], 1, 2, 3, 4, 5.0, r2, rmse)


ROWS = [_row(number, seed) for number in range(3) for seed in range(2)]
STAGE_ONE = [
    _stage_one("vgg19", 0, 20),
    _stage_one("vgg19", 1, 7),
    replace(_stage_one("alexnet", 0, 3), r2_curve=(nan, 0.2, 0.3)),
    replace(_stage_one("improved-alexnet", 0, 3), r2_curve=(), rmse_curve=()),
    replace(_stage_one("inception-v3", 0, 3), r2_curve=(nan, nan, nan)),
]
PUBLISHED = {"a-published-system-0": {"ccc_arousal": 0.729, "ccc_valence": 0.718}}
POINTS = {"a": [(0.9, 0.8), (0.1, 0.3)], "b": [], "c": [(0.5, nan)], "d": [(0.5, 0.5)]}

DRAWN: dict[str, Draw] = {
    "stage_one_arousal": lambda folder: stage_one_figure(STAGE_ONE, "arousal", folder),
    "systems": lambda folder: systems_figure(ROWS, folder, PUBLISHED),
    "curves": lambda folder: curves_figure(ROWS, folder),
    "weights_missing": lambda folder: weights_figure(POINTS, "missing", folder),
}
HARD: dict[str, Draw] = {
    "one seed, and a system without any figure": lambda folder: systems_figure(
        [ROWS[0], Row("nothing", 0, {}, {}, {})], folder
    ),
    "more systems than looks": lambda folder: curves_figure([_row(number, 0) for number in range(MANY)], folder),
    "dots of many systems": lambda folder: systems_figure([_row(number, 0) for number in range(MANY)], folder),
    "no curve but one of nan": lambda folder: curves_figure(
        [replace(ROWS[0], curves={CURVES[0]: {0: (nan, 0.5)}}), replace(ROWS[1], curves={})], folder
    ),
    "one epoch": lambda folder: stage_one_figure([_stage_one("vgg19", 0, 1)], "arousal", folder),
    "a dimension that nobody trained": lambda folder: stage_one_figure(STAGE_ONE, "valence", folder),
    "no weights": lambda folder: weights_figure({}, "missing", folder),
}


def _check(svg: Path, png: Path) -> None:
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(png) as image:
        image.verify()
        assert image.format == "PNG"
        assert image.width > 600


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    return {name: draw(tmp_path_factory.mktemp("drawn") / "new") for name, draw in DRAWN.items()}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_a_picture_under_its_name_and_leaves_nothing_else(
    name: str, drawn: dict[str, tuple[Path, Path]]
) -> None:
    svg, png = drawn[name]
    assert sorted(svg.parent.iterdir()) == [png, svg]
    assert (svg.name, png.name) == (f"{name}.svg", f"{name}.png")
    _check(svg, png)


@pytest.mark.parametrize("name", HARD)
def test_what_is_not_there_is_left_out(name: str, tmp_path: Path) -> None:
    _check(*HARD[name](tmp_path))


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_rows_give_the_same_bytes_whatever_the_users_settings_are(
    name: str, drawn: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        again = DRAWN[name](tmp_path)
        assert mpl.rcParams["font.size"] == 30
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in drawn[name]]
    assert b"<dc:date>" not in again[0].read_bytes()


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_off(name: str, drawn: dict[str, tuple[Path, Path]]) -> None:
    with Image.open(drawn[name][1]) as image:
        grey = image.convert("L")
        width, height = grey.size
        boxes = [(0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)]
        assert [grey.crop(box).getextrema() for box in boxes] == [(255, 255)] * 4


def test_a_system_without_curves_is_left_out_and_the_others_keep_their_looks(
    drawn: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    silent = [replace(row, curves={}) if row.system.endswith("1") else row for row in ROWS]
    texts = [drawn["curves"][0].read_text(), curves_figure(silent, tmp_path)[0].read_text()]
    # Comments of an SVG hold the text whose letters follow.
    names = [f"<!-- a-published-system-{number} -->" for number in range(3)]
    assert [[name in text for name in names] for text in texts] == [[True, True, True], [True, False, True]]
    colours = ["#0072b2", "#d55e00", "#009e73"]
    assert [[colour in text for colour in colours] for text in texts] == [[True, True, True], [True, False, True]]


def test_published_figures_are_drawn_only_where_given(drawn: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    label = "<!-- published, RECOLA -->"
    assert label in drawn["systems"][0].read_text()
    assert label not in systems_figure(ROWS, tmp_path, {"another": {"ccc_arousal": 0.5}})[0].read_text()


def test_the_weights_of_systems_without_points_are_left_out(drawn: dict[str, tuple[Path, Path]]) -> None:
    text = drawn["weights_missing"][0].read_text()
    labels = ["<!-- a -->", "<!-- b -->", "<!-- c -->", "<!-- d -->", "<!-- ideal -->"]
    assert [label in text for label in labels] == [True, False, False, True, True]


def test_the_seeds_of_a_network_are_a_band(drawn: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    one_seed = [row for row in STAGE_ONE if row.seed == 0]
    band = "FillBetweenPolyCollection"
    assert band in drawn["stage_one_arousal"][0].read_text()
    assert band not in stage_one_figure(one_seed, "arousal", tmp_path)[0].read_text()
