"""The tables give the numbers that one computes by hand."""

from dataclasses import replace
from math import nan

from emotrace.training.comparison_rows import Row, StageOneRow
from emotrace.training.comparison_tables import curves_markdown, markdown, stage_one_markdown


def _row(system: str, seed: int, ccc: float, rmse: float, **more: float) -> Row:
    figures = {"ccc_arousal": ccc, "ccc_valence": ccc - 0.1, "rmse_arousal": rmse, "rmse_valence": rmse + 0.1, **more}
    return Row(system, seed, figures, {}, {})


def _cells(table: str) -> dict[str, dict[str, str]]:
    """Return the table by the first cell of each line and the heading of each column."""
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


ROWS = [
    _row("zeta", 0, 0.5, 0.20, beta_correlation=0.25),
    _row("alpha", 0, 0.1, 0.30),
    _row("zeta", 1, 0.6, 0.40, beta_correlation=0.75),
    _row("alpha", 1, 0.3, 0.10),
    _row("zeta", 2, 0.7, 0.60, beta_correlation=0.50),
]


def test_a_mean_stands_with_the_deviation_that_divides_by_n_minus_1() -> None:
    cells = _cells(markdown(ROWS, published={}, baseline="alpha"))
    # zeta: 0.5, 0.6, 0.7 -> mean 0.6, variance (0.01 + 0 + 0.01) / 2; alpha: 0.1, 0.3 -> 0.2, (0.01 + 0.01) / 1.
    assert cells["zeta"]["CCC arousal"] == "**0.600** ± 0.100"
    assert cells["alpha"]["CCC arousal"] == "0.200 ± 0.141"
    assert cells["zeta"]["seeds"] == "3"
    assert cells["alpha"]["seeds"] == "2"


def test_the_lowest_error_is_the_best() -> None:
    cells = _cells(markdown(ROWS, published={}, baseline="alpha"))
    assert cells["zeta"]["RMSE valence"] == "0.500 ± 0.200"
    assert cells["alpha"]["RMSE valence"] == "**0.300** ± 0.141"


def test_means_that_look_equal_are_both_the_best() -> None:
    cells = _cells(markdown([_row("a", 0, 0.5001, 0.1), _row("b", 0, 0.4999, 0.2)], published={}, baseline="a"))
    assert cells["a"]["CCC arousal"] == cells["b"]["CCC arousal"] == "**0.500**"


def test_systems_stand_in_the_order_of_their_first_appearance() -> None:
    assert list(_cells(markdown(ROWS, published={}, baseline="alpha"))) == ["zeta", "alpha"]


def test_one_seed_has_no_deviation() -> None:
    assert _cells(markdown(ROWS[:2], published={}, baseline="alpha"))["alpha"]["CCC arousal"] == "0.100"


def test_the_correlation_of_the_weights_stands_only_where_there_is_one() -> None:
    cells = _cells(markdown(ROWS, published={}, baseline="alpha"))
    assert cells["zeta"]["beta correlation"] == "**0.500** ± 0.250"
    assert cells["alpha"]["beta correlation"] == ""
    undefined = [_row("alpha", 0, 0.1, 0.3, beta_correlation=nan)]
    assert "beta" not in markdown(undefined, published={}, baseline="alpha")


def test_a_seed_without_a_number_is_told() -> None:
    rows = [_row("a", 0, 0.2, 0.1), _row("a", 1, nan, 0.1), _row("a", 2, 0.4, 0.1)]
    assert _cells(markdown(rows, published={}, baseline="a"))["a"]["CCC arousal"] == "**0.300** ± 0.141 (2 of 3)"


def test_published_figures_stand_with_their_corpus() -> None:
    published = {"zeta": {"RECOLA": "0.729 / 0.718", "SEWA": "0.5"}, "unknown": {"RECOLA": "1"}}
    cells = _cells(markdown(ROWS, published=published, baseline="alpha"))
    assert cells["zeta"]["published (their data)"] == "0.729 / 0.718 (RECOLA); 0.5 (SEWA)"
    assert cells["alpha"]["published (their data)"] == ""
    assert "unknown" not in cells


def test_differences_to_the_baseline_stand_with_their_p_value() -> None:
    rows = [*ROWS, _row("beta", 0, 0.1, 0.1), _row("gamma", 0, 0.1, 0.1)]
    given = {"zeta": (0.4, 0.0312), "beta": (-0.05, 0.0004)}
    cells = _cells(markdown(rows, published={}, baseline="alpha", comparisons=given))
    column = "difference to alpha"
    found = [cells[key][column] for key in ("zeta", "alpha", "beta", "gamma")]
    assert found == ["+0.400 (p = 0.031)", "baseline", "-0.050 (p < 0.001)", ""]
    assert column not in markdown(rows, published={}, baseline="alpha")


def test_curves_are_means_over_seeds_with_nothing_where_nothing_was_measured() -> None:
    rows = [
        Row("a", 0, {}, {}, {"missing face": {0: (0.5, 0.4), 50: (0.2, 0.1)}}),
        Row("a", 1, {}, {}, {"missing face": {0: (0.7, 0.8), 50: (0.4, nan), 99: (1.0, 1.0)}}),
        Row("b", 0, {}, {}, {}),
        Row("c", 0, {}, {}, {"contradicting voice": {100: (-0.1, 0.0)}}),
    ]
    _, _, *lines = curves_markdown(rows).splitlines()
    assert lines == [
        "| missing face | a | 0.600 / 0.600 |  |  | 0.300 / 0.100 |  |  |",
        "| contradicting voice | c |  |  |  |  |  | -0.100 / 0.000 |",
    ]


def test_face_networks_stand_with_their_figures_and_costs() -> None:
    vgg = StageOneRow("vgg19", "arousal", 0, 0.5, 0.2, 1_234_567, 45_678_901, 139_570_240, 19_632_062_464, 10.0, (), ())
    rows = [
        vgg,
        replace(vgg, seed=1, r2=0.7, rmse=0.4, seconds_per_epoch=11.0),
        replace(vgg, dimension="valence", r2=0.1, seconds_per_epoch=15.0),
        replace(vgg, network="alexnet", r2=0.65),
    ]
    cells = _cells(stage_one_markdown(rows))
    assert cells["vgg19"] == {
        "network": "vgg19",
        "R² arousal": "0.600 ± 0.141",
        "R² valence": "**0.100**",
        "RMSE arousal": "0.300 ± 0.141",
        "RMSE valence": "**0.200**",
        "parameters (M)": "1.23",
        "multiply-adds (M)": "45.7",
        "parameters at full size (M)": "139.57",
        "multiply-adds at full size (G)": "19.63",
        "seconds per epoch": "12.0",
    }
    assert cells["alexnet"]["R² arousal"] == "**0.650**"
    assert cells["alexnet"]["R² valence"] == ""


def test_a_network_of_two_sizes_shows_both() -> None:
    row = StageOneRow("vgg19", "arousal", 0, 0.5, 0.2, 1_000_000, 0, 0, 0, 10.0, (), ())
    cells = _cells(stage_one_markdown([row, replace(row, seed=1, parameters=2_000_000)]))
    assert cells["vgg19"]["parameters (M)"] == "1.00, 2.00"
