"""Rows of several people -> what is known of each of them, and the row that stands for each tick."""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from emotrace.labels import EMOTIONS
from emotrace.types import NOBODY, IntArray

Columns = Mapping[str, NDArray[Any]]
"""[T] per name of `timeline_schema.COLUMNS`, in order of time and, at each tick, of person."""


class PersonSummary(TypedDict):
    """What is known of one person; None is unknown."""

    person: int
    first_seconds: float
    last_seconds: float
    seen_seconds: float
    speaking_seconds: float
    mean_arousal: float | None
    mean_valence: float | None
    dominant_emotion: str | None
    mean_probability: dict[str, float | None]
    audio_share: float | None


def people_of(columns: Columns, label_rate_hz: float) -> list[PersonSummary]:
    """Return everybody in order of their numbers; `NOBODY`, a voice without a visible face, is left out.

    Args:
        columns: of a timeline.
        label_rate_hz: a row stands for 1 / rate seconds.
    """
    numbers = np.unique(columns["person"])
    return [_summary(columns, int(number), label_rate_hz) for number in numbers if number != NOBODY]


def _summary(columns: Columns, person: int, label_rate_hz: float) -> PersonSummary:
    rows = columns["person"] == person
    own = {name: column[rows] for name, column in columns.items()}
    means = {emotion: mean_known(own[emotion]) for emotion in EMOTIONS}
    known = {emotion: mean for emotion, mean in means.items() if mean is not None}
    speaking = np.count_nonzero(np.nan_to_num(own["speech_energy"]) > 0)
    return PersonSummary(
        person=person,
        first_seconds=round(float(own["time"][0]), 3),
        last_seconds=round(float(own["time"][-1]), 3),
        seen_seconds=round(np.count_nonzero(own["face_detected"]) / label_rate_hz, 3),
        speaking_seconds=round(speaking / label_rate_hz, 3),
        mean_arousal=mean_known(own["arousal"]),
        mean_valence=mean_known(own["valence"]),
        dominant_emotion=max(known, key=known.__getitem__) if known else None,
        mean_probability=means,
        audio_share=mean_known(own["audio_weight"]),
    )


def mean_known(values: NDArray[Any]) -> float | None:
    """Return the mean of what is known, to four decimals; None where nothing is."""
    known = values[~np.isnan(values)]
    return round(float(known.mean(dtype=np.float64)), 4) if len(known) else None


def foremost_rows(columns: Columns) -> IntArray:
    """Return a row for each tick: of whoever speaks; while nobody does, of whoever was foremost last and is seen still.

    At first, and where that person is gone, it is the one with the lowest number. A voice without a visible face
    comes before silent faces.
    """
    numbers = columns["person"].tolist()
    speaking = (np.nan_to_num(columns["speech_energy"]) > 0).tolist()
    starts = np.flatnonzero(np.diff(columns["time"], prepend=-np.inf))
    stops = np.append(starts, len(numbers))[1:]
    chosen = np.empty(len(starts), dtype=np.int64)
    last = NOBODY
    for place, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        chosen[place] = min(
            range(start, stop),
            key=lambda row: (not speaking[row], numbers[row] != last, numbers[row] == NOBODY, numbers[row]),
        )
        last = numbers[chosen[place]]
    return chosen
