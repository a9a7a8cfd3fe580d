"""Turns of a conversation: from files that strangers wrote, and from where there is speech."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace import turns as turns_module
from emotrace.errors import SettingsError
from emotrace.turns import Turn, clipped, read_turns, turns_by_voice
from emotrace.types import BoolArray

RATE = 25.0


def written(tmp_path: Path, text: str, name: str = "turns.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def mask(*lengths: int) -> BoolArray:
    """Ticks of speech, pause, speech and so on."""
    return np.concatenate([np.full(length, place % 2 == 0) for place, length in enumerate(lengths)])


def heard(speech: BoolArray, **options: float) -> list[tuple[int, int]]:
    """The first tick of each turn and the one after its last."""
    found = turns_by_voice(np.arange(len(speech)) / RATE, speech, RATE, **options)
    return [(round(turn.start_seconds * RATE), round(turn.end_seconds * RATE)) for turn in found]


def test_a_table_gives_turns_by_their_start_and_keeps_those_that_overlap(tmp_path: Path) -> None:
    path = written(tmp_path, "speaker,start,end\nben,2.5,4\nanna,0,2.75\n,5,6.25\n")
    assert read_turns(path) == (Turn(0, 2.75, "anna"), Turn(2.5, 4, "ben"), Turn(5, 6.25, None))


def test_a_table_of_a_spreadsheet_with_semicolons_and_without_speakers_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\N{BYTE ORDER MARK}Start;End;emotion\n0,5;1,5;joy\n")
    assert read_turns(path) == (Turn(0.5, 1.5, None),)


def test_rttm_gives_onset_and_duration_and_ignores_other_lines(tmp_path: Path) -> None:
    lines = [
        ";; made by hand",
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA> <NA>",
        "SPEAKER talk 1 3.50 1.25 <NA> <NA> <NA> <NA> <NA>",
        "LEXEME talk 1 0.5 0.2 hello lex anna 0.5",
        "SPEAKER talk 1 0.50 3.25 <NA> <NA> anna <NA>",
        "",
    ]
    path = written(tmp_path, "\r\n".join(lines), "turns.RTTM")
    assert read_turns(path) == (Turn(0.5, 3.75, "anna"), Turn(3.5, 4.75, None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end\n3,3\n", "row 2.*from 3 to 3 s.*expected"),
        ("start,end\n0,1\n3,2\n", "row 3.*from 3 to 2 s"),
        ("start,end\n-1,2\n", "from -1 to 2 s"),
        ("start,end\n0:01,0:02\n", "start is '0:01', expected a number"),
        ("start,end\nnan,2\n", "start is 'nan'"),
        ("start,end\n0,inf\n", "end is 'inf'"),
        ("begin,end\n0,1\n", r"columns 'begin', 'end', but lacks 'start'.*\.rttm"),
        ("start,end\n", "no turn"),
        ("", "is empty"),
        ("start,end\n0,1,2\n", "row 2: found 3 cells"),
        (f"start,end,speaker\n0,1,{'a' * 101}\n", "1 to 100 letters"),
        ("start,end,speaker\n0,1,\x1b[31manna\n", "1 to 100 letters"),
    ],
)
def test_a_wrong_table_is_an_error_of_usage_that_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        read_turns(written(tmp_path, text))
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SPEAKER talk 1 0.5\n", "line 1: found 4 fields, expected 8"),
        ("SPEAKER talk 1 x 1 <NA> <NA> a <NA> <NA>\n", "line 1: onset is 'x'"),
        ("SPEAKER talk 1 1 0 <NA> <NA> a <NA> <NA>\n", "line 1: a turn from 1 to 1 s"),
        ("SPEAKER talk 1 1 nan <NA> <NA> a <NA> <NA>\n", "line 1: a turn from 1 to nan s"),
        (";; nothing\n", "no turn"),
        (
            "SPEAKER one 1 0 1 <NA> <NA> a <NA> <NA>\nSPEAKER two 1 0 1 <NA> <NA> a <NA> <NA>\n",
            "line 2: turns of the recordings 'one', 'two'",
        ),
    ],
)
def test_wrong_rttm_is_an_error_of_usage_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_turns(written(tmp_path, text, "turns.rttm"))


@pytest.mark.parametrize("name", ["turns.csv", "turns.rttm"])
def test_what_is_missing_or_no_text_is_an_error_of_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_turns(tmp_path / name)
    (tmp_path / name).write_bytes(b"start,end\n\xff\xfe,1\n")
    with pytest.raises(SettingsError, match="2: not UTF-8"):
        read_turns(tmp_path / name)


@pytest.mark.parametrize("name", ["turns.csv", "turns.rttm"])
def test_a_file_above_64_mb_is_refused(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(SettingsError, match="64 MB"):
        read_turns(tmp_path / name)


@pytest.mark.parametrize("name", ["turns.csv", "turns.rttm"])
def test_more_turns_than_any_conversation_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(turns_module, "MAX_TURNS", 3)
    line = "0,1\n" if name.endswith("csv") else "SPEAKER talk 1 0 1 <NA> <NA> a <NA> <NA>\n"
    head = "start,end\n" if name.endswith("csv") else ""
    assert len(read_turns(written(tmp_path, head + 3 * line, name))) == 3
    with pytest.raises(SettingsError, match="more than 3 turns"):
        read_turns(written(tmp_path, head + 4 * line, name))


def test_pauses_are_bridged_up_to_their_length_and_what_is_short_is_dropped() -> None:
    assert heard(mask(20, 12, 20, 13, 20)) == [(0, 52), (65, 85)]
    assert heard(mask(9, 20, 10)) == [(29, 39)]
    assert heard(mask(9, 12, 9)) == [(0, 30)]


def test_silence_and_a_recording_without_a_tick_have_no_turn() -> None:
    assert heard(np.zeros(100, dtype=np.bool_)) == []
    assert heard(np.zeros(0, dtype=np.bool_)) == []


def test_a_long_turn_is_cut_at_the_pause_nearest_to_its_middle() -> None:
    assert heard(mask(40, 5, 80, 5, 70), longest_seconds=6) == [(0, 125), (130, 200)]


def test_a_long_turn_without_a_pause_that_leaves_two_turns_is_halved() -> None:
    assert heard(mask(200), longest_seconds=4) == [(0, 100), (100, 200)]
    assert heard(mask(5, 5, 191), longest_seconds=6) == [(0, 100), (100, 201)]


@pytest.mark.parametrize(
    "options",
    [{"pause_seconds": -0.1}, {"shortest_seconds": 0}, {"longest_seconds": 0.7}, {"longest_seconds": math.nan}],
)
def test_lengths_that_do_not_go_together_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="twice the shortest"):
        heard(mask(50), **options)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), max_size=20),
    st.integers(0, 20),
    st.integers(1, 20),
    st.integers(0, 40),
    st.sampled_from([0.0, 0.1, 3.7]),
)
def test_turns_by_voice_are_apart_in_order_and_of_speech(
    lengths: list[int], pause: int, shortest: int, more: int, start_seconds: float
) -> None:
    speech = mask(*lengths) if lengths else np.zeros(0, dtype=np.bool_)
    longest = max(2, 2 * shortest + more)
    times = start_seconds + np.arange(len(speech)) / RATE
    found = turns_by_voice(
        times,
        speech,
        RATE,
        pause_seconds=pause / RATE,
        shortest_seconds=shortest / RATE,
        longest_seconds=longest / RATE,
    )
    covered = np.zeros(len(speech), dtype=np.bool_)
    last = start_seconds
    for turn in found:
        assert turn.start_seconds >= last - 1e-6
        last = turn.end_seconds
        first, stop = (round((at - start_seconds) * RATE) for at in (turn.start_seconds, turn.end_seconds))
        assert shortest <= stop - first <= longest
        assert stop <= len(speech)
        assert speech[first]
        assert speech[stop - 1]
        covered[first:stop] = True
    for first, stop in turns_module._stretches(speech & ~covered):
        # What is in no turn was too short by itself, before or after a cut at a pause in the middle.
        assert stop - first < shortest


def test_clipped_turns_end_with_the_recording_and_what_was_outside_is_told() -> None:
    turns = (Turn(0, 1, "a"), Turn(1, 9, "b"), Turn(5, 6, None), Turn(7, 8, None))
    kept, problems = clipped(turns, 5.0)
    assert kept == (Turn(0, 1, "a"), Turn(1, 5.0, "b"))
    assert problems == (
        "turns left out, as they begin after the end of the recording (5.00 s): 2 of 4",
        "turns cut, as they reach beyond the end of the recording (5.00 s): 1 of 4",
    )


def test_turns_that_lie_inside_or_were_only_rounded_are_no_problem() -> None:
    assert clipped((Turn(0, 1, None), Turn(2, 5.04, None)), 5.0) == ((Turn(0, 1, None), Turn(2, 5.0, None)), ())
