"""The meaning of a timeline: its columns, its metadata, its gaps, and what its numbers are not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from emotrace.errors import EmotraceError
from emotrace.labels import EMOTIONS
from emotrace.timeline_people import PersonSummary
from emotrace.types import BoolArray

NO_FACE = "no face"
NO_SPEECH = "no speech"
NO_AUDIO_TRACK = "no audio track"
NO_VIDEO_TRACK = "no video track"

NOTICES = (
    "Not a measurement of feelings: the numbers say how a voice and a face may come across. "
    "What a person feels inside, means or intends cannot be read from them.",
    "Arousal and valence are a proxy: they were learnt from category labels (such as anger or happiness) "
    "through the published mean ratings of these words (Russell and Mehrabian 1977), not from people "
    "rated moment by moment.",
    "Acted and posed training data: most training voices were acted and many faces were posed. Everyday "
    "expression is weaker and depends on culture, age, language, camera and microphone; errors are common "
    "and uneven across groups.",
    "Not for decisions about people: do not use the numbers to judge, select, score, diagnose or monitor anyone.",
    "The law: the EU AI Act (2024/1689) prohibits inferring emotions at work and in education except for "
    "medical or safety reasons (Art. 5), and asks elsewhere that the people concerned are told (Art. 50).",
    "Faces and voices are personal data: have a lawful ground to process them. "
    "The analysis ran on this machine and nothing was sent anywhere.",
)
"""What the numbers are not. Each is "heading: text"; they travel in every timeline's metadata."""


class TimelineError(EmotraceError):
    """A timeline cannot be built, read or written."""


@dataclass(frozen=True)
class Column:
    """What one column holds.

    Attributes:
        name: as in every file.
        meaning: one sentence.
        unit: empty where the number has none.
        low: smallest value; None where there is no bound.
        high: largest value; None where there is no bound.
        decimals: digits after the point in CSV and JSON.
        kind: how the column is held: numbers (float32), exact times (float64), counts or flags.
    """

    name: str
    meaning: str
    unit: str
    low: float | None
    high: float | None
    decimals: int
    kind: Literal["number", "time", "count", "flag"] = "number"


def _probability(emotion: str) -> Column:
    return Column(emotion, f"probability of {emotion}; the eight emotions of a row sum to 1", "", 0, 1, 4)


COLUMNS: tuple[Column, ...] = (
    Column("time", "media time of the tick", "s", 0, None, 6, "time"),
    Column("person", "number of the person, from 0; -1 for a voice without a visible face", "", -1, None, 0, "count"),
    Column("arousal", "calm (-1) to activated (1), a proxy learnt from category labels", "", -1, 1, 4),
    Column("valence", "unpleasant (-1) to pleasant (1), a proxy learnt from category labels", "", -1, 1, 4),
    *(_probability(emotion) for emotion in EMOTIONS),
    Column("audio_weight", "how much the voice was trusted; with video_weight sums to 1", "", 0, 1, 4),
    Column("video_weight", "how much the face was trusted; with audio_weight sums to 1", "", 0, 1, 4),
    Column("speech_energy", "normalised short-term energy of the voice, 0 below the threshold", "", 0, 1, 4),
    Column("face_detected", "1 where a face is known, else 0", "", 0, 1, 0, "flag"),
    Column("face_confidence", "the detector's confidence", "", 0, 1, 4),
    Column("face_x", "left edge of the face's box in the upright frame", "px", None, None, 1),
    Column("face_y", "top edge of the face's box in the upright frame", "px", None, None, 1),
    Column("face_width", "width of the face's box", "px", 0, None, 1),
    Column("face_height", "height of the face's box", "px", 0, None, 1),
)
"""The columns of every timeline, in the order of every file. Unknown: NaN, null or an empty field."""


@dataclass(frozen=True)
class Gap:
    """A stretch [start, end) of media time in which something is missing; `kind` says what, in words."""

    kind: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Settings:
    """What the analysis was asked to do.

    Attributes:
        detector: the face detector that ran.
        only: the one branch that was used, None for both.
        recipe_digest: of the bundle's recipe.
        label_rate_hz: ticks per second.
        people: whose traces: the main person's, or everybody's.
    """

    detector: str
    only: Literal["voice", "face"] | None
    recipe_digest: str
    label_rate_hz: float
    people: Literal["main", "all"] = "main"


@dataclass(frozen=True)
class Metadata:
    """Where a timeline comes from, and what is missing in it.

    Attributes:
        source: name of the media file.
        duration_seconds: of the media.
        bundle: name of the bundle.
        bundle_digest: of the bundle's content.
        emotrace_version: that made the timeline.
        settings: of the analysis.
        problems: sentences on what went wrong without ending the analysis.
        gaps: stretches without face, speech or track.
        notices: what the numbers are not.
        clip_probabilities: of each class for the recording as a whole, in the bundle's own classes; empty for a bundle
            that answers at every tick alone.

    Raises:
        TimelineError: the duration or the label rate is not a usable number.
    """

    source: str
    duration_seconds: float
    bundle: str
    bundle_digest: str
    emotrace_version: str
    settings: Settings
    problems: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notices: tuple[str, ...] = NOTICES
    clip_probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def clip_class(self) -> str | None:
        """The likeliest class of the recording as a whole, None where there is none."""
        return max(self.clip_probabilities, key=self.clip_probabilities.__getitem__, default=None)

    def __post_init__(self) -> None:
        """Refuse what no clock can show."""
        if not (math.isfinite(self.duration_seconds) and self.duration_seconds >= 0):
            raise TimelineError(f"The duration is {self.duration_seconds} s; it must be a number of at least 0.")
        rate = self.settings.label_rate_hz
        if not (math.isfinite(rate) and rate > 0):
            raise TimelineError(f"The label rate is {rate} Hz; it must be a number above 0.")


class Summary(TypedDict):
    """What `Timeline.summary` returns; None is unknown, peak and lowest are the extreme values.

    People are listed where everybody is followed.
    """

    duration_seconds: float
    mean_arousal: float | None
    peak_arousal: float | None
    peak_arousal_seconds: float | None
    lowest_arousal: float | None
    lowest_arousal_seconds: float | None
    mean_valence: float | None
    peak_valence: float | None
    peak_valence_seconds: float | None
    lowest_valence: float | None
    lowest_valence_seconds: float | None
    mean_probability: dict[str, float | None]
    dominant_emotion: str | None
    clip_class: str | None
    clip_probabilities: dict[str, float]
    audio_share: float | None
    video_share: float | None
    face_share: float | None
    speech_share: float | None
    people: list[PersonSummary]


def find_gaps(times: NDArray[np.float64], present: BoolArray, kind: str, label_rate_hz: float) -> tuple[Gap, ...]:
    """Return the stretches of ticks at which something is not present.

    Args:
        times: [T] seconds, one per tick.
        present: [T].
        kind: of the gaps.
        label_rate_hz: a tick stands for 1 / rate seconds from its time on.
    """
    edges = np.diff(np.concatenate([[False], ~present, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return tuple(
        Gap(kind, round(float(times[start]), 6), round(float(times[stop - 1] + 1 / label_rate_hz), 6))
        for start, stop in zip(starts, stops, strict=True)
    )


def join_gaps(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """Return the gaps by kind and time, those of one kind that touch or overlap as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda each: (each.kind, each.start_seconds)):
        last = joined[-1] if joined else None
        if last and last.kind == gap.kind and gap.start_seconds <= last.end_seconds + 1e-6:
            joined[-1] = replace(last, end_seconds=max(last.end_seconds, gap.end_seconds))
        else:
            joined.append(gap)
    return tuple(joined)
