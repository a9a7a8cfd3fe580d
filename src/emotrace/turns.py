"""A file of turns, or voice activity -> who speaks from when to when: the turns of a conversation."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.label_table import MAX_TABLE_BYTES, read_table, shown
from emotrace.errors import CorpusError, SettingsError
from emotrace.types import BoolArray

MAX_TURNS = 100_000
_MAX_SPEAKER_LETTERS = 100
_RTTM_SUFFIX = ".rttm"
_RTTM_FIELDS = 8
"""Up to the speaker: type, file, channel, onset, duration, two that are not used, speaker."""
_NO_VALUE = "<NA>"
_TOLD_SECONDS = 0.1
"""A turn that reaches less than this beyond the end of a recording was only rounded."""
_EXACT = 1e-6


@dataclass(frozen=True)
class Turn:
    """A stretch [start, end) of media time in which one person speaks.

    Attributes:
        start_seconds: from 0 on.
        end_seconds: above the start.
        speaker: a name of up to 100 letters; None where it is not known who speaks.

    Raises:
        SettingsError: no person can have spoken so, or have such a name.
    """

    start_seconds: float
    end_seconds: float
    speaker: str | None

    def __post_init__(self) -> None:
        """Refuse what is no stretch of time, or no name."""
        start, end = self.start_seconds, self.end_seconds
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise SettingsError(
                f"a turn from {start:g} to {end:g} s was found; expected a start of 0 at least and an end above it: "
                "correct the turn, or cut it."
            )
        name = self.speaker
        if name is not None and not _is_name(name):
            raise SettingsError(
                f"a turn of speaker {name[:40]!a} was found; expected a name of 1 to {_MAX_SPEAKER_LETTERS} letters: "
                "correct it, or leave it empty."
            )


def read_turns(path: Path) -> tuple[Turn, ...]:
    """Return the turns of a file, by their start; turns that overlap are all kept.

    Args:
        path: a file that ends in .rttm is read as RTTM (NIST, Rich Transcription: of a SPEAKER line the onset, the
            duration and the speaker are used; lines of other types are not). Any other is a CSV file with the columns
            start and end, both in seconds, and, where it is known who speaks, speaker; other columns are not read.

    Raises:
        SettingsError: the file is unreadable, larger than 64 MB, has no turn or more than 100,000, or has a turn that
            is none.
    """
    try:
        turns = list(_from_rttm(path) if path.suffix.lower() == _RTTM_SUFFIX else _from_csv(path))
    except CorpusError as error:  # a table is read in the same way wherever it comes from; this one is an option's
        raise SettingsError(str(error)) from error
    if not turns:
        raise SettingsError(
            f"{path} has no turn in it, expected one at least: do without the file to take turns by voice."
        )
    return tuple(sorted(turns, key=lambda turn: (turn.start_seconds, turn.end_seconds, turn.speaker or "")))


def turns_by_voice(
    times: NDArray[np.float64],
    speech: BoolArray,
    rate_hz: float,
    *,
    pause_seconds: float = 0.5,
    shortest_seconds: float = 0.4,
    longest_seconds: float = 30.0,
) -> tuple[Turn, ...]:
    """Return the stretches of speech, in order of time, without a speaker: a pause is all that parts two turns.

    Args:
        times: [T] seconds of consecutive ticks.
        speech: [T] whether there is speech at the tick.
        rate_hz: a tick stands for 1 / rate seconds from its time on.
        pause_seconds: a pause up to this length is a part of its turn.
        shortest_seconds: what is shorter is no turn: a cough, a click.
        longest_seconds: a turn that is longer is cut at the pause nearest to its middle that leaves two turns, in its
            middle where there is none, and again until no part is longer; at least twice the shortest.

    Raises:
        SettingsError: the lengths do not go together.
    """
    if not (pause_seconds >= 0 and shortest_seconds > 0 and longest_seconds >= max(2 * shortest_seconds, 2 / rate_hz)):
        raise SettingsError(
            f"Turns of {shortest_seconds:g} to {longest_seconds:g} s, pauses of {pause_seconds:g} s, were asked for; "
            "expected no negative pause, and a longest turn of at least twice the shortest: change them."
        )
    shortest = max(1, round(shortest_seconds * rate_hz))  # rounded so that half of what is too long is long enough
    longest = math.floor(longest_seconds * rate_hz + _EXACT)
    pieces = [
        piece
        for start, stop in _bridged(_stretches(speech), math.floor(pause_seconds * rate_hz + _EXACT))
        for piece in _cut(speech, start, stop, shortest, longest)
    ]
    edges = np.append(times, times[-1:] + 1 / rate_hz).round(6).tolist()
    return tuple(Turn(edges[start], edges[stop], None) for start, stop in pieces if stop - start >= shortest)


def clipped(turns: Sequence[Turn], duration_seconds: float) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Return the turns within a recording, and a sentence on what lay outside and was left out or cut."""
    inside = [turn for turn in turns if turn.start_seconds < duration_seconds]
    late = sum(turn.end_seconds > duration_seconds + _TOLD_SECONDS for turn in inside)
    end, problems = f"the end of the recording ({duration_seconds:.2f} s)", []
    if len(inside) < len(turns):
        problems.append(f"turns left out, as they begin after {end}: {len(turns) - len(inside)} of {len(turns)}")
    if late:
        problems.append(f"turns cut, as they reach beyond {end}: {late} of {len(turns)}")
    kept = [replace(turn, end_seconds=min(turn.end_seconds, duration_seconds)) for turn in inside]
    return tuple(kept), tuple(problems)


