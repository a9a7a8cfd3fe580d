"""The people of the pictures before and the faces of a new one -> who goes on as whom: by place, or by look alone."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrace.features.following import (
    MAX_EXTRAPOLATION_SECONDS,
    MAX_GROWTH,
    MAX_REACH,
    MAX_SPEED,
    REACH,
    Follower,
)
from emotrace.types import BoolArray, Face, FloatArray

_UNLIKE = 0.6
"""Likeness below which a face is not the person who is expected at its place."""
_ALIKE = 0.75
"""Likeness from which a face belongs to a person who was away."""
_CLEARLY = 0.06
"""Difference of likenesses between two persons that decides between them."""


@dataclass(frozen=True)
class Track:
    """A person, or a face that may become one.

    Attributes:
        number: of the person; -1 while it does not count yet.
        follower: smoothed place, motion, and when it was last seen; it has a face.
        gallery: [2 to 5, D] of length 1: the running mean of the looks, and some that differ.
        since_seconds: media time of the first picture of this appearance.
        num_seen: pictures with it.
        num_pictures: pictures since it was first seen; of a person, those with it.
        met: numbers of persons seen in the same picture, who are therefore others.
    """

    number: int
    follower: Follower
    gallery: FloatArray
    since_seconds: float
    num_seen: int = 1
    num_pictures: int = 1
    met: frozenset[int] = frozenset()


def owners(
    tracks: tuple[Track, ...], faces: list[Face], looks: FloatArray, time_seconds: float, gone_before: float
) -> dict[int, int]:
    """Return which face goes on as which track, by their places in the lists.

    Cheapest pairs first. This differs from the cheapest set of pairs only where a face lies in the reach of two tracks
    and both rather want it; detectors report no two faces as near as that, so there is at most one such pair of a kind,
    two persons passing each other, and then the surest pair is the one to trust.

    Args:
        tracks: of the pictures before.
        faces: of the new one.
        looks: [F, D] of length 1, a row for each face.
        time_seconds: media time of the new picture.
        gone_before: media time; of a track that was last seen before it, the place says nothing any more.
    """
    if not tracks or not faces:
        return {}
    likeness = _likeness(tracks, looks)
    cost = _misplacement(tracks, faces, time_seconds, gone_before) + (1 - likeness) / (1 - _UNLIKE)
    cost[(likeness < _UNLIKE) | _is_another(tracks, likeness)] = np.inf
    found: dict[int, int] = {}
    taken: set[int] = set()
    for pair in np.argsort(cost, axis=None, kind="stable")[: np.count_nonzero(np.isfinite(cost))].tolist():
        track, face = divmod(pair, len(faces))
        if face not in found and track not in taken:
            found[face] = track
            taken.add(track)
    return found


def _likeness(tracks: list[Track] | tuple[Track, ...], looks: FloatArray) -> FloatArray:
    """Return [tracks, F]: the likeness of each look to the remembered one that is most alike."""
    starts = np.cumsum([0, *(len(track.gallery) for track in tracks[:-1])])
    every = np.concatenate([track.gallery for track in tracks]) @ looks.T
    return np.asarray(np.maximum.reduceat(every, starts, axis=0))


def _misplacement(
    tracks: tuple[Track, ...], faces: list[Face], time_seconds: float, gone_before: float
) -> NDArray[np.float64]:
    """Return [tracks, F]: 0 where a face is just where a track is expected, up to 1 within reach, infinite beyond."""
    followers = [track.follower for track in tracks]
    seen = np.array([follower.seen_seconds for follower in followers])[:, None]
    absent = time_seconds - seen
    before, after = _boxes([follower.face for follower in followers if follower.face is not None]), _boxes(faces)
    ahead = np.minimum(absent, MAX_EXTRAPOLATION_SECONDS)
    expected = before[:, :2] + ahead * np.array([follower.velocity for follower in followers])
    size = before[:, 2:]
    distance = np.hypot(after[:, 0] - expected[:, :1], after[:, 1] - expected[:, 1:])
    reach = np.minimum(REACH + MAX_SPEED * np.maximum(0, absent - 0.1), MAX_REACH) * size
    growth = np.abs(np.log(after[:, 2] / size)) / math.log(MAX_GROWTH)
    mismatch = np.maximum(distance / reach, growth)
    return np.where((mismatch > 1) | (seen < gone_before), np.inf, mismatch)


def _boxes(faces: list[Face]) -> NDArray[np.float64]:
    """Return [F, 3]: centre and longer side."""
    rows = [(face.x + face.width / 2, face.y + face.height / 2, max(face.width, face.height)) for face in faces]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def distances(faces: list[Face]) -> NDArray[np.float64]:
    """Return [F, F] distances of centres in sides of the larger face."""
    boxes = _boxes(faces)
    distance = np.hypot(boxes[:, None, 0] - boxes[:, 0], boxes[:, None, 1] - boxes[:, 1])
    return np.asarray(distance / np.maximum(boxes[:, None, 2], boxes[:, 2]))


def _is_another(tracks: tuple[Track, ...], likeness: FloatArray) -> BoolArray:
    """Return [tracks, F]: whether a face looks clearly more like a person other than this one."""
    person = np.array([track.number >= 0 for track in tracks])
    others = np.where(person[:, None], likeness, -1.0)
    best = others.argmax(axis=0)
    highest = others.max(axis=0)
    mine = np.arange(len(likeness))[:, None] == best
    return np.asarray(~mine & (highest >= _ALIKE) & (likeness < highest - _CLEARLY))


def recognised(tracks: list[Track], newcomers: list[int]) -> dict[int, int]:
    """Return which newcomers are which absent persons, the most alike first, by their places in the list."""
    persons = [place for place, track in enumerate(tracks) if track.number >= 0]
    if not persons:
        return {}
    looks = np.stack([tracks[place].gallery[0] for place in newcomers])
    likeness = _likeness([tracks[person] for person in persons], looks)
    for column, place in enumerate(newcomers):  # who was seen beside a face is somebody else
        beside = [tracks[person].follower.seen_seconds >= tracks[place].since_seconds for person in persons]
        likeness[beside, column] = -1.0
    returned: dict[int, int] = {}
    for pair in np.argsort(-likeness, axis=None, kind="stable").tolist():
        row, column = divmod(pair, len(newcomers))
        person, place = persons[row], newcomers[column]
        if likeness[row, column] < _ALIKE:
            break
        if place in returned or person in returned.values():
            continue
        free = [other for other, rival in enumerate(persons) if other != row and rival not in returned.values()]
        # Two who fit and were never seen together are perhaps one person who was numbered twice: no reason for doubt.
        rivals = [other for other in free if tracks[persons[other]].number in tracks[person].met]
        if all(likeness[other, column] < likeness[row, column] - _CLEARLY for other in rivals):
            returned[place] = person
    return returned
