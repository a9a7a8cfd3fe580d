"""How a system came to its answer: its matrices, their labels, and the numbers in JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from emotrace.errors import EmotraceError
from emotrace.explanation import Explanation, explained, write_explanations_json

CLASSES = ("anger", "joy", "neutral")
NAMES = ("alignment", "perception", "segments", "propagation", "turns")


def test_an_alignment_has_pictures_by_sound_with_their_times() -> None:
    found = explained("alignment", np.full((2, 3), 1 / 3), row_times=[0.2, 61.5], column_times=[0, 59.999, 3725.25])
    assert found.rows == ("0.20 s", "1:01.50")
    assert found.columns == ("0.00 s", "1:00.00", "1:02:05.25")
    assert (found.row_axis, found.column_axis, found.has_classes) == ("picture", "sound", False)
    assert found.values.dtype == np.float32


def test_a_perception_has_pictures_by_class() -> None:
    found = explained("perception", np.full((2, 3), 0.5), row_times=[0.2, 0.6], classes=CLASSES)
    assert (found.rows, found.columns, found.has_classes) == (("0.20 s", "0.60 s"), CLASSES, True)


def test_segments_have_parts_by_class_and_a_propagation_has_parts_by_parts() -> None:
    parts = [[0.0, 1.0], [1.0, 2.5]]
    segments = explained("segments", np.full((2, 3), 0.5), row_times=parts, classes=CLASSES)
    propagation = explained("propagation", np.eye(2), row_times=parts)
    assert segments.rows == propagation.rows == propagation.columns
    assert segments.rows == ("0.00 s \N{EN DASH} 1.00 s", "1.00 s \N{EN DASH} 2.50 s")
    assert segments.columns == CLASSES


def test_turns_are_named_by_number_speaker_and_start() -> None:
    spans = [[0.0, 1.0], [1.5, 70.0]]
    assert explained("turns", np.eye(2), row_times=spans).rows == ("1 (0.00 s)", "2 (1.50 s)")
    named = explained("turns", np.eye(2), row_times=spans, speakers=["anna", None])
    assert named.rows == named.columns == ("1 anna (0.00 s)", "2 (1.50 s)")
    with pytest.raises(EmotraceError, match="1 speakers of 2 turns"):
        explained("turns", np.eye(2), row_times=spans, speakers=["anna"])


@pytest.mark.parametrize("name", NAMES)
def test_every_explanation_says_how_to_read_it_and_what_it_is_not(name: str) -> None:
    reading = explained(name, np.eye(3), row_times=[0, 1, 2], classes=CLASSES).reading
    assert reading.startswith("Each ")
    assert "the stronger the colour" in reading
    assert "not why" in reading
    assert "cause" in reading


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(EmotraceError, match=r"named 'attention'; expected one of alignment, .*turns"):
        explained("attention", np.eye(2), row_times=[0, 1])
    with pytest.raises(EmotraceError, match="expected one of"):
        Explanation("x\x1b", "", np.eye(2, dtype=np.float32), ("", ""), ("", ""), "", "")


@pytest.mark.parametrize("shape", [(2, 2), (3,), (3, 3, 1), (0, 0), (3, 4)])
def test_values_that_are_not_those_of_the_labels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EmotraceError, match="shape"):
        explained("alignment", np.zeros(shape), row_times=[0, 1, 2], column_times=[0, 1, 2])


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(EmotraceError, match="from 1 to 4,000,000"):
        explained("turns", np.zeros((0, 0)), row_times=[])


def test_more_numbers_than_a_page_could_bear_are_refused() -> None:
    with pytest.raises(EmotraceError, match="from 1 to 4,000,000"):
        explained("turns", np.zeros((2001, 2001), dtype=np.float32), row_times=np.arange(2001))


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.inf, -np.inf])
def test_what_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(EmotraceError, match="expected shares from 0 to 1"):
        explained("turns", [[1.0, 0.0], [wrong, np.nan]], row_times=[0, 1])


def test_json_has_every_number_and_null_for_the_unknown(tmp_path: Path) -> None:
    shares = [[0.12345678, np.nan, 0.5], [0, 1, 1 / 3]]
    found = [
        explained("alignment", shares, row_times=[0, 1], column_times=[0, 1, 2]),
        explained("segments", shares, row_times=[[0, 1], [1, 2]], classes=CLASSES),
    ]
    path = tmp_path / "explained.json"
    write_explanations_json(path, found, source_name="caf\udce9.mp4", clip_probabilities={"joy": 0.75, "anger": 0.25})
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["format"], document["version"]) == ("emotrace-explanations", 1)
    assert document["source"] == "caf\udce9.mp4"
    assert document["clip_probabilities"] == {"joy": 0.75, "anger": 0.25}
    assert [each["name"] for each in document["explanations"]] == ["alignment", "segments"]
    first = document["explanations"][0]
    assert first["values"] == [[0.123457, None, 0.5], [0.0, 1.0, 0.333333]]
    assert (first["rows"], first["columns"]) == (["0.00 s", "1.00 s"], ["0.00 s", "1.00 s", "2.00 s"])
    assert (first["row_axis"], first["column_axis"]) == ("picture", "sound")
    assert "not why" in first["reading"]
