"""The files of a comparison give back what was written, and refuse what they did not write."""

from math import inf, isnan, nan
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.errors import EmotraceError
from emotrace.training.comparison_rows import (
    CURVES,
    Row,
    StageOneRow,
    read_csv,
    read_stage_one,
    write_csv,
    write_stage_one,
)

NUMBERS = st.floats(allow_nan=False)
FIGURES = st.sampled_from(
    ["ccc_arousal", "ccc_valence_per_recording", "parameters", "beta_correlation", "missing_face"]
)
ROWS = st.builds(
    Row,
    system=st.text("abc-1,\"'", min_size=1),
    seed=st.integers(0, 2**40),
    figures=st.dictionaries(FIGURES, NUMBERS),
    intervals=st.dictionaries(FIGURES, st.tuples(NUMBERS, NUMBERS)),
    curves=st.dictionaries(
        st.sampled_from(CURVES),
        st.dictionaries(st.integers(0, 100), st.tuples(NUMBERS, NUMBERS), min_size=1),
    ),
)
CURVE = st.lists(st.floats(allow_nan=False), max_size=5).map(tuple)
STAGE_ONE = st.builds(
    StageOneRow,
    network=st.text("abc-1,", min_size=1),
    dimension=st.sampled_from(["arousal", "valence"]),
    seed=st.integers(0, 9),
    r2=NUMBERS,
    rmse=NUMBERS,
    parameters=st.integers(0, 2**60),
    multiply_adds=st.integers(0, 2**60),
    full_parameters=st.integers(0, 2**60),
    full_multiply_adds=st.integers(0, 2**60),
    seconds_per_epoch=NUMBERS,
    r2_curve=CURVE,
    rmse_curve=CURVE,
)


@settings(max_examples=30)
@given(st.lists(ROWS, max_size=4))
def test_rows_come_back_exactly(rows: list[Row]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        write_csv(rows, path)
        assert read_csv(path) == rows


@settings(max_examples=30)
@given(st.lists(STAGE_ONE, max_size=4))
def test_rows_of_the_first_stage_come_back_exactly(rows: list[StageOneRow]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "stage_one.csv"
        write_stage_one(rows, path)
        assert read_stage_one(path) == rows


def test_nan_is_an_empty_cell_and_is_left_out_when_read(tmp_path: Path) -> None:
    rows = [
        Row("a", 0, {"rmse": 0.5, "ccc": nan}, {"ccc": (nan, nan)}, {"missing face": {10: (nan, nan)}}),
        Row("b", 0, {"ccc": inf}, {"ccc": (nan, 0.5)}, {}),
    ]
    write_csv(rows, tmp_path / "results.csv")
    first, second = read_csv(tmp_path / "results.csv")
    assert first == Row("a", 0, {"rmse": 0.5}, {}, {})
    assert isnan(first.figure("ccc"))
    assert second.figure("ccc") == inf
    assert isnan(second.intervals["ccc"][0])
    assert second.intervals["ccc"][1] == 0.5


def test_nan_of_the_first_stage_is_kept(tmp_path: Path) -> None:
    row = StageOneRow("vgg", "arousal", 0, nan, 0.5, 1, 2, 3, 4, 5.0, (nan, 0.5), ())
    write_stage_one([row], tmp_path / "stage_one.csv")
    (found,) = read_stage_one(tmp_path / "stage_one.csv")
    assert isnan(found.r2)
    assert isnan(found.r2_curve[0])
    assert found.r2_curve[1] == 0.5


def test_columns_have_one_order_whatever_the_order_of_rows_and_figures(tmp_path: Path) -> None:
    rows = [
        Row("b", 0, {"rmse": 1.0, "ccc": 2.0}, {}, {"missing face": {50: (0.1, 0.2), 5: (0.3, 0.4)}}),
        Row("a", 0, {"ccc": 3.5}, {"ccc": (3.0, 4.0)}, {}),
    ]
    expected = (
        "system,seed,ccc,rmse,ccc_low,ccc_high,missing_face_5_ccc_arousal,missing_face_5_ccc_valence,"
        "missing_face_50_ccc_arousal,missing_face_50_ccc_valence"
    )
    for order in (rows, rows[::-1]):
        write_csv(order, tmp_path / "results.csv")
        assert (tmp_path / "results.csv").read_text().splitlines()[0] == expected
    assert (tmp_path / "results.csv").read_text().splitlines()[1:] == ["a,0,3.5,,3,4,,,,", "b,0,2,1,,,0.3,0.4,0.1,0.2"]


@pytest.mark.parametrize("name", ["seed", "ccc_low", "missing_face_50_ccc_arousal", "CCC", "", "a,b"])
def test_a_figure_that_could_not_be_read_back_is_refused_and_leaves_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"figure|name"):
        write_csv([Row("a", 0, {name: 1.0}, {}, {})], tmp_path / "results.csv")
    assert not list(tmp_path.iterdir())


def test_an_unknown_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing hands"):
        write_csv([Row("a", 0, {}, {}, {"missing hands": {0: (0.0, 0.0)}})], tmp_path / "results.csv")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "columns"),
        (b"seed,system\n1,a\n", "columns"),
        (b"system,seed,ccc,ccc\na,1,2,3\n", "twice"),
        (b"system,seed,ccc\na,1\n", "2 cells in row 2"),
        (b"system,seed,ccc\na,1,0.5\na,1,much\n", "row 3"),
        (b"system,seed\na,one\n", "row 2"),
        (b"system,seed,ccc_low\na,1,0.5\n", "ccc_high"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(EmotraceError, match=told) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


def test_a_damaged_file_of_the_first_stage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stage_one.csv"
    write_stage_one([StageOneRow("vgg", "arousal", 0, 0.1, 0.5, 1, 2, 3, 4, 5.0, (0.5,), ())], path)
    path.write_text(path.read_text().replace("vgg,arousal,0", "vgg,arousal,none"))
    with pytest.raises(EmotraceError, match="row 2"):
        read_stage_one(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmotraceError, match="cannot be read"):
        read_csv(tmp_path / "nothing.csv")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv([Row("a", 0, {}, {}, {})], tmp_path / "results.csv")
    monkeypatch.setattr("emotrace.training.comparison_rows.MAX_BYTES", 10)
    with pytest.raises(EmotraceError, match="more than 10 bytes"):
        read_csv(tmp_path / "results.csv")
