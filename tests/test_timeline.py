"""The result of an analysis: its columns, files, summary and joins."""

import csv
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotrace.labels import EMOTIONS
from emotrace.timeline import (
    COLUMNS,
    NO_AUDIO_TRACK,
    NO_FACE,
    NO_SPEECH,
    NOTICES,
    Gap,
    Metadata,
    Settings,
    Timeline,
    TimelineError,
    find_gaps,
)
from emotrace.writing import atomic_path

SETTINGS = Settings(detector="haar", only=None, recipe_digest="0123456789abcdef", label_rate_hz=25.0)


def make_metadata(duration_seconds: float = 4.0) -> Metadata:
    """Metadata of a recording that was read without trouble."""
    return Metadata("talk.mp4", duration_seconds, "default", "ab12", "0.1.0", SETTINGS)


def make_columns(rows: int, start: int = 0) -> dict[str, Any]:
    """Columns on the 25 Hz clock: neutral everywhere, except happiness 0.6 from the second half on."""
    columns: dict[str, Any] = {column.name: np.zeros(rows) for column in COLUMNS}
    columns["time"] = np.arange(start, start + rows) / 25
    happy = np.arange(rows) >= rows / 2
    columns["happiness"] = np.where(happy, 0.6, 0.0)
    columns["neutral"] = np.where(happy, 0.4, 1.0)
    columns["arousal"] = np.linspace(-0.5, 0.5, rows)
    columns["valence"] = np.linspace(0.25, -0.75, rows)
    columns["audio_weight"] = np.full(rows, 0.25)
    columns["video_weight"] = np.full(rows, 0.75)
    columns["face_detected"] = np.ones(rows)
    return columns


def make_timeline(rows: int = 100, **changes: Any) -> Timeline:
    """A timeline with some columns replaced."""
    return Timeline({**make_columns(rows), **changes}, make_metadata(rows / 25))


def test_files_written_in_parts_are_those_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = make_timeline(100)
    for rows in (1000, 100, 33, 1):
        monkeypatch.setattr("emotrace.timeline_rows._ROWS_AT_ONCE", rows)
        timeline.to_csv(tmp_path / f"{rows}.csv")
        timeline.to_json(tmp_path / f"{rows}.json")
        assert (tmp_path / f"{rows}.csv").read_text() == (tmp_path / "1000.csv").read_text()
        assert json.loads((tmp_path / f"{rows}.json").read_text()) == json.loads((tmp_path / "1000.json").read_text())
    assert_same(Timeline.from_json(tmp_path / "1.json"), timeline, tolerance=1e-4)


def assert_same(left: Timeline, right: Timeline, tolerance: float) -> None:
    """Both have the same metadata and, where known, the same numbers."""
    assert left.metadata == right.metadata
    for column in COLUMNS:
        np.testing.assert_allclose(left[column.name], right[column.name], rtol=0, atol=tolerance, equal_nan=True)


def test_the_columns_are_those_of_the_design() -> None:
    assert [column.name for column in COLUMNS] == [
        "time", "person", "arousal", "valence", *EMOTIONS, "audio_weight", "video_weight", "speech_energy",
        "face_detected", "face_confidence", "face_x", "face_y", "face_width", "face_height",
    ]  # fmt: skip
    assert all(column.meaning for column in COLUMNS)


def test_the_columns_of_a_timeline_cannot_be_changed() -> None:
    timeline = make_timeline()
    with pytest.raises(ValueError, match="read-only"):
        timeline["arousal"][0] = 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arousal": np.zeros(3)}, "same length"),
        ({"arousal": np.full(100, np.inf)}, "finite"),
        ({"arousal": ["high"] * 100}, "does not hold numbers"),
        ({"person": [None] * 100}, "does not hold numbers"),
        ({"arousal": np.zeros((100, 2))}, "finite"),
        ({"time": np.arange(100)[::-1]}, "never falling"),
        ({"boredom": np.zeros(100)}, "unknown columns \\['boredom'\\]"),
    ],
)
def test_a_wrong_column_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TimelineError, match=message):
        make_timeline(**changes)


@pytest.mark.parametrize("duration_seconds", [-1.0, math.nan, math.inf])
def test_an_impossible_duration_is_refused(duration_seconds: float) -> None:
    with pytest.raises(TimelineError, match="duration"):
        make_metadata(duration_seconds)


