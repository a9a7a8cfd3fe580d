"""Turns of a conversation and what was said of each -> a table, and its files."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrace.labels import EMOTIONS
from emotrace.timeline import NO_AUDIO_TRACK, NO_SPEECH, Timeline
from emotrace.turns import Turn
from emotrace.types import IntArray
from emotrace.writing import atomic_path, json_text, write_text

TURN_COLUMNS = (
    "turn",
    "start",
    "end",
    "speaker",
    "emotion",
    "arousal",
    "valence",
    "audio_weight",
    "voice_known",
    "face_known",
)
"""Of every CSV file, before the probability of each class; turns are numbered from 1."""

_FORMAT = "emotrace-turns"
_FORMAT_VERSION = 1
_TIME_DECIMALS = 6
_DECIMALS = 4
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class TurnAnswer:
    """What is known of one turn.

    Attributes:
        turn: when it was, and whose.
        probabilities: of each class; they sum to 1. Empty where nothing was known of the turn.
        arousal: in [-1, 1]; NaN where unknown.
        valence: in [-1, 1]; NaN where unknown.
        audio_weight: how much the voice was trusted, 0..1; NaN where unknown.
        voice_known: share of the turn's ticks at which there was a voice, 0..1.
        face_known: share of the turn's ticks at which there was a face, 0..1.
    """

    turn: Turn
    probabilities: Mapping[str, float]
    arousal: float
    valence: float
    audio_weight: float
    voice_known: float
    face_known: float

    @property
    def emotion(self) -> str:
        """The likeliest class, the first of equals; "" where nothing was known."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default="")


def average(timeline: Timeline, turns: Sequence[Turn]) -> tuple[TurnAnswer, ...]:
    """Return for each turn the mean of the timeline's rows from its start to before its end, as far as they are known.

    The probabilities, of those emotions that the timeline tells, are made to sum to 1 again. A turn between two rows is
    unknown.
    """
    only = timeline.metadata.settings.only
    heard = ~timeline.inside(NO_SPEECH, NO_AUDIO_TRACK) & (only != "face")
    seen = timeline["face_detected"] & (only != "voice")
    said = [timeline[name] for name in ("arousal", "valence", "audio_weight", *EMOTIONS)]
    spans = np.array([(turn.start_seconds, turn.end_seconds) for turn in turns]).reshape(-1, 2)
    rows = np.searchsorted(timeline["time"], spans - 1e-6)
    means = _known_means(np.stack([heard, seen, *said]).astype(np.float64), rows)
    return tuple(_answer(turn, *row) for turn, row in zip(turns, means.tolist(), strict=True))


def write_turns_csv(path: Path, answers: Sequence[TurnAnswer], classes: Sequence[str]) -> None:
    """Write a header row and a row per turn: `TURN_COLUMNS` and a probability for each class; unknown is empty.

    A name that a spreadsheet would take for a formula gets an apostrophe before it, as files of turns come from
    strangers; JSON has it as it is.

    Raises:
        TimelineError: the file cannot be written.
    """
    header = [name if name not in TURN_COLUMNS else f"{name} (class)" for name in classes]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*TURN_COLUMNS, *(_as_text(name) for name in header)])
        for number, answer in enumerate(answers, start=1):
            row = _plain(number, answer)
            shares = [answer.probabilities.get(name, math.nan) for name in classes]
            writer.writerow([_cell(value) for value in (*row.values(), *(_rounded(share) for share in shares))])


def write_turns_json(path: Path, answers: Sequence[TurnAnswer], recording: Mapping[str, Any]) -> None:
    """Write a document with the turns, and with where they come from; what is unknown is null.

    Args:
        path: of the file.
        answers: one per turn.
        recording: plain data, such as a timeline's metadata.

    Raises:
        TimelineError: the file cannot be written.
    """
    turns = [
        {
            **_plain(number, answer),
            "probabilities": {name: _rounded(share) for name, share in answer.probabilities.items()},
        }
        for number, answer in enumerate(answers, start=1)
    ]
    document = {"format": _FORMAT, "version": _FORMAT_VERSION, "recording": dict(recording), "turns": turns}
    write_text(path, json_text(document))


def _known_means(columns: NDArray[np.float64], rows: IntArray) -> NDArray[np.float64]:
    """Return [S, N]: the means of what is known of N columns [N, T] in rows [S, 2], NaN where nothing is.

    By running sums: however often turns overlap, it takes no longer.
    """
    known = ~np.isnan(columns)
    sums, counts = (
        np.diff(np.cumsum(np.pad(each, ((0, 0), (1, 0))), axis=1)[:, rows], axis=2)[..., 0].T
        for each in (np.where(known, columns, 0), known)
    )
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def _answer(
    turn: Turn, heard: float, seen: float, arousal: float, valence: float, audio_weight: float, *shares: float
) -> TurnAnswer:
    known = {name: share for name, share in zip(EMOTIONS, shares, strict=True) if share == share}
    total = sum(known.values())
    probabilities = {name: share / total for name, share in known.items()} if total > 0 else {}
    heard, seen = (0.0 if math.isnan(share) else share for share in (heard, seen))
    return TurnAnswer(turn, probabilities, arousal, valence, audio_weight, voice_known=heard, face_known=seen)


def _plain(number: int, answer: TurnAnswer) -> dict[str, str | int | float | None]:
    """Return the values of `TURN_COLUMNS`, rounded as in a timeline; None where unknown."""
    turn = answer.turn
    return {
        "turn": number,
        "start": round(turn.start_seconds, _TIME_DECIMALS),
        "end": round(turn.end_seconds, _TIME_DECIMALS),
        "speaker": turn.speaker,
        "emotion": answer.emotion or None,
        "arousal": _rounded(answer.arousal),
        "valence": _rounded(answer.valence),
        "audio_weight": _rounded(answer.audio_weight),
        "voice_known": _rounded(answer.voice_known),
        "face_known": _rounded(answer.face_known),
    }


def _rounded(value: float) -> float | None:
    return round(float(value), _DECIMALS) if math.isfinite(value) else None


def _cell(value: str | int | float | None) -> str | int | float:
    if value is None:
        return ""
    return _as_text(value) if isinstance(value, str) else value


def _as_text(name: str) -> str:
    return f"'{name}" if name.startswith(_FORMULA_SIGNS) else name
