"""The table of turns: means of a timeline, files that spreadsheets and programs read."""

import csv
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.labels import EMOTIONS
from emotrace.timeline import COLUMNS, NO_SPEECH, Gap, Metadata, Settings, Timeline, TimelineError
from emotrace.turn_table import TURN_COLUMNS, TurnAnswer, average, write_turns_csv, write_turns_json
from emotrace.turns import Turn, read_turns

UNKNOWN = TurnAnswer(Turn(3.0, 4.0, None), {}, math.nan, math.nan, math.nan, 0.0, 0.0)
SAD = TurnAnswer(Turn(0.1, 1.23456789, "anna"), {"joy": 0.25, "sadness": 0.75}, -0.123456, 0.5, 1 / 3, 1.0, 0.5)


def make_timeline(
    rows: int = 100,
    gaps: tuple[Gap, ...] = (),
    only: Literal["voice", "face"] | None = None,
    **changes: Any,
) -> Timeline:
    """Neutral for two seconds, happy for two, on the 25 Hz clock."""
    columns: dict[str, Any] = {column.name: np.zeros(rows) for column in COLUMNS}
    columns["time"] = np.arange(rows) / 25
    columns["happiness"] = (np.arange(rows) >= 50) * 1.0
    columns["neutral"] = 1 - columns["happiness"]
    columns["arousal"] = columns["happiness"] / 2
    columns["audio_weight"] = np.full(rows, 0.25)
    columns["face_detected"] = np.ones(rows)
    recipe = Settings(detector="haar", only=only, recipe_digest="0123456789abcdef", label_rate_hz=25.0)
    metadata = Metadata("talk.mp4", rows / 25, "default", "ab12", "0.1.0", recipe, gaps=gaps)
    return Timeline({**columns, **changes}, metadata)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_answer_of_a_turn_is_the_mean_of_its_rows() -> None:
    before, over, after = average(make_timeline(), [Turn(0, 2, "a"), Turn(1, 3, None), Turn(2, 3, "b")])
    assert (before.emotion, after.emotion) == ("neutral", "happiness")
    assert (before.arousal, over.arousal, after.arousal) == pytest.approx((0, 0.25, 0.5))
    assert over.probabilities["happiness"] == pytest.approx(0.5)
    assert over.turn == Turn(1, 3, None)
    assert over.audio_weight == pytest.approx(0.25)


def test_what_is_unknown_at_some_ticks_is_left_out_and_the_rest_sums_to_one() -> None:
    arousal = np.where(np.arange(100) < 25, np.nan, 0.5)
    contempt, neutral = np.full(100, np.nan), np.full(100, 0.5)
    timeline = make_timeline(arousal=arousal, contempt=contempt, neutral=neutral, valence=np.full(100, np.nan))
    (answer,) = average(timeline, [Turn(0, 4, None)])
    assert answer.arousal == pytest.approx(0.5)
    assert math.isnan(answer.valence)
    assert "contempt" not in answer.probabilities
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probabilities["neutral"] == pytest.approx(0.5)


def test_a_turn_of_which_nothing_is_known_has_no_emotion() -> None:
    nothing: dict[str, Any] = {name: np.full(100, np.nan) for name in (*EMOTIONS, "arousal", "valence", "audio_weight")}
    for timeline, turn in (
        (make_timeline(**nothing), Turn(0, 4, None)),
        (make_timeline(), Turn(0.01, 0.03, None)),
        (make_timeline(), Turn(5, 6, None)),
        (make_timeline(0), Turn(0, 1, None)),
    ):
        (answer,) = average(timeline, [turn])
        assert answer.emotion == ""
        assert answer.probabilities == {}
        assert math.isnan(answer.arousal)
        assert math.isnan(answer.audio_weight)
    assert average(make_timeline(), []) == ()


def test_the_shares_of_voice_and_face_are_those_of_the_ticks_of_the_turn() -> None:
    face = np.arange(100) % 4 == 0
    gaps = (Gap(NO_SPEECH, 0.0, 1.0), Gap(NO_SPEECH, 3.0, 3.4))
    (answer,) = average(make_timeline(gaps=gaps, face_detected=face), [Turn(0, 4, None)])
    assert (answer.voice_known, answer.face_known) == pytest.approx((0.65, 0.25))