def test_csv_holds_a_header_exact_ticks_and_empty_fields_for_the_unknown(tmp_path: Path) -> None:
    timeline = make_timeline(5, arousal=[0.12345678, np.nan, 0, 0, 0])
    timeline.to_csv(tmp_path / "talk.csv")
    with (tmp_path / "talk.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert [row["time"] for row in rows] == ["0.0", "0.04", "0.08", "0.12", "0.16"]
    assert [row["arousal"] for row in rows[:3]] == ["0.1235", "", "0.0"]
    assert rows[0]["face_detected"] == "1"


def test_every_tick_of_two_hours_is_exact_in_text(tmp_path: Path) -> None:
    ticks = 2 * 3600 * 25
    timeline = Timeline({column.name: np.zeros(1) for column in COLUMNS}, make_metadata())
    late = replace(timeline, columns={**timeline.columns, "time": np.array([(ticks - 1) / 25])})
    late.to_csv(tmp_path / "late.csv")
    assert (tmp_path / "late.csv").read_text().splitlines()[1].startswith("7199.96,")


def test_json_comes_back_as_it_was_to_the_written_digits(tmp_path: Path) -> None:
    timeline = make_timeline(valence=np.where(np.arange(100) < 7, np.nan, 0.123456))
    gaps = (Gap(NO_FACE, 0.0, 0.28),)
    timeline = replace(timeline, metadata=replace(timeline.metadata, gaps=gaps, problems=("one frame is damaged",)))
    timeline.to_json(tmp_path / "talk.json")
    assert_same(Timeline.from_json(tmp_path / "talk.json"), timeline, tolerance=6e-5)
    assert json.loads((tmp_path / "talk.json").read_text())["columns"]["valence"][0] is None


def test_parquet_comes_back_exactly_and_marks_the_unknown_as_null(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    timeline = make_timeline(valence=np.where(np.arange(100) < 7, np.nan, 0.123456))
    timeline.to_parquet(tmp_path / "talk.parquet")
    assert_same(Timeline.from_parquet(tmp_path / "talk.parquet"), timeline, tolerance=0)
    assert pandas.read_parquet(tmp_path / "talk.parquet")["valence"].isna().sum() == 7


def test_a_name_that_is_no_unicode_survives_the_round_trip(tmp_path: Path) -> None:
    timeline = make_timeline()
    timeline = replace(timeline, metadata=replace(timeline.metadata, source=os.fsdecode(b"caf\xe9.mp4")))
    timeline.to_json(tmp_path / "a.json")
    timeline.to_parquet(tmp_path / "a.parquet")
    assert Timeline.from_json(tmp_path / "a.json").metadata.source == timeline.metadata.source
    assert Timeline.from_parquet(tmp_path / "a.parquet").metadata.source == timeline.metadata.source


def test_pandas_gets_every_column_in_its_type() -> None:
    frame = make_timeline().to_pandas()
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert frame["face_detected"].dtype == bool
    assert len(frame) == 100


def test_an_empty_timeline_is_written_and_read(tmp_path: Path) -> None:
    empty = make_timeline(0)
    empty.to_csv(tmp_path / "empty.csv")
    empty.to_json(tmp_path / "empty.json")
    empty.to_parquet(tmp_path / "empty.parquet")
    assert len((tmp_path / "empty.csv").read_text().splitlines()) == 1
    assert len(Timeline.from_json(tmp_path / "empty.json")) == 0
    assert len(Timeline.from_parquet(tmp_path / "empty.parquet")) == 0
    assert empty.summary()["dominant_emotion"] is None
    assert empty.summary()["face_share"] is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": "emotrace-timeline", "version": 2, "columns": {}}',
    ],
)
def test_a_file_that_is_no_timeline_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(TimelineError, match=r"other\.json"):
        Timeline.from_json(path)


def test_metadata_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    make_timeline().to_json(path)
    document = json.loads(path.read_text())
    document["metadata"]["gaps"] = [{"kind": 3}]
    path.write_text(json.dumps(document))
    with pytest.raises(TimelineError, match="metadata"):
        Timeline.from_json(path)


def test_a_parquet_file_of_someone_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(TimelineError, match=r"other\.parquet"):
        Timeline.from_parquet(path)


def test_a_parquet_file_whose_columns_have_names_of_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    make_timeline().to_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"arousal", b"arou\xffal"))
    with pytest.raises(TimelineError, match=r"damaged\.parquet cannot be read as a timeline in Parquet: .*utf-8"):
        Timeline.from_parquet(path)


def test_the_summary_holds_the_numbers_a_hand_finds() -> None:
    summary = make_timeline().summary()
    assert summary["duration_seconds"] == 4.0
    assert summary["mean_arousal"] == pytest.approx(0.0, abs=1e-4)
    assert (summary["peak_arousal"], summary["peak_arousal_seconds"]) == (0.5, 3.96)
    assert (summary["peak_valence"], summary["peak_valence_seconds"]) == (0.25, 0.0)
    assert (summary["lowest_valence"], summary["lowest_valence_seconds"]) == (-0.75, 3.96)
    assert summary["mean_probability"]["happiness"] == pytest.approx(0.3)
    assert summary["dominant_emotion"] == "neutral"
    assert (summary["audio_share"], summary["video_share"]) == (0.25, 0.75)
    assert summary["face_share"] == 1.0
    json.dumps(summary, allow_nan=False)


