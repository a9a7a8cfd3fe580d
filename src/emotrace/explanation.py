"""Shares with which a system came to its answer -> a matrix with a title, axes and labels, and its JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from emotrace.errors import EmotraceError
from emotrace.types import FloatArray
from emotrace.writing import write_text

MAX_NUMBERS = 4_000_000
"""Of one explanation: 2,000 turns by 2,000."""

_EXACT = 1e-3
"""By which a share of a network may miss 0..1."""
_DECIMALS = 6
_FORMAT = "emotrace-explanations"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class _Kind:
    """What an explanation of a name shows, and how it is read."""

    title: str
    row_axis: str
    column_axis: str
    reading: str
    has_classes: bool = False
    has_turns: bool = False


_LOOKED = " It shows where the system looked, not why it answered as it did: attention is not an explanation of cause."
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "alignment": _Kind(
            "Which sound was heard with which picture",
            "picture",
            "sound",
            "Each row is a picture of the face; the stronger the colour, the more the system listened to the sound of "
            "that moment when it looked at the picture." + _LOOKED,
        ),
        "perception": _Kind(
            "Which pictures counted for which class",
            "picture",
            "class",
            "Each column is a class; the stronger the colour, the more the system looked at the moment of that picture "
            "when it weighed the class." + _LOOKED,
            has_classes=True,
        ),
        "segments": _Kind(
            "What each part was taken for",
            "part of the clip",
            "class",
            "Each row is a part of the clip; the stronger the colour, the likelier the system held the class there. It "
            "shows what was said of the parts, not why, and a part does not cause the answer for the whole.",
            has_classes=True,
        ),
        "propagation": _Kind(
            "Which parts were passed on to which",
            "part that received",
            "part that gave",
            "Each row is a part of the clip; the stronger the colour, the more of the column's part, as the other "
            "modality has it, was passed on to it." + _LOOKED,
        ),
        "turns": _Kind(
            "Which turns were looked at",
            "turn that was judged",
            "turn that was looked at",
            "Each row is a turn of the conversation; the stronger the colour, the more the system looked at the "
            "column's turn when it judged the row's." + _LOOKED,
            has_turns=True,
        ),
    }
)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Shares by which something was looked at: a matrix whose rows and columns have names.

    Attributes:
        name: alignment, perception, segments, propagation or turns.
        title: a few words above it.
        values: [R, C] shares, 0..1; NaN where unknown.
        rows: [R] labels: times, or turns.
        columns: [C] labels: times, turns or classes.
        row_axis: what a row is.
        column_axis: what a column is.

    Raises:
        EmotraceError: the name is not known, the values are no shares, too many, or not as many as the labels.
    """

    name: str
    title: str
    values: FloatArray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_axis: str
    column_axis: str

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        _kind(self.name)
        values, labels = self.values, (len(self.rows), len(self.columns))
        if values.shape != labels or not 0 < values.size <= MAX_NUMBERS:
            raise EmotraceError(
                f"The explanation {self.name} has values of shape {values.shape} for {labels} rows and columns; "
                f"expected as many, from 1 to {MAX_NUMBERS:,} in all: give the labels of these values."
            )
        known = values[~np.isnan(values)]
        if ((known < -_EXACT) | (known > 1 + _EXACT)).any():
            raise EmotraceError(
                f"The explanation {self.name} has values from {known.min():g} to {known.max():g}; expected shares "
                "from 0 to 1: export the bundle again."
            )

    @property
    def reading(self) -> str:
        """How it is read, and what cannot be read from it."""
        return _kind(self.name).reading

    @property
    def has_classes(self) -> bool:
        """Whether its columns are classes; otherwise they are times."""
        return _kind(self.name).has_classes


def explained(
    name: str,
    values: ArrayLike,
    *,
    row_times: ArrayLike,
    column_times: ArrayLike | None = None,
    classes: Sequence[str] = (),
    speakers: Sequence[str | None] = (),
    first_turn: int = 1,
) -> Explanation:
    """Return an explanation with its title, axes and labels.

    Args:
        name: alignment [pictures, sound], perception [pictures, classes], segments [parts, classes], propagation
            [parts, parts] or turns [turns, turns].
        values: [R, C] shares, 0..1; NaN where unknown.
        row_times: [R] seconds of moments, or [R, 2] of the starts and ends of parts; of turns the starts are told.
        column_times: [C] or [C, 2] likewise, those of the rows without it; not used where columns are classes.
        classes: [C] of perception and segments.
        speakers: [R] of the turns, where it is known who speaks.
        first_turn: number of the first of the turns.

    Raises:
        EmotraceError: as for an `Explanation`.
    """
    kind = _kind(name)

    def labels(times: ArrayLike) -> tuple[str, ...]:
        spans = [np.atleast_1d(each).tolist() for each in np.asarray(times, dtype=np.float64)]
        if kind.has_turns:
            return _turn_labels([span[0] for span in spans], speakers, first_turn)
        return tuple(" \N{EN DASH} ".join(_clock(each) for each in span) for span in spans)

    rows = labels(row_times)
    columns = tuple(classes) if kind.has_classes else rows if column_times is None else labels(column_times)
    shares = np.asarray(values, dtype=np.float32)
    return Explanation(name, kind.title, shares, rows, columns, kind.row_axis, kind.column_axis)


def write_explanations_json(
    path: Path,
    explanations: Sequence[Explanation],
    *,
    source_name: str,
    clip_probabilities: Mapping[str, float],
) -> None:
    """Write all of the numbers, null where unknown.

    Args:
        path: of the file.
        explanations: what is written, in this order.
        source_name: of the recording.
        clip_probabilities: of each class for the recording as a whole; empty where there is no such answer.

    Raises:
        TimelineError: the file cannot be written.
    """
    document = {
        "format": _FORMAT,
        "version": _FORMAT_VERSION,
        "source": source_name,
        "clip_probabilities": dict(clip_probabilities),
        "explanations": [
            {**asdict(each), "values": _plain(each.values), "reading": each.reading} for each in explanations
        ],
    }
    write_text(path, json.dumps(document, allow_nan=False))


def _kind(name: str) -> _Kind:
    if name not in _KINDS:
        raise EmotraceError(
            f"An explanation is named {name[:40]!a}; expected one of {', '.join(_KINDS)}: export the bundle again."
        )
    return _KINDS[name]


def _turn_labels(starts: Sequence[float], speakers: Sequence[str | None], first: int) -> tuple[str, ...]:
    if speakers and len(speakers) != len(starts):
        raise EmotraceError(f"There are {len(speakers)} speakers of {len(starts)} turns; expected one each, or none.")
    named = [f" {speaker}" if speaker else "" for speaker in speakers or [None] * len(starts)]
    turns = enumerate(zip(named, starts, strict=True), start=first)
    return tuple(f"{number}{speaker} ({_clock(start)})" for number, (speaker, start) in turns)


def _plain(values: FloatArray) -> list[list[float | None]]:
    rounded = np.round(values.astype(np.float64), _DECIMALS).tolist()
    return [[None if value != value else value for value in row] for row in rounded]


def _clock(seconds: float) -> str:
    """Return 7.20 s below a minute, 1:07.20 below an hour, 1:02:07.20 above."""
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"