def _from_csv(path: Path) -> Iterator[Turn]:
    columns, rows = read_table(path)
    missing = [name for name in ("start", "end") if name not in columns]
    if missing:
        raise SettingsError(
            f"{path} has the columns {shown(columns)}, but lacks {shown(missing)}: expected start and end in seconds, "
            f"and speaker where known. A file of RTTM lines must end in {_RTTM_SUFFIX}."
        )
    for count, row in enumerate(rows):
        _check_count(path, count)
        yield _turn(row.place, row.number_in("start"), row.number_in("end"), row.cells.get("speaker", ""))


def _from_rttm(path: Path) -> Iterator[Turn]:
    count, recordings = 0, set()
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        _check_count(path, count)
        place = f"{path}, line {number}"
        if len(fields) < _RTTM_FIELDS:
            raise SettingsError(
                f"{place}: found {len(fields)} fields, expected {_RTTM_FIELDS} or more (SPEAKER, file, channel, "
                "onset, duration, <NA>, <NA>, speaker): complete the line, or cut it."
            )
        recordings.add(fields[1])
        if len(recordings) > 1:
            raise SettingsError(
                f"{place}: turns of the recordings {shown(sorted(recordings))} were found, expected those of one: "
                "cut the lines of the others."
            )
        start, duration = _seconds(place, "onset", fields[3]), _seconds(place, "duration", fields[4])
        yield _turn(place, start, start + duration, "" if fields[7] == _NO_VALUE else fields[7])
        count += 1


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error}. Check its name and the permissions.") from error
    if len(data) > MAX_TABLE_BYTES:
        raise SettingsError(f"{path} is larger than {MAX_TABLE_BYTES // 2**20} MB: is it a file of turns?")
    try:
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {row}: not UTF-8 text. Save it as UTF-8.") from error


def _seconds(place: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SettingsError(
            f"{place}: {name} is {text[:40]!a}, expected seconds: correct the line, or cut it."
        ) from error


def _turn(place: str, start: float, end: float, speaker: str) -> Turn:
    try:
        return Turn(start, end, " ".join(speaker.split()) or None)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error


def _check_count(path: Path, count: int) -> None:
    if count >= MAX_TURNS:
        raise SettingsError(f"{path} has more than {MAX_TURNS:,} turns, which is the most: cut the file in parts.")


def _is_name(text: str) -> bool:
    """Tell whether a name is short and cannot steer a terminal, in which it may be shown."""
    fits = bool(text.strip()) and len(text) <= _MAX_SPEAKER_LETTERS
    return fits and not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)


def _stretches(present: BoolArray) -> list[tuple[int, int]]:
    """Return the stretches [start, stop) of ticks at which all are present."""
    edges = np.diff(np.concatenate([[False], present, [False]]).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _bridged(stretches: Iterable[tuple[int, int]], pause: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and start - joined[-1][1] <= pause:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _cut(speech: BoolArray, start: int, stop: int, shortest: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yield the parts, none longer than the longest; each begins and ends with speech."""
    todo = [(start, stop)]
    while todo:
        first, end = todo.pop()
        if end - first <= longest:
            yield first, end
        else:
            before, after = _pause_to_cut_at(speech[first:end], shortest)
            todo += [(first + after, end), (first, first + before)]


def _pause_to_cut_at(speech: BoolArray, shortest: int) -> tuple[int, int]:
    """Return where the pause nearest to the middle begins and ends, both the middle where there is no fit one."""
    middle = len(speech) // 2
    pauses = [
        (before, after)
        for before, after in _stretches(~speech)
        if before <= middle <= after or (before >= shortest and len(speech) - after >= shortest)
    ]
    return min(pauses, key=lambda pause: abs(sum(pause) - len(speech)), default=(middle, middle))
