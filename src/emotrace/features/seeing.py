"""Pictures in order of time -> the face that is followed, cut out, and what is seen of it at every tick."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotrace.clock import latest
from emotrace.features.block import OBJECT_BYTES, Heard, Pending, Seen, features_of
from emotrace.features.face_crops import crop_face
from emotrace.features.faces import Detector
from emotrace.features.following import Follower, expected_face, follow
from emotrace.media import VideoFrame
from emotrace.recipe import Recipe, VideoRecipe
from emotrace.types import Face, Image


class Seeing(Protocol):
    """What `extract` shows the pictures to.

    Attributes:
        waiting_bytes: of what was seen ahead of the sound, roughly.
    """

    waiting_bytes: int

    def add(self, frame: VideoFrame, detector: Detector) -> None:
        """Look at the next picture."""

    def take(self, ticks: NDArray[np.float64], heard: Heard) -> tuple[Pending, ...]:
        """Return what gives the features of whoever is followed, and forget what no later tick needs.

        Args:
            ticks: [T] seconds.
            heard: at these ticks.
        """


@dataclass(frozen=True)
class Sighting:
    """A person's face in a picture.

    Attributes:
        time_seconds: media time of the picture.
        face: smoothed.
        crop: [size, size] grey.
        person: number.
    """

    time_seconds: float
    face: Face
    crop: Image
    person: int

    @property
    def num_bytes(self) -> int:
        """What it takes in memory, roughly."""
        return self.crop.nbytes + OBJECT_BYTES


def seen_at(sightings: Sequence[Sighting], ticks: NDArray[np.float64], recipe: VideoRecipe) -> Seen:
    """Return what the latest sighting says at each tick, for as long as it stands for the face.

    Args:
        sightings: in order of time; what lies after the ticks is not looked through.
        ticks: [T] seconds.
        recipe: its `crop_size` and `face_hold_seconds`.
    """
    # A second more than the last tick can need: the clock has a little slack.
    reach = bisect_right(sightings, ticks[-1] + 1.0, key=_sighted_at)
    times = np.array([sighting.time_seconds for sighting in sightings[:reach]])
    index = latest(times, ticks, recipe.face_hold_seconds)
    used = np.unique(index[index >= 0])
    chosen = [sightings[place] for place in used]
    compact = np.where(index >= 0, np.searchsorted(used, index), -1)
    size = recipe.crop_size
    crops = np.stack([sighting.crop for sighting in chosen]) if chosen else np.zeros((0, size, size), np.uint8)
    rows = np.array(
        [(s.face.confidence, s.face.x, s.face.y, s.face.width, s.face.height) for s in chosen] + [(np.nan,) * 5],
        dtype=np.float32,
    )[compact]  # -1 takes the last row, of NaN
    persons = np.array([sighting.person for sighting in chosen] + [-1])[compact]
    return Seen(crops, compact, rows[:, 0], rows[:, 1:], persons)


def num_expired(sightings: Sequence[Sighting], before_seconds: float) -> int:
    """Return how many of the sightings are older."""
    return bisect_left(sightings, before_seconds, key=_sighted_at)


def _sighted_at(sighting: Sighting) -> float:
    return sighting.time_seconds


@dataclass
class MainFace:
    """Follows one face: crops that later ticks still need, and the carry of the following.

    Attributes:
        recipe: of the features.
        waiting_bytes: of the crops, roughly.
    """

    recipe: Recipe
    waiting_bytes: int = 0
    _follower: Follower = field(default_factory=Follower)
    _sightings: list[Sighting] = field(default_factory=list)
    _person: int = 0
    _next_search_seconds: float = 0.0

    def add(self, frame: VideoFrame, detector: Detector) -> None:
        """Find the followed face in a frame and cut it out."""
        video = self.recipe.video
        faces = self._found(frame, detector)
        self._follower, face = follow(self._follower, faces, frame.time_seconds, video)
        if face is not None:
            crop = crop_face(frame, face, video, detector.name)
            self._sightings.append(Sighting(frame.time_seconds, face, crop, self._follower.person))
            self.waiting_bytes += self._sightings[-1].num_bytes

    def _found(self, frame: VideoFrame, detector: Detector) -> list[Face]:
        """Look around the followed face, or through the whole picture where it is not there: rarely once it is lost."""
        if detector.is_free:
            return detector.detect(frame)
        expected = expected_face(self._follower, frame.time_seconds)
        if expected is not None:
            return detector.detect(frame, expected) or detector.detect(frame)
        if frame.time_seconds < self._next_search_seconds:
            return []
        self._next_search_seconds = frame.time_seconds + 1 / self.recipe.video.search_rate_hz
        return detector.detect(frame)

    def take(self, ticks: NDArray[np.float64], heard: Heard) -> tuple[Pending]:
        """See `Seeing.take`: one part, of all ticks. Without a face, the person is the one seen last."""
        seen = seen_at(self._sightings, ticks, self.recipe.video)
        num_old = num_expired(self._sightings, ticks[-1] - self.recipe.video.face_hold_seconds)
        self.waiting_bytes -= sum(sighting.num_bytes for sighting in self._sightings[:num_old])
        del self._sightings[:num_old]
        numbers = np.maximum.accumulate(np.maximum(seen.person, self._person))
        self._person = int(numbers[-1])
        return (partial(features_of, ticks, heard, replace(seen, person=numbers)),)