def test_what_is_unknown_does_not_count_in_the_summary() -> None:
    known = np.arange(100) < 10
    neutral, happiness = np.where(known, 0.2, np.nan), np.where(known, 0.8, np.nan)
    summary = make_timeline(neutral=neutral, happiness=happiness, arousal=np.full(100, np.nan)).summary()
    assert summary["dominant_emotion"] == "happiness"
    assert summary["mean_probability"]["happiness"] == pytest.approx(0.8)
    assert summary["mean_arousal"] is None
    assert summary["peak_arousal_seconds"] is None


def test_speech_is_everything_outside_the_gaps_without_speech() -> None:
    timeline = make_timeline()
    gaps = (Gap(NO_SPEECH, 1.0, 2.0), Gap(NO_AUDIO_TRACK, 1.0, 3.0), Gap(NO_FACE, 0.0, 4.0))
    timeline = replace(timeline, metadata=replace(timeline.metadata, gaps=gaps))
    assert timeline.summary()["speech_share"] == 0.5


def test_two_people_at_one_tick_are_one_tick_of_time() -> None:
    columns = {name: np.repeat(values, 2) for name, values in make_columns(4).items()}
    columns["person"] = np.tile([0, 1], 4)
    columns["face_detected"] = np.array([1, 0, 0, 0, 0, 1, 0, 0])
    assert Timeline(columns, make_metadata()).summary()["face_share"] == 0.5


def test_gaps_are_the_runs_of_absence() -> None:
    present = np.array([False, True, True, False, False, True, False])
    gaps = find_gaps(np.arange(7) / 25, present, NO_FACE, 25.0)
    assert gaps == (Gap(NO_FACE, 0.0, 0.04), Gap(NO_FACE, 0.12, 0.2), Gap(NO_FACE, 0.24, 0.28))


def test_gaps_and_ticks_agree() -> None:
    present = np.random.default_rng(0).random(500) > 0.4
    timeline = make_timeline(500)
    gaps = find_gaps(timeline["time"], present, NO_FACE, 25.0)
    timeline = replace(timeline, metadata=replace(timeline.metadata, gaps=gaps))
    np.testing.assert_array_equal(timeline.inside(NO_FACE), ~present)


def test_two_blocks_joined_equal_the_whole() -> None:
    whole = make_timeline(100)
    gaps = (Gap(NO_FACE, 1.0, 3.0),)
    whole = replace(whole, metadata=replace(whole.metadata, gaps=gaps))
    halves = []
    for rows, gap in ((slice(0, 50), Gap(NO_FACE, 1.0, 2.0)), (slice(50, 100), Gap(NO_FACE, 2.0, 3.0))):
        metadata = replace(whole.metadata, gaps=(gap,), duration_seconds=rows.stop / 25)
        halves.append(Timeline({name: values[rows] for name, values in whole.columns.items()}, metadata))
    assert_same(Timeline.concatenate(halves), whole, tolerance=0)


def test_blocks_of_different_recordings_are_not_joined() -> None:
    one = make_timeline()
    other = replace(one, metadata=replace(one.metadata, source="other.mp4"))
    with pytest.raises(TimelineError, match="differ in source"):
        Timeline.concatenate([one, other])


def test_blocks_out_of_order_are_not_joined() -> None:
    with pytest.raises(TimelineError, match="never falling"):
        Timeline.concatenate([make_timeline(), make_timeline()])


def test_nothing_joined_is_refused() -> None:
    with pytest.raises(TimelineError, match="at least one"):
        Timeline.concatenate([])


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "talk.csv"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TimelineError, match=r"talk\.csv cannot be written"):
        make_timeline().to_csv(tmp_path / "file" / "talk.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    def write_too_much() -> None:
        with atomic_path(tmp_path / "talk.csv") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("x" * 100_000)

    with pytest.raises(TimelineError, match="No space left"):
        write_too_much()


def test_every_notice_has_a_heading_and_says_proxy_and_law() -> None:
    assert all(": " in notice for notice in NOTICES)
    together = " ".join(NOTICES)
    assert all(word in together for word in ("proxy", "Art. 5", "Art. 50", "personal data", "decisions"))


def test_importing_the_timeline_does_not_import_pandas_or_pyarrow() -> None:
    code = "import sys, emotrace.timeline; print({'pandas', 'pyarrow', 'torch', 'pydantic'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
