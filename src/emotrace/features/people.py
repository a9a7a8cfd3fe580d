"""The faces of every picture and how they look -> who they are: each person under a number that stays.

A face goes on as the person who is expected at its place, unless it looks like somebody else. Any other face is watched
for a moment first, which false detections do not outlive, and then takes the number of the absent person whom it looks
like, or the next free one. So a cut or a return costs a person the first two pictures, and no number is ever corrected.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from emotrace.features.following import Follower, continue_face
from emotrace.features.people_matching import Track, distances, owners, recognised
from emotrace.recipe import VideoRecipe
from emotrace.types import Face, FloatArray

MAX_PERSONS = 64
"""Remembered at a time; of more, who was seen least recently is forgotten, and would return as somebody new."""
MAX_FACES = 32
"""Looked at in a picture, the largest and surest ones."""

_DISTINCT = 0.9
"""Likeness to all remembered looks of a person below which another one is remembered."""
_MAX_LOOKS = 5
_SLOWEST_LEARNING = 0.05
"""Share of a new look in the mean of many."""

SAME_PLACE = 0.35
"""Distance in sides of the larger face below which two boxes hold one face."""

_MIN_SEEN = 3
_MIN_SEEN_SECONDS = 0.1
_TRIAL_SECONDS = 0.5
_TRIAL_PICTURES = 6
"""A face counts when it is seen in three pictures, over a tenth of a second, within the longer of the two."""


@dataclass(frozen=True)
class People:
    """What `meet` carries from picture to picture.

    Attributes:
        tracks: at most `MAX_PERSONS` persons and `MAX_FACES` faces on trial, those seen first in front.
        num_persons: how many persons have been numbered so far, forgotten ones too.
        time_seconds: media time of the last picture.
    """

    tracks: tuple[Track, ...] = ()
    num_persons: int = 0
    time_seconds: float = -math.inf


@dataclass(frozen=True)
class Presence:
    """A person in a picture.

    Attributes:
        person: number from 0, in the order of being counted; never reused.
        face: box and landmarks smoothed over about a picture.
    """

    person: int
    face: Face


def meet(
    state: People, faces: list[Face], looks: FloatArray, time_seconds: float, recipe: VideoRecipe
) -> tuple[People, tuple[Presence, ...]]:
    """Say who is in a picture.

    Causal and deterministic; the order of the faces does not matter. Persons first seen in one picture are numbered
    from the largest face on.

    Args:
        state: of the picture before; `People()` at the start.
        faces: of `Detector.detect`.
        looks: [F, D] of `appearance.looks`, a row for each face, not negative; of any length.
        time_seconds: media time of the picture, after that of the state.
        recipe: its `switch_seconds`: absence after which a place says nothing any more.

    Returns:
        The next state, and whoever is seen, by number. A face on trial is not reported.
    """
    order = sorted(range(len(faces)), key=lambda index: _size_first(faces[index]))[:MAX_FACES]
    faces = [faces[index] for index in order]
    looks = _unit(looks[order]) if order else looks[:0]
    apart = distances(faces)
    # Pictures may lie further apart than `switch_seconds`: the last one counts always.
    gone_before = min(time_seconds - recipe.switch_seconds, state.time_seconds)
    owner = owners(state.tracks, faces, looks, time_seconds, gone_before)
    now: dict[int, Track] = {}
    for index, (face, look) in enumerate(zip(faces, looks, strict=True)):
        alone = np.count_nonzero(apart[index] < 1) == 1
        if index in owner:
            now[owner[index]] = _seen(state.tracks[owner[index]], face, look if alone else None, time_seconds)
    tracks = [now.get(place) or _missed(track) for place, track in enumerate(state.tracks)]
    doubled = np.any(apart[:, sorted(owner)] < SAME_PLACE, axis=1).tolist()
    for index, (face, look) in enumerate(zip(faces, looks, strict=True)):
        if index not in owner and not doubled[index]:
            begun = continue_face(Follower(), face, time_seconds)
            tracks.append(Track(-1, begun, np.stack([look, look]), time_seconds))
    tracks, num_persons = _counted(tracks, state.num_persons, time_seconds)
    tracks = _introduced(tracks, time_seconds)
    seen = [track for track in tracks if track.number >= 0 and track.follower.seen_seconds == time_seconds]
    sightings = tuple(
        Presence(track.number, track.follower.face)
        for track in sorted(seen, key=lambda track: track.number)
        if track.follower.face is not None
    )
    return People(_remembered(tracks, time_seconds), num_persons, time_seconds), sightings


def _size_first(face: Face) -> tuple[float, ...]:
    return (-face.width * face.height * face.confidence, face.x, face.y, face.width, face.confidence)


def _unit(looks: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(looks, axis=-1, keepdims=True)
    return np.asarray(looks / np.maximum(lengths, 1e-12), dtype=np.float32)


def _seen(track: Track, face: Face, look: FloatArray | None, time_seconds: float) -> Track:
    """Return the track with one more picture; the look is None where another face may have been in it."""
    return Track(
        track.number,
        continue_face(track.follower, face, time_seconds),
        track.gallery if look is None else _learnt(track.gallery, look, track.num_seen),
        track.since_seconds,
        track.num_seen + 1,
        track.num_pictures + 1,
        track.met,
    )


def _missed(track: Track) -> Track:
    return track if track.number >= 0 else replace(track, num_pictures=track.num_pictures + 1)


def _learnt(gallery: FloatArray, look: FloatArray, num_seen: int) -> FloatArray:
    rate = max(1 / (num_seen + 1), _SLOWEST_LEARNING)
    mean = (1 - rate) * gallery[:1] + rate * look
    mean /= math.sqrt(float(mean[0] @ mean[0])) or 1.0
    rows = [mean, gallery[1:]]
    if (gallery[1:] @ look).max() >= _DISTINCT:
        return np.concatenate(rows)
    kept = np.concatenate([gallery[1:], look[None]])
    if len(kept) == _MAX_LOOKS:  # the one most like another goes
        likeness = kept @ kept.T - 2 * np.eye(len(kept), dtype=np.float32)
        kept = np.delete(kept, likeness.max(axis=0).argmax(), axis=0)
    return np.concatenate([rows[0], kept])


def _counted(tracks: list[Track], num_persons: int, time_seconds: float) -> tuple[list[Track], int]:
    """Give numbers to the faces whose trial is over: old ones where they look like an absent person, else new ones."""
    passed = [place for place, track in enumerate(tracks) if _passes(track, time_seconds)]
    if not passed:
        return tracks, num_persons
    returned = recognised(tracks, passed)
    tracks = list(tracks)
    for place in passed:
        if place in returned:
            old, new = tracks[returned[place]], tracks[place]
            gallery = _learnt(old.gallery, new.gallery[0], old.num_seen)
            num_seen = old.num_seen + new.num_seen
            tracks[returned[place]] = replace(new, number=old.number, gallery=gallery, num_seen=num_seen, met=old.met)
        else:
            tracks[place] = replace(tracks[place], number=num_persons)
            num_persons += 1
    return [track for place, track in enumerate(tracks) if place not in returned], num_persons


def _passes(track: Track, time_seconds: float) -> bool:
    lasted = track.follower.seen_seconds - track.since_seconds >= _MIN_SEEN_SECONDS - 1e-6
    seen_now = track.follower.seen_seconds == time_seconds
    return track.number < 0 and seen_now and track.num_seen >= _MIN_SEEN and lasted


def _introduced(tracks: list[Track], time_seconds: float) -> list[Track]:
    """Note who is seen with whom."""
    present = frozenset(
        track.number for track in tracks if track.number >= 0 and track.follower.seen_seconds == time_seconds
    )
    return [
        replace(track, met=(track.met | present) - {track.number})
        if track.number in present and not present <= track.met | {track.number}
        else track
        for track in tracks
    ]


def _remembered(tracks: list[Track], time_seconds: float) -> tuple[Track, ...]:
    def is_alive(track: Track) -> bool:
        on_trial = time_seconds - track.since_seconds <= _TRIAL_SECONDS or track.num_pictures < _TRIAL_PICTURES
        return track.number >= 0 or on_trial

    recent = sorted(filter(is_alive, tracks), key=lambda track: -track.follower.seen_seconds)
    persons = [track for track in recent if track.number >= 0][:MAX_PERSONS]
    on_trial = [track for track in recent if track.number < 0][:MAX_FACES]
    kept = {id(track) for track in (*persons, *on_trial)}
    return tuple(track for track in tracks if id(track) in kept)
