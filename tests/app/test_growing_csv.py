"""Rows that are written as they come."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emotrace.app.growing_csv import GrowingCsv
from emotrace.timeline import Timeline, TimelineError
from tests.test_timeline import make_timeline


def cut(timeline: Timeline, *places: int) -> list[Timeline]:
    """The rows in parts, cut at the places."""
    edges = [0, *places, len(timeline)]
    return [
        Timeline({name: column[first:stop] for name, column in timeline.columns.items()}, timeline.metadata)
        for first, stop in pairwise(edges)
    ]


def growing(folder: Path) -> GrowingCsv:
    return GrowingCsv(folder / "talk.csv", folder / "talk.csv.partial")


def test_what_has_grown_is_what_is_written_at_once_to_the_byte(tmp_path: Path) -> None:
    timeline = make_timeline(100, face_confidence=np.where(np.arange(100) % 3, np.nan, 0.123456))
    timeline.to_csv(tmp_path / "once.csv")
    rows = growing(tmp_path / "new")
    for number, part in enumerate(cut(timeline, 1, 33, 33, 80)):
        rows.append(part)
        assert (tmp_path / "new" / "talk.csv.partial").read_bytes().count(b"\n") == 1 + (1, 33, 33, 80, 100)[number]
    rows.become(timeline)
    assert (tmp_path / "new" / "talk.csv").read_bytes() == (tmp_path / "once.csv").read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["talk.csv"]


def test_without_a_row_there_is_no_file_and_nothing_to_tell(tmp_path: Path) -> None:
    rows = growing(tmp_path)
    rows.close()
    assert (rows.kept(), list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize("loss", ["gone", "other rows"])
def test_rows_that_were_lost_meanwhile_are_written_at_the_end(loss: str, tmp_path: Path) -> None:
    timeline = make_timeline(100)
    timeline.to_csv(tmp_path / "once.csv")
    rows = growing(tmp_path)
    first, last = cut(timeline, 50)
    rows.append(first)
    if loss == "gone":
        (tmp_path / "talk.csv.partial").unlink()
        rows.append(last)
    rows.become(timeline)
    assert (tmp_path / "talk.csv").read_bytes() == (tmp_path / "once.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"talk.csv", "once.csv"}


def test_where_the_name_cannot_be_had_the_rows_stay_and_are_named(tmp_path: Path) -> None:
    (tmp_path / "talk.csv").mkdir()
    rows = growing(tmp_path)
    timeline = make_timeline(10)
    rows.append(timeline)
    with pytest.raises(TimelineError, match=r"cannot be written.*; the rows so far are in .*talk\.csv\.partial"):
        rows.become(timeline)
    assert (tmp_path / "talk.csv.partial").read_bytes().count(b"\n") == 11
