"""Pictures in order of time, and what is heard -> everybody's face, and the voice with whoever speaks."""

from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import latest
from emotrace.features.appearance import looks
from emotrace.features.block import OBJECT_BYTES, Heard, Pending, Seen, features_of
from emotrace.features.face_crops import crop_face
from emotrace.features.faces import Detector
from emotrace.features.following import expected_face
from emotrace.features.people import SAME_PLACE, People, meet
from emotrace.features.people_matching import distances
from emotrace.features.seeing import Sighting, num_expired, seen_at
from emotrace.features.speaking import Speaking, mouth_motion, who_speaks
from emotrace.media import VideoFrame
from emotrace.recipe import Recipe
from emotrace.types import NOBODY, BoolArray, Face, IntArray

_LOOK_SIDE = 320
"""Pixels of the longer side of the picture by which people are told apart."""
_MAX_NEAR = 8
"""Faces up to which looking around each costs less than a search of the whole picture."""
_MAX_BETWEEN_SECONDS = 0.5
"""Time between two pictures beyond which the change of a mouth says nothing."""
_MAX_HEARD = 1000
"""Ticks between two pictures that the second one can tell the speaker of."""


@dataclass(frozen=True)
class _Glance:
    """A picture whose speaker is not known yet.

    Attributes:
        time_seconds: media time.
        motions: of the mouth of every visible person; NaN where there is nothing to compare with.
    """

    time_seconds: float
    motions: dict[int, float]