@pytest.mark.parametrize(("only", "known"), [("voice", (1, 0)), ("face", (0, 1)), (None, (1, 1))])
def test_a_modality_that_was_left_out_is_not_known(
    only: Literal["voice", "face"] | None, known: tuple[float, float]
) -> None:
    (answer,) = average(make_timeline(only=only), [Turn(0, 4, None)])
    assert (answer.voice_known, answer.face_known) == known


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=10), st.integers(0, 2**32 - 1))
def test_running_sums_give_the_means_that_slices_give(spans: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arousal = np.where(rng.random(100) < 0.3, np.nan, rng.uniform(-1, 1, 100)).astype(np.float32)
    turns = [Turn(first / 25, (first + length) / 25, None) for first, length in spans]
    for answer, (first, length) in zip(average(make_timeline(arousal=arousal), turns), spans, strict=True):
        known = arousal[first : first + length]
        known = known[~np.isnan(known)].astype(np.float64)
        assert answer.arousal == pytest.approx(known.mean() if len(known) else math.nan, abs=1e-9, nan_ok=True)


def test_csv_holds_a_row_per_turn_with_empty_fields_for_the_unknown(tmp_path: Path) -> None:
    write_turns_csv(tmp_path / "talk.turns.csv", [SAD, UNKNOWN], ["sadness", "joy", "anger"])
    first, second = rows_of(tmp_path / "talk.turns.csv")
    assert list(first) == [*TURN_COLUMNS, "sadness", "joy", "anger"]
    assert first == {
        "turn": "1", "start": "0.1", "end": "1.234568", "speaker": "anna", "emotion": "sadness", "arousal": "-0.1235",
        "valence": "0.5", "audio_weight": "0.3333", "voice_known": "1.0", "face_known": "0.5",
        "sadness": "0.75", "joy": "0.25", "anger": "",
    }  # fmt: skip
    assert {name: value for name, value in second.items() if value} == {
        "turn": "2", "start": "3.0", "end": "4.0", "voice_known": "0.0", "face_known": "0.0",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+1", "-anna", "@SUM(A1)"])
def test_no_name_becomes_a_formula_in_a_spreadsheet(tmp_path: Path, name: str) -> None:
    answer = replace(SAD, turn=Turn(0, 1, name), probabilities={name: 1.0})
    write_turns_csv(tmp_path / "turns.csv", [answer], [name])
    text = (tmp_path / "turns.csv").read_text()
    header, row = list(csv.reader(text.splitlines()))
    assert header[-1] == row[3] == row[4] == f"'{name}"
    assert rows_of(tmp_path / "turns.csv")[0]["arousal"] == "-0.1235"


def test_a_class_with_the_name_of_a_column_has_a_column_of_its_own(tmp_path: Path) -> None:
    write_turns_csv(tmp_path / "turns.csv", [replace(SAD, probabilities={"arousal": 1.0})], ["arousal"])
    (row,) = rows_of(tmp_path / "turns.csv")
    assert (row["arousal"], row["arousal (class)"]) == ("-0.1235", "1.0")


def test_the_turns_that_were_written_can_be_read_as_turns(tmp_path: Path) -> None:
    write_turns_csv(tmp_path / "turns.csv", [SAD, UNKNOWN], ["sadness", "joy"])
    assert read_turns(tmp_path / "turns.csv") == (Turn(0.1, 1.234568, "anna"), Turn(3.0, 4.0, None))


def test_json_holds_the_recording_and_null_for_the_unknown(tmp_path: Path) -> None:
    recording = asdict(make_timeline().metadata)
    write_turns_json(tmp_path / "turns.json", [replace(SAD, turn=Turn(0, 1, "=anna")), UNKNOWN], recording)
    document = json.loads((tmp_path / "turns.json").read_text())
    assert (document["format"], document["version"]) == ("emotrace-turns", 1)
    assert document["recording"]["source"] == "talk.mp4"
    first, second = document["turns"]
    assert (first["turn"], first["speaker"], first["emotion"]) == (1, "=anna", "sadness")
    assert first["probabilities"] == {"joy": 0.25, "sadness": 0.75}
    assert second["probabilities"] == {}
    assert [second[name] for name in ("speaker", "emotion", "arousal", "audio_weight")] == [None] * 4


def test_a_table_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TimelineError, match="cannot be written"):
        write_turns_csv(tmp_path / "file" / "turns.csv", [SAD], ["joy"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
