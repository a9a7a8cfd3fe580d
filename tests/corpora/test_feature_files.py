"""Files of features in the layouts of the tools that make them, at other rates, with holes, damaged and hostile."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

from emotrace.corpora import feature_formats
from emotrace.corpora.feature_files import on_clock, read_features
from emotrace.errors import CorpusError, SettingsError

OPENFACE_HEADER = "frame, face_id, timestamp, confidence, success, gaze_0_x, pose_Rx, AU01_r, AU12_c"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def timed(path: Path, times: Sequence[float] | NDArray[np.float64], *columns: Sequence[float]) -> Path:
    """Write a plain table; without columns the only feature is the number of the row."""
    shown = columns or (range(len(times)),)
    header = ",".join(["time", *(f"f{place}" for place in range(len(shown)))])
    rows = [",".join(map(str, row)) for row in zip(times, *shown, strict=True)]
    return written(path, header, *rows)


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def as_npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def openface(path: Path, rows: Sequence[tuple[int, float, int]], header: str = OPENFACE_HEADER) -> Path:
    """Write rows of face, timestamp and success; the first feature is the number of the row."""
    lines = [
        f"{number + 1}, {face}, {time:.3f}, 0.98, {success}, {number}.5, -0.1, 0.25, 1"
        for number, (face, time, success) in enumerate(rows)
    ]
    return written(path, header, *lines)


def test_openface_gives_its_features_and_leaves_out_its_bookkeeping(tmp_path: Path) -> None:
    table = read_features(openface(tmp_path / "a.csv", [(0, number / 30, 1) for number in range(6)]))
    assert table.names == ("gaze_0_x", "pose_Rx", "AU01_r", "AU12_c")
    assert not table.per_clip
    np.testing.assert_allclose(table.times, np.arange(6) / 30, atol=1e-3)
    np.testing.assert_allclose(table.values[2], [2.5, -0.1, 0.25, 1])
    assert table.valid.all()
    assert table.values.dtype == np.float32
    assert table.times.dtype == np.float64
    assert table.report.rate_hz == pytest.approx(30, rel=0.02)


def test_frames_without_success_hold_no_features(tmp_path: Path) -> None:
    rows = [(0, number / 10, int(number not in (3, 4, 5))) for number in range(10)]
    table = read_features(openface(tmp_path / "a.csv", rows))
    assert table.valid.tolist() == [True] * 3 + [False] * 3 + [True] * 4
    assert np.isnan(table.values[~table.valid]).all()
    assert np.isfinite(table.values[table.valid]).all()
    assert (table.report.rows, table.report.invalid_rows, table.report.valid_share) == (10, 3, 0.7)
    assert table.report.longest_gap_seconds == pytest.approx(0.3)


def test_of_several_faces_the_one_with_the_most_rows_is_read(tmp_path: Path) -> None:
    faces = [0, 1, 1, 2, 1, 0]
    rows = [(face, place / 10, 1) for place, face in enumerate(faces)]
    table = read_features(openface(tmp_path / "a.csv", rows))
    assert table.values[:, 0].tolist() == [1.5, 2.5, 4.5]
    assert (table.report.rows, table.report.faces, table.report.other_rows) == (6, 3, 3)


def test_opensmile_frames_have_times_and_their_name_is_no_feature(tmp_path: Path) -> None:
    path = written(
        tmp_path / "lld.csv",
        "name;frameTime;Loudness_sma3;F0semitoneFrom27.5Hz_sma3nz",
        "'unknown';0.000000;1.5e-01;0.000000",
        "'unknown';0.010000;2.5e-01;3.1e+01",
        "'unknown';0.020000;3.5e-01;3.2e+01",
    )
    table = read_features(path)
    assert table.names == ("Loudness_sma3", "F0semitoneFrom27.5Hz_sma3nz")
    np.testing.assert_allclose(table.values, [[0.15, 0], [0.25, 31], [0.35, 32]])
    assert table.report.rate_hz == pytest.approx(100)


@pytest.mark.parametrize(
    ("header", "row"), [("name;F0_amean;HNR_amean", "'a;b'"), ("name;frameTime;F0_amean;HNR_amean", "'x';0.0")]
)
def test_opensmile_functionals_are_of_the_whole_clip(tmp_path: Path, header: str, row: str) -> None:
    quoted = row.replace("'", '"')
    table = read_features(written(tmp_path / "f.csv", header, f"{quoted};31.5;-2e1"))
    assert (table.per_clip, table.names, table.values.tolist()) == (True, ("F0_amean", "HNR_amean"), [[31.5, -20.0]])
    assert (table.times.tolist(), table.report.rate_hz) == ([0.0], None)


@pytest.mark.parametrize("name", ["time", "timestamp", "frameTime", "Time"])
def test_a_plain_table_names_its_times_in_one_of_three_ways(tmp_path: Path, name: str) -> None:
    table = read_features(written(tmp_path / "a.csv", f"b,{name},a", "1,0,2", "3,0.5,4"))
    assert (table.names, table.times.tolist(), table.values.tolist()) == (("b", "a"), [0, 0.5], [[1, 2], [3, 4]])


def test_a_spreadsheet_may_put_commas_before_decimals_and_a_mark_before_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftime;a\r\n0,0;1,5\r\n0,1;-2,5\r\n")
    table = read_features(tmp_path / "a.csv")
    assert (table.times.tolist(), table.values.tolist()) == ([0, 0.1], [[1.5], [-2.5]])


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_parquet_and_arrays_say_the_same_as_a_table(tmp_path: Path, kind: str) -> None:
    times, features = np.arange(5) / 10, np.arange(10.0).reshape(5, 2)
    features[3, 1] = np.nan
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez_compressed(path, features=features.astype(np.float16), time=times)
    else:
        columns = {"name": ["x"] * 5, "frameTime": times, "F0.sma": features[:, 0].astype(np.int64)}
        nullable = pyarrow.array([1.0, 3.0, 5.0, None, 9.0], type=pyarrow.float32())
        table = pyarrow.table(columns | {"b": nullable, "__index_level_0__": range(5)})
        pyarrow.parquet.write_table(table, path)
    found = read_features(path)
    assert found.names == (("0", "1") if kind == "npz" else ("F0.sma", "b"))
    np.testing.assert_allclose(found.times, times)
    np.testing.assert_allclose(found.values, [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 4.5], [8.0, 9.0]])
    assert (found.report.nan_cells, found.report.invalid_rows) == (1, 0)


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_an_array_of_one_row_is_of_the_whole_clip(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    values = np.arange(3, dtype=np.float32).reshape(shape)
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, values)
    else:
        np.savez(path, features=values)
    table = read_features(path)
    assert (table.per_clip, table.values.tolist(), table.names) == (True, [[0, 1, 2]], ("0", "1", "2"))


def test_without_pyarrow_parquet_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1.0]}), path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install 'emotrace\[parquet\]'"):
        read_features(path)


def test_single_missing_cells_become_the_mean_of_the_valid_rows_and_are_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        "time,a,b,c",
        "0.0,1,10,nan",
        "0.1,,20,-nan(ind)",  # two of three: invalid, and 20 is not in the mean
        "0.2,inf,40,",  # an infinite one and an empty one: invalid
        "0.3,3,,7",
        "0.4,1e300,4,9",  # beyond float32
    )
    table = read_features(path)
    assert table.valid.tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(table.values[table.valid], [[1, 10, 8], [3, 7, 7], [2, 4, 9]])
    assert np.isnan(table.values[~table.valid]).all()
    assert (table.report.nan_cells, table.report.invalid_rows) == (7, 2)


def test_a_column_without_any_number_is_zero(tmp_path: Path) -> None:
    table = read_features(timed(tmp_path / "a.csv", [0, 0.1], [1, 2], [np.nan, np.nan]))
    assert table.values.tolist() == [[1, 0], [2, 0]]
    assert table.valid.all()


def test_a_few_rows_out_of_order_are_dropped_and_counted_and_many_refused(tmp_path: Path) -> None:
    times = np.arange(300) / 100
    times[100], times[200] = times[99], np.nan
    table = read_features(timed(tmp_path / "a.csv", times))
    assert (np.diff(table.times) > 0).all()
    assert (len(table.times), table.report.dropped_rows, table.report.rows) == (298, 2, 300)
    assert 100 not in table.values
    times[50:53] = 0
    with pytest.raises(CorpusError, match="time of 5 of 300 rows does not rise, first 0 in row 51 of them"):
        read_features(timed(tmp_path / "a.csv", times))
    times = np.arange(300) / 100
    times[10] = 1e4  # one wrong time would hide all that follow
    with pytest.raises(CorpusError, match="time of 289 of 300"):
        read_features(timed(tmp_path / "a.csv", times))


def test_rows_at_the_rate_of_the_clock_stand_at_their_own_ticks(tmp_path: Path) -> None:
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", np.arange(50) / 25)), 50, 25)
    assert values[index, 0].tolist() == list(range(50))


def test_a_faster_file_is_averaged_over_the_rows_since_the_tick_before(tmp_path: Path) -> None:
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", np.arange(100) / 100)), 25, 25)
    expected = np.array([0.0, *(4 * tick - 1.5 for tick in range(1, 25))])
    np.testing.assert_allclose(values[index, 0], expected)


def test_nothing_is_known_of_a_fast_signal_whose_rows_cancel(tmp_path: Path) -> None:
    square = [1, 1, -1, -1] * 25
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", np.arange(100) / 100, square)), 25, 25)
    np.testing.assert_allclose(values[index[1:], 0], 0, atol=1e-6)


def test_at_thirty_per_second_no_tick_hears_of_what_comes_after_it(tmp_path: Path) -> None:
    times = np.arange(60) / 30
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", times, times.tolist())), 50, 25)
    ticks = np.arange(50) / 25
    known = values[index, 0]
    assert (known <= ticks + 1e-6).all()
    assert (ticks - known < 1 / 25).all()
    assert known[5] == pytest.approx((5 / 30 + 6 / 30) / 2)  # two rows since tick 4
    assert known[4] == pytest.approx(4 / 30)


def test_a_slow_and_irregular_file_holds_its_rows_for_as_long_as_they_are_young(tmp_path: Path) -> None:
    times = [0.1, 0.22, 0.3, 0.41, 0.5, 1.2, 1.3]
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", times)), 40, 25)
    for tick, row in enumerate(index):
        before = [place for place, time in enumerate(times) if time <= tick / 25 + 1e-6]
        young = bool(before) and tick / 25 - times[before[-1]] <= 0.5 + 1e-6
        assert (values[row, 0] if row >= 0 else -1) == (before[-1] if young else -1)
    assert index[:3].tolist() == [-1, -1, -1]
    assert index[[25, 26, 29, 30]].tolist() == [4, -1, -1, 5]


def test_rows_that_come_seldom_hold_for_one_and_a_half_of_their_period(tmp_path: Path) -> None:
    values, index = on_clock(read_features(timed(tmp_path / "a.csv", [0, 1, 2])), 100, 25)
    assert (index[:25] == 0).all()
    assert (index[50:88] == 2).all()
    assert (index[88:] == -1).all()
    assert len(values) == 3


def test_an_invalid_row_is_as_one_that_is_not_there(tmp_path: Path) -> None:
    rows = [(0, number / 25, int(not 10 <= number < 40)) for number in range(50)]
    table = read_features(openface(tmp_path / "a.csv", rows))
    values, index = on_clock(table, 50, 25)
    assert np.isfinite(values).all()
    assert values[index[[9, 10, 21]], 0].tolist() == [9.5, 9.5, 9.5]  # held for half a second
    assert (index[22:40] == -1).all()
    assert values[index[40], 0] == 40.5


def test_one_row_per_clip_holds_at_all_ticks_and_an_invalid_one_at_none(tmp_path: Path) -> None:
    values, index = on_clock(read_features(written(tmp_path / "a.csv", "a,b", "1,2")), 30, 25)
    assert (values.tolist(), set(index.tolist())) == ([[1, 2]], {0})
    values, index = on_clock(read_features(written(tmp_path / "b.csv", "a,b", "nan,")), 30, 25)
    assert (len(values), set(index.tolist())) == (0, {-1})


def test_a_face_that_is_never_found_is_known_nowhere(tmp_path: Path) -> None:
    table = read_features(openface(tmp_path / "a.csv", [(0, number / 25, 0) for number in range(5)]))
    values, index = on_clock(table, 5, 25)
    assert (values.shape, set(index.tolist())) == ((0, 4), {-1})
    assert table.report.longest_gap_seconds == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["time,a,who", "0,1,ann", "1,2,ben"], "row 2: column 'who' is 'ann', expected a number"),
        (["file,start,end,F0", "a.wav,0 days,0 days 00:00:01,3"], "row 2: column 'file' is 'a.wav', expected a number"),
        (["a,b", "1,2", "3,4"], "has 2 rows and no column time, timestamp, frametime"),
        (["time,timestamp,a", "0,0,1"], "columns 'time', 'timestamp': expected one"),
        (["time", "0", "1"], "of which none is a feature"),
        (["name", "x"], "of which none is a feature"),
        (["time,a,a", "0,1,2"], r"column\(s\) 'a' more than once"),
        ([",time,a", "0,0,1"], "column 1 has no name"),
        (["0.5,1.25,3", "1,2,3"], "begins with a row of numbers"),
        (["time,a", "0,1", "1,2,3"], "row 3: found 3 cells, expected 2"),
        (["time,a", '0,"1'], "row 2: not a row of a table"),
        (["time,a"], "has no row"),
        ([""], "is empty"),
        (["time,a", "-1,1", "0,2", "1,3"], "begin at -1, expected seconds"),
        (["time,a", "0,1", "33333,2", "66666,3"], "expected seconds, 86400 at most in steps of 10 at most"),
        (["time,a", "0,1", "1,2", "1e6,3", "1e6,3"], "1 of 4 rows does not rise"),
    ],
)
def test_a_wrong_table_is_refused_and_the_file_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message) as refused:
        read_features(written(tmp_path / "a.csv", *lines))
    assert str(tmp_path / "a.csv") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2)), r"a\.npy has 3 rows and no times, .* save an npz"),
        (np.array([{"a": 1}], dtype=object), "not of numbers"),
        (np.array(["a"]), "not of numbers"),
        (np.zeros(2, dtype=[("a", "f4")]), "not of numbers"),
        (np.zeros((1, 2, 3)), "not \\[N, D\\] or \\[D\\]"),
        (np.zeros((0, 3)), "has no row"),
    ],
)
def test_arrays_that_are_no_features_are_refused(tmp_path: Path, array: NDArray[np.generic], message: str) -> None:
    (tmp_path / "a.npy").write_bytes(as_npy(array))
    with pytest.raises(CorpusError, match=message):
        read_features(tmp_path / "a.npy")


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, features=np.zeros((3, 2)))
    with pytest.raises(CorpusError, match="3 rows and no array time: add time"):
        read_features(path)
    np.savez(path, features=np.zeros((3, 2)), time=np.zeros(2))
    with pytest.raises(CorpusError, match=r"time has shape \(2,\), expected \(3,\)"):
        read_features(path)
    np.savez(path, values=np.zeros((3, 2)))
    with pytest.raises(CorpusError, match=r"holds 'values\.npy': expected an array features"):
        read_features(path)


def test_what_an_array_declares_is_checked_before_room_is_made_for_it(tmp_path: Path) -> None:
    honest = as_npy(np.zeros((1, 4)))
    for shape in ("(1,9)", "(9,9)"):
        lying = honest.replace(b"(1, 4)", shape.encode().ljust(6))
        (tmp_path / "a.npy").write_bytes(lying)
        with pytest.raises(CorpusError, match="32 bytes for shape"):
            read_features(tmp_path / "a.npy")
    for data in (b"", b"\x93NUMPY", honest[:-1], honest[:40], b"PK" + honest, honest.replace(b"(1, 4)", b"(1, (4")):
        (tmp_path / "a.npy").write_bytes(data)
        with pytest.raises(CorpusError, match="holds no array of numbers"):
            read_features(tmp_path / "a.npy")


def test_a_packed_bomb_is_refused_by_its_size_and_a_lying_one_by_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_formats, "MAX_BYTES", 100_000)
    path = packed(tmp_path / "a.npz", {"features.npy": as_npy(np.zeros((1, 100_000)))})
    assert path.stat().st_size < 10_000
    with pytest.raises(CorpusError, match=r"unpacks to 800128 bytes, expected 100000 at most"):
        read_features(path)
    size = len(as_npy(np.zeros((1, 100_000))))
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), (256).to_bytes(4, "little")))
    with pytest.raises(CorpusError, match="cannot be read as npz"):
        read_features(path)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for suffix, message in (("npz", "as npz"), ("parquet", "as Parquet"), ("csv", "UTF-8")):
        (tmp_path / f"a.{suffix}").write_bytes(b"\xff\xfe\x00garbage" * 9)
        with pytest.raises(CorpusError, match=message):
            read_features(tmp_path / f"a.{suffix}")
    (tmp_path / "a.mat").touch()
    with pytest.raises(CorpusError, match=r"ends in '\.mat': expected one of \.csv, \.parquet, \.npz, \.npy"):
        read_features(tmp_path / "a.mat")
    with pytest.raises(CorpusError, match="is not a file"):
        read_features(tmp_path / "gone.csv")


def test_parquet_columns_that_hold_no_numbers_are_named(tmp_path: Path) -> None:
    for values in (["a", "b"], [[1.0], [2.0]], [{"x": 1.0}, {"x": 2.0}]):
        pyarrow.parquet.write_table(pyarrow.table({"time": [0.0, 1.0], "bad": values}), tmp_path / "a.parquet")
        with pytest.raises(CorpusError, match=r"column 'bad' holds .* expected numbers"):
            read_features(tmp_path / "a.parquet")


def test_tables_beyond_the_bounds_are_refused_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1" * (5 * 2**20))
    with pytest.raises(CorpusError, match="row 1: longer than"):
        read_features(path)
    written(path, ",".join(f"c{number}" for number in range(100_001)))
    with pytest.raises(CorpusError, match="1 rows of 100001 columns"):
        read_features(path)
    with path.open("wb") as file:
        file.truncate(2 * 2**30)
    with pytest.raises(CorpusError, match="has 2048 MB, expected 1024 MB at most"):
        read_features(path)
    monkeypatch.setattr(feature_formats, "MAX_CELLS", 100)
    pyarrow.parquet.write_table(pyarrow.table({"time": range(60), "a": [0.0] * 60}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", features=np.zeros((60, 2)), time=np.arange(60))
    for bad in (timed(path, range(60)), tmp_path / "a.parquet", tmp_path / "a.npz"):
        with pytest.raises(CorpusError, match=r"values.* at most"):
            read_features(bad)
