"""ARFF files come back as the numbers and texts that were written; damaged ones are refused by line."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emotrace.corpora import arff
from emotrace.corpora.arff import Table, read_arff
from emotrace.errors import CorpusError

HEADER = """@relation r
@attribute name string
@attribute frameTime numeric
@attribute mood {calm,'very glad'}
@data
"""

Read = Callable[[str], Table]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written_and_read(text: str) -> Table:
        (tmp_path / "table.arff").write_bytes(text.encode())
        return read_arff(tmp_path / "table.arff")

    return written_and_read


def test_columns_come_back_by_kind(read: Read) -> None:
    table = read(HEADER + "train_1,0.00,calm\n'train_1' , 0.04 ,\t'very glad'\n")
    assert table.names == ("frameTime",)
    assert table.column("frameTime").tolist() == [0.0, 0.04]
    assert table.texts == {"name": ("train_1", "train_1"), "mood": ("calm", "very glad")}


def test_keywords_and_types_are_read_in_any_case(read: Read) -> None:
    table = read("@RELATION r\n@Attribute a REAL\n@ATTRIBUTE b Integer\n@DATA\n1.5,2\n")
    assert table.names == ("a", "b")
    assert table.numbers.tolist() == [[1.5, 2]]


def test_comments_and_empty_lines_are_left_out(read: Read) -> None:
    table = read("% made by, nobody\n\n" + HEADER + "% 'open\nx,1,calm % as always\n\n'50 % off',2,calm\n")
    assert table.numbers[:, 0].tolist() == [1, 2]
    assert table.texts["name"] == ("x", "50 % off")


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(read: Read) -> None:
    plain = HEADER + "é,1,calm\n"
    other = read("\ufeff" + plain.replace("\n", "\r\n"))
    assert other.texts == read(plain).texts
    assert other.numbers.tolist() == read(plain).numbers.tolist()


def test_a_missing_value_is_nan_or_empty_unless_quoted(read: Read) -> None:
    table = read(HEADER + "?,?,?\n'?',1,calm\n")
    assert math.isnan(table.numbers[0, 0])
    assert table.texts == {"name": ("", "?"), "mood": ("", "calm")}


def test_quoted_names_and_values_may_hold_separators_and_escapes(read: Read) -> None:
    header = "@attribute 'two words' numeric\n@attribute \"a,b\" string\n@data\n"
    table = read(header + "1,'it\\'s, {fine}\\n'\n" + '2,"x\\\\"\n')
    assert table.names == ("two words",)
    assert table.texts["a,b"] == ("it's, {fine}\n", "x\\")


def test_a_sparse_row_fills_in_zero_and_the_first_nominal_value(read: Read) -> None:
    table = read(HEADER + "{1 2.5, 2 'very glad'}\n{}\n{0 'a}b', 1 ?} % end\n")
    np.testing.assert_array_equal(table.numbers[:, 0], [2.5, 0, np.nan])
    assert table.texts == {"name": ("", "", "a}b"), "mood": ("very glad", "calm", "calm")}


def test_a_file_without_rows_has_columns_all_the_same(read: Read) -> None:
    table = read(HEADER)
    assert table.numbers.shape == (0, 1)
    assert table.texts["name"] == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.floats(), st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Z"))))))
def test_what_is_written_quoted_comes_back(read: Read, rows: list[tuple[float, str]]) -> None:
    quoted = [(number, text.replace("\\", "\\\\").replace("'", "\\'")) for number, text in rows]
    lines = "".join(f"{number!r},'{text}'\n" for number, text in quoted)
    table = read("@attribute x numeric\n@attribute s string\n@data\n" + lines)
    np.testing.assert_array_equal(table.column("x"), [number for number, _ in rows])
    assert table.texts["s"] == tuple(text for _, text in rows)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 0: the file ends without @data"),
        ("@relation r\n@data\n", "line 2: @data before any @attribute"),
        ("RIFF....WAVE", "line 1: 'RIFF....WAVE', expected @relation"),
        ("@attribute x date\n", "line 1: attribute 'x' is of type 'date'"),
        ("@attribute x\n", "line 1: '@attribute x', expected @attribute NAME TYPE"),
        ("@attribute x {a,b\n", "line 1: the values of attribute 'x' do not end"),
        ("@attribute x real\n@attribute x real\n", "line 2: a second attribute 'x'"),
        (HEADER + "a,1,calm\nb,2\n", "line 7: 2 values, expected 3"),
        (HEADER + "a,1,calm,\n", "line 6: 4 values, expected 3"),
        (HEADER + "a,one,calm\n", "line 6: 'one' in column 'frameTime', expected a number"),
        (HEADER + "a,1,sad\n", "line 6: 'sad' in column 'mood'"),
        (HEADER + "'a,1,calm\n", "line 6: no value can be read"),
        (HEADER + "'a'b,1,calm\n", "line 6: no value can be read"),
        (HEADER + "a,1,calm,{5}\n", "line 6: no value can be read"),
        (HEADER + "{1 2, 9 3}\n", "line 6: a value for column 9, but the columns end at 2"),
        (HEADER + "{1 2\n", "line 6: no index and value can be read"),
        (HEADER + "{1 2} 3\n", "line 6: no index and value can be read"),
    ],
)
def test_a_damaged_file_is_refused_by_file_and_line(text: str, complaint: str, read: Read) -> None:
    with pytest.raises(CorpusError) as caught:
        read(text)
    assert f"table.arff, {complaint}" in str(caught.value)


def test_text_that_is_not_utf8_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "old.arff"
    path.write_bytes(b"@attribute x real\n% Universit\xe9\n@data\n")
    with pytest.raises(CorpusError, match=r"old\.arff, line 2: no UTF-8 text"):
        read_arff(path)


@pytest.mark.parametrize("name", [".", "nothing.arff"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a file"):
        read_arff(tmp_path / name)


def test_sizes_are_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"line 1: more than \d+ bytes"):
        read("%" * (arff.MAX_LINE_BYTES + 1))
    monkeypatch.setattr(arff, "MAX_VALUES", 8)
    assert len(read(HEADER + "{}\n" * 2).numbers) == 2
    with pytest.raises(CorpusError, match="line 8: more than 8 values"):
        read(HEADER + "{}\n" * 3)
    monkeypatch.setattr(arff, "MAX_COLUMNS", 2)
    with pytest.raises(CorpusError, match="line 4: more than 2 attributes"):
        read(HEADER)
    monkeypatch.setattr(arff, "MAX_BYTES", 20)
    with pytest.raises(CorpusError, match=r"has \d+ bytes; at most 20 are read"):
        read(HEADER)


@pytest.mark.parametrize(
    ("start", "repeated", "end"),
    [("x", " ", "'"), ("", "'", ""), ("", "'\\", ""), ("{1", " ", "'"), ("{", "1 2,", ""), ("{", " ", "}x")],
)
def test_a_line_made_to_be_slow_is_read_in_its_length(start: str, repeated: str, end: str, read: Read) -> None:
    before = time.perf_counter()
    with pytest.raises(CorpusError):
        read(HEADER + start + repeated * (600_000 // len(repeated)) + end + "\n")
    assert time.perf_counter() - before < 5


def test_a_column_that_is_not_there_names_those_that_are(read: Read) -> None:
    with pytest.raises(CorpusError, match="no numeric column 'GoldStandard', but frameTime"):
        read(HEADER).column("GoldStandard")
