"""Features of whoever is followed, block by block -> rows, each person with a memory of their own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrace.features.people import MAX_PERSONS
from emotrace.inference.session import Estimates, Session
from emotrace.inference.system_session import SystemSession
from emotrace.labels import EMOTIONS
from emotrace.timeline import Metadata, Timeline
from emotrace.types import BoolArray, Features


class Rows:
    """The rows of one recording so far, and what the session carries for each person.

    A person who is not met for long, while `MAX_PERSONS` others are, begins anew.
    """

    def __init__(self, session: Session | SystemSession, provisional: Metadata) -> None:
        """Begin.

        Args:
            session: runs the networks.
            provisional: of every part; its duration is replaced.
        """
        self._session: Any = session
        self._provisional = provisional
        # Each kind of session has states of its own, which nobody else looks into.
        self._states: dict[int, Any] = {}
        self._num_ticks: Counter[int] = Counter()
        self._parts: list[Timeline] = []
        self._speech: list[BoolArray] = []

    def add(self, persons: Sequence[Features]) -> Timeline:
        """Return the rows of the next block, in order of time and then of person."""
        columns = [_columns(features, self._estimates(features)) for features in persons]
        order = np.lexsort([np.concatenate([each[name] for each in columns]) for name in ("person", "time")])
        joined = {name: np.concatenate([each[name] for each in columns])[order] for name in columns[0]}
        end = float(joined["time"][-1] + 1 / self._provisional.settings.label_rate_hz)
        self._parts.append(Timeline(joined, replace(self._provisional, duration_seconds=end)))
        self._speech.append(np.concatenate([features.speech for features in persons])[order])
        return self._parts[-1]

    def whole(self) -> Timeline:
        """Return all rows."""
        return Timeline.concatenate(self._parts)

    def speech(self) -> BoolArray:
        """Return [T]: whether there is speech of the row's person."""
        return np.concatenate(self._speech)

    def classes(self) -> dict[str, float]:
        """Return the classes of the recording as a whole, as far as the person with the most rows is seen and heard."""
        longest = max(self._states, key=lambda person: (self._num_ticks[person], -person), default=None)
        return {} if longest is None else self._session.classes(self._states[longest])

    def _estimates(self, features: Features) -> Estimates:
        follows_all = self._provisional.settings.people == "all"
        person = int(features.person[0]) if follows_all else 0  # the number of the main person may change
        before = self._states.pop(person, None)
        if before is None:
            before = self._session.initial_state()
        found: tuple[Estimates, Any] = self._session.run(features, before)
        self._states[person] = found[1]  # now the last one
        self._num_ticks[person] += len(features.times)
        for other in list(self._states)[: -MAX_PERSONS - 1]:
            del self._states[other]
        return found[0]


def _columns(features: Features, estimates: Estimates) -> Mapping[str, NDArray[Any]]:
    return {
        "time": features.times,
        "person": features.person,
        "arousal": estimates.arousal,
        "valence": estimates.valence,
        **{emotion: estimates.emotions[:, place] for place, emotion in enumerate(EMOTIONS)},
        "audio_weight": estimates.audio_weight,
        "video_weight": 1 - estimates.audio_weight,
        "speech_energy": features.speech_energy,
        "face_detected": features.face_detected,
        "face_confidence": features.face_confidence,
        **{f"face_{name}": features.face_box[:, place] for place, name in enumerate(("x", "y", "width", "height"))},
    }