@dataclass
class EveryFace:
    """Follows all faces: crops that later ticks still need, and the carries of following and of speaking.

    Attributes:
        recipe: of the features.
        waiting_bytes: of the crops, roughly.
    """

    recipe: Recipe
    waiting_bytes: int = 0
    _people: People = field(default_factory=People)
    _sightings: dict[int, list[Sighting]] = field(default_factory=dict)
    _last: dict[int, Sighting] = field(default_factory=dict)
    _next_search_seconds: float = 0.0
    _glances: deque[_Glance] = field(default_factory=deque)
    _speaking: Speaking = field(default_factory=Speaking)
    _heard: list[tuple[float, float, bool]] = field(default_factory=list)
    _speakers: list[tuple[float, int]] = field(default_factory=list)
    _owner: int = NOBODY

    def add(self, frame: VideoFrame, detector: Detector) -> None:
        """Find everybody in a frame and cut out their faces."""
        video, time_seconds = self.recipe.video, frame.time_seconds
        faces = self._found(frame, detector)
        picture = frame.rgb(max_side=_LOOK_SIDE) if faces else np.zeros((1, 1, 3), np.uint8)
        seen_as = looks(picture, picture.shape[1] / frame.width, faces)
        self._people, met = meet(self._people, faces, seen_as, time_seconds, video)
        now = {
            each.person: Sighting(
                time_seconds, each.face, crop_face(frame, each.face, video, detector.name), each.person
            )
            for each in met
        }
        motions = {person: self._motion(frame, sighting, detector) for person, sighting in now.items()}
        self._glances.append(_Glance(time_seconds, motions))
        for person, sighting in now.items():
            self._sightings.setdefault(person, []).append(sighting)
        self.waiting_bytes += OBJECT_BYTES + sum(sighting.num_bytes for sighting in now.values())
        self._last = now

    def _found(self, frame: VideoFrame, detector: Detector) -> list[Face]:
        """Search the whole picture now and then, as anybody may come; between it look around those who are there."""
        near = [expected_face(track.follower, frame.time_seconds) for track in self._people.tracks]
        expected = [face for face in near if face is not None]
        is_due = frame.time_seconds >= self._next_search_seconds or len(expected) > _MAX_NEAR
        if detector.is_free or is_due:
            self._next_search_seconds = frame.time_seconds + 1 / self.recipe.video.search_rate_hz
            return detector.detect(frame)
        return _each_once([face for place in expected for face in detector.detect(frame, place)])

    def _motion(self, frame: VideoFrame, sighting: Sighting, detector: Detector) -> float:
        before = self._last.get(sighting.person)
        if before is None or sighting.time_seconds - before.time_seconds > _MAX_BETWEEN_SECONDS:
            return float("nan")
        # Cut out where the face was: a box that trembles would move the mouth more than speaking does.
        return mouth_motion(before.crop, crop_face(frame, before.face, self.recipe.video, detector.name))

    def take(self, ticks: NDArray[np.float64], heard: Heard) -> tuple[Pending, ...]:
        """See `Seeing.take`: everybody at the ticks at which they are seen, in order of their numbers."""
        self._judge(ticks, heard)
        owner = self._owners(ticks, heard)
        everybody = {
            person: seen_at(sightings, ticks, self.recipe.video) for person, sightings in self._sightings.items()
        }
        visible = {person: seen.index >= 0 for person, seen in everybody.items()}
        for person, there in visible.items():
            owner = np.where((owner == person) & ~there, NOBODY, owner)
        anybody = np.any([*visible.values(), np.zeros(len(ticks), dtype=bool)], axis=0)
        nobody = ~anybody | (heard.valid & (owner == NOBODY))
        parts = [_part(ticks, heard, self._unseen(len(ticks)), nobody, owner, NOBODY)] if nobody.any() else []
        for person in sorted(everybody):
            if visible[person].any():
                parts.append(_part(ticks, heard, everybody[person], visible[person], owner, person))
        self._forget(ticks[-1] - self.recipe.video.face_hold_seconds)
        return tuple(parts)

    def _judge(self, ticks: NDArray[np.float64], heard: Heard) -> None:
        """Find out who speaks in every picture up to the last tick."""
        energy = np.nan_to_num(heard.energy)
        self._heard += zip(ticks.tolist(), energy.tolist(), heard.speech.tolist(), strict=True)
        while self._glances and self._glances[0].time_seconds <= ticks[-1]:
            glance = self._glances.popleft()
            self.waiting_bytes -= OBJECT_BYTES
            since = [each for each in self._heard if each[0] <= glance.time_seconds]
            self._heard = self._heard[len(since) :]
            loud = sum(each[1] for each in since) / max(1, len(since))
            spoken = any(each[2] for each in since)
            self._speaking, voices = who_speaks(self._speaking, glance.motions, loud, spoken, glance.time_seconds)
            self._speakers.append((glance.time_seconds, NOBODY if voices.speaker is None else voices.speaker))
        # Without pictures nobody asks for what was heard.
        self._heard = self._heard[-_MAX_HEARD:]

    def _owners(self, ticks: NDArray[np.float64], heard: Heard) -> IntArray:
        """Return [T]: whose the voice is; in a pause that of who spoke last."""
        times = np.array([time_seconds for time_seconds, _ in self._speakers])
        index = latest(times, ticks, np.inf)
        speaker = np.array([person for _, person in self._speakers] + [NOBODY])[index]
        self._speakers = self._speakers[-1:] if not len(index) or index[-1] < 0 else self._speakers[index[-1] :]
        owner = np.empty(len(ticks), dtype=np.int64)
        for place, (person, speech) in enumerate(zip(speaker.tolist(), heard.speech.tolist(), strict=True)):
            if speech:
                self._owner = person
            owner[place] = self._owner
        return owner

    def _unseen(self, num_ticks: int) -> Seen:
        size = self.recipe.video.crop_size
        unknown = np.full((num_ticks, 5), np.nan, dtype=np.float32)
        nothing = np.full(num_ticks, -1)
        return Seen(np.zeros((0, size, size), np.uint8), nothing, unknown[:, 0], unknown[:, 1:], nothing)

    def _forget(self, before_seconds: float) -> None:
        for person, sightings in list(self._sightings.items()):
            num_old = num_expired(sightings, before_seconds)
            self.waiting_bytes -= sum(sighting.num_bytes for sighting in sightings[:num_old])
            del sightings[:num_old]
            if not sightings:
                del self._sightings[person]


def _part(
    ticks: NDArray[np.float64], heard: Heard, seen: Seen, there: BoolArray, owner: IntArray, person: int
) -> Pending:
    """Return what gives the features of a person at the ticks at which it is there; the voice of others is silence."""
    speaks = owner[there] == person
    silent = np.where(np.isnan(heard.energy[there]), np.nan, 0).astype(np.float32)
    own = replace(
        heard,
        index=heard.index[there],
        valid=heard.valid[there] & speaks,
        speech=heard.speech[there] & speaks,
        energy=np.where(speaks, heard.energy[there], silent),
    )
    number = np.full(int(there.sum()), person)
    own_face = Seen(seen.crops, seen.index[there], seen.confidence[there], seen.box[there], number)
    return partial(features_of, ticks[there], own, own_face)


def _each_once(faces: list[Face]) -> list[Face]:
    """Leave out faces that were found twice, from two sides; the surer one stays."""
    faces = sorted(faces, key=lambda each: -each.confidence)
    apart = distances(faces)
    kept: list[int] = []
    for index in range(len(faces)):
        if (apart[index, kept] >= SAME_PLACE).all():
            kept.append(index)
    return [faces[index] for index in kept]
