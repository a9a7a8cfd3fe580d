"""Several people in a timeline: what is known of each, and one row for each tick."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emotrace.report import write_report
from emotrace.timeline import COLUMNS, Metadata, Settings, Timeline
from emotrace.types import NOBODY

SETTINGS = Settings("haar", None, "0" * 16, 25.0, "all")
Row = tuple[int, int, float]
"""Tick, person, speech energy."""


def timeline_of(rows: list[Row]) -> Timeline:
    columns: dict[str, Any] = {column.name: np.full(len(rows), 0.1) for column in COLUMNS}
    columns["time"] = [tick / 25 for tick, _, _ in rows]
    columns["person"] = [person for _, person, _ in rows]
    columns["speech_energy"] = [energy for _, _, energy in rows]
    columns["face_detected"] = [person != NOBODY for _, person, _ in rows]
    columns["arousal"] = [0.1 * person for _, person, _ in rows]
    columns["happiness"] = np.full(len(rows), 0.3)
    return Timeline(columns, Metadata("talk.mp4", 4.0, "default", "0" * 16, "0", SETTINGS))


def foremost(rows: list[Row]) -> list[int]:
    return timeline_of(rows).foremost()["person"].tolist()  # type: ignore[no-any-return]


def test_the_speaker_is_foremost_and_stays_so_in_a_pause() -> None:
    talk = [(0, 0, 0.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 0.5), (2, 0, 0.0), (2, 1, 0.0), (3, 0, 0.2), (3, 1, 0.0)]
    assert foremost(talk) == [0, 1, 1, 0]


def test_who_has_gone_is_followed_by_the_lowest_number_and_a_voice_without_a_face_comes_before_silent_faces() -> None:
    talk = [(0, 3, 0.5), (1, 2, 0.0), (1, 5, 0.0), (2, NOBODY, 0.4), (2, 2, 0.0), (3, NOBODY, 0.0)]
    assert foremost(talk) == [3, 2, NOBODY, NOBODY]


@given(st.sets(st.tuples(st.integers(0, 30), st.integers(NOBODY, 4)), min_size=1), st.randoms())
def test_every_tick_has_one_row_and_it_is_a_speaker_where_there_is_one(places: set[tuple[int, int]], rng: Any) -> None:
    timeline = timeline_of([(*place, rng.choice([0.0, 0.0, 0.7, float("nan")])) for place in sorted(places)])
    one = timeline.foremost()
    np.testing.assert_array_equal(one["time"], np.unique(timeline["time"]))
    for time, energy in zip(one["time"], one["speech_energy"], strict=True):
        there = timeline["time"] == time
        assert (energy > 0) == (timeline["speech_energy"][there] > 0).any()


def test_a_summary_lists_everybody_but_the_voice_without_a_face() -> None:
    rows = [
        (tick, person, 0.5 if tick < 10 and person == 1 else 0.0) for tick in range(50) for person in (NOBODY, 0, 1)
    ]
    [first, second] = timeline_of(rows[:-2]).summary()["people"]
    assert (first["person"], second["person"]) == (0, 1)
    assert (first["seen_seconds"], second["seen_seconds"]) == (49 / 25, 49 / 25)
    assert (first["speaking_seconds"], second["speaking_seconds"]) == (0.0, 0.4)
    assert (first["first_seconds"], first["last_seconds"]) == (0.0, 48 / 25)
    assert (first["mean_arousal"], second["mean_arousal"]) == (0.0, 0.1)
    assert first["dominant_emotion"] == "happiness"


def test_where_one_person_is_followed_nobody_is_listed_and_foremost_is_the_whole() -> None:
    timeline = timeline_of([(tick, 0, 0.1) for tick in range(20)])
    main = Timeline(timeline.columns, replace(timeline.metadata, settings=replace(SETTINGS, people="main")))
    assert main.summary()["people"] == []
    for name, column in main.foremost().columns.items():
        np.testing.assert_array_equal(column, main[name])


def test_a_report_has_a_panel_for_each_person_and_for_twelve_at_most(tmp_path: Path) -> None:
    write_report(timeline_of([(tick, person, 0.0) for tick in range(50) for person in (0, 1)]), tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "Person 0</h2>" in page
    assert "Person 1</h2>" in page
    assert "Person 2</h2>" not in page
    write_report(timeline_of([(tick, person, 0.0) for tick in range(50) for person in range(20)]), tmp_path / "20.html")
    page = (tmp_path / "20.html").read_text(encoding="utf-8")
    assert page.count('id="people-title"') == 1
    assert page.count("Person ") == 12
    assert "of 20 the 12 who are seen for longest" in page
