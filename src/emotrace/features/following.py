"""The faces of picture after picture -> the one that is followed: motion, reach, smoothing."""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emotrace.recipe import VideoRecipe
from emotrace.types import Face

MAX_SPEED = 3.0
"""Sides of the face per second that a followed face may move beyond `REACH` while it is out of sight."""
REACH = 0.5
MAX_REACH = 1.0
"""Distance from the expected place, in sides of the face, within which a face is the same person's."""
MAX_GROWTH = 1.7
"""Ratio of sizes up to which a face is the same person's."""
_SMOOTHING_SECONDS = 0.06
_VELOCITY_SECONDS = 0.2
MAX_EXTRAPOLATION_SECONDS = 0.3


@dataclass(frozen=True)
class Follower:
    """What `follow` carries from picture to picture.

    Attributes:
        person: number of the followed person, from 0.
        face: smoothed; None until the first face.
        velocity: [2] of the face's centre, pixels per second.
        seen_seconds: media time at which the face was last seen.
    """

    person: int = 0
    face: Face | None = None
    velocity: tuple[float, float] = (0.0, 0.0)
    seen_seconds: float = -math.inf


def follow(
    state: Follower, faces: list[Face], time_seconds: float, recipe: VideoRecipe
) -> tuple[Follower, Face | None]:
    """Choose the face of the followed person, or none while that person is out of sight.

    The first face of the first picture that has any is followed. A face continues it when it is near the place where
    it is expected and of similar size. Another face is taken only after `switch_seconds` of absence; whoever it belongs
    to then counts as another person, unless the place fits.

    Args:
        state: of the picture before; `Follower()` at the start.
        faces: of `Detector.detect`, the most prominent first.
        time_seconds: media time of the picture, not before that of the state.
        recipe: its `switch_seconds`.

    Returns:
        The next state, and the face with its box and landmarks smoothed over about a picture.
    """
    if state.face is None:
        return (state, None) if not faces else _start(faces[0], state.person, time_seconds)
    absent = time_seconds - state.seen_seconds
    if absent > recipe.switch_seconds and faces:
        same = _mismatch(state, state.face, faces[0], absent) <= 1
        return _start(faces[0], state.person + (not same), time_seconds)
    mismatch = partial(_mismatch, state, state.face, absent_seconds=absent)
    best = min(faces, key=mismatch, default=None)
    if best is None or mismatch(best) > 1:
        return state, None
    return _continue(state, state.face, best, time_seconds)


def continue_face(state: Follower, face: Face, time_seconds: float) -> Follower:
    """Return the next state of a follower whose face is known by other means than its place; the first starts it."""
    if state.face is None:
        return _start(face, state.person, time_seconds)[0]
    return _continue(state, state.face, face, time_seconds)[0]


def expected_face(state: Follower, time_seconds: float) -> Face | None:
    """Return where the followed face should be by now; None once it is out of sight for longer than it is guessed."""
    absent = time_seconds - state.seen_seconds
    if state.face is None or absent > MAX_EXTRAPOLATION_SECONDS:
        return None
    return _moved(state, state.face, absent)


def _start(face: Face, person: int, time_seconds: float) -> tuple[Follower, Face]:
    return Follower(person=person, face=face, seen_seconds=time_seconds), face


def _continue(state: Follower, before: Face, face: Face, time_seconds: float) -> tuple[Follower, Face]:
    """Blend the new face with where the old one has moved to; the weights depend on time, not on the picture rate."""
    elapsed = max(time_seconds - state.seen_seconds, 1e-3)
    expected = _moved(state, before, elapsed)
    kept = math.exp(-elapsed / _SMOOTHING_SECONDS)
    smooth = _blend(expected, face, kept)
    old_velocity = math.exp(-elapsed / _VELOCITY_SECONDS)
    (x0, y0), (x1, y1) = centre(before), centre(smooth)
    velocity = (
        old_velocity * state.velocity[0] + (1 - old_velocity) * (x1 - x0) / elapsed,
        old_velocity * state.velocity[1] + (1 - old_velocity) * (y1 - y0) / elapsed,
    )
    return Follower(state.person, smooth, velocity, time_seconds), smooth


def _mismatch(state: Follower, before: Face, face: Face, absent_seconds: float) -> float:
    """Return how badly a face continues the followed one: the same person's up to 1."""
    (x0, y0), (x1, y1) = centre(_moved(state, before, absent_seconds)), centre(face)
    size, new_size = max(before.width, before.height), max(face.width, face.height)
    reach = min(REACH + MAX_SPEED * max(0.0, absent_seconds - 0.1), MAX_REACH) * size
    growth = abs(math.log(new_size / size)) / math.log(MAX_GROWTH)
    return max(math.hypot(x1 - x0, y1 - y0) / reach, growth)


def _moved(state: Follower, face: Face, seconds: float) -> Face:
    """Return the face where it is after going on at its velocity."""
    seconds = min(seconds, MAX_EXTRAPOLATION_SECONDS)
    step = np.array(state.velocity, np.float32) * seconds
    landmarks = None if face.landmarks is None else face.landmarks + step
    return replace(face, x=face.x + float(step[0]), y=face.y + float(step[1]), landmarks=landmarks)


def _blend(old: Face, new: Face, kept: float) -> Face:
    landmarks = new.landmarks
    if landmarks is not None and old.landmarks is not None:
        landmarks = kept * old.landmarks + (1 - kept) * landmarks
    return Face(
        x=kept * old.x + (1 - kept) * new.x,
        y=kept * old.y + (1 - kept) * new.y,
        width=kept * old.width + (1 - kept) * new.width,
        height=kept * old.height + (1 - kept) * new.height,
        confidence=new.confidence,
        landmarks=landmarks,
    )


def centre(face: Face) -> tuple[float, float]:
    """Return x and y of the middle of the box."""
    return face.x + face.width / 2, face.y + face.height / 2
