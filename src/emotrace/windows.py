"""Items in order of time -> which of them a system looks at, and the answers of overlapping windows -> one of each.

No torch: analysis and training share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emotrace.types import FloatArray, IntArray

Loops = Literal["part", "clip"]


@dataclass(frozen=True)
class Sampling:
    """How a clip-level system looks at a clip: what is there is cut in equal parts, and a run is taken from each.

    Attributes:
        snippets: parts of the pictures, V.
        pictures: consecutive pictures from each, P.
        segments: parts of the sound, A.
        frames: consecutive frames of a spectrogram from each, F.
        loops: what is repeated where a part is shorter than its run: the part, so that what is seen and what is heard
            keep their time, or the whole clip, as VAANet does.
    """

    snippets: int
    pictures: int
    segments: int
    frames: int
    loops: Loops = "part"


@dataclass(frozen=True)
class Glance:
    """Which rows of a recording a clip-level system looks at; -1 where nothing is known.

    Attributes:
        pictures: [V, P] rows of the face crops.
        sound: [A, F] rows of the voice inputs, each a slice of a spectrogram.
        frames: [A, F] frame of the slice.
        picture_ticks: [V, P] ticks from the start of the window to each picture.
        sound_ticks: [A, F] and to each frame of sound, with their fractions; a slice ends at its tick.
    """

    pictures: IntArray
    sound: IntArray
    frames: IntArray
    picture_ticks: IntArray
    sound_ticks: FloatArray


def glance(
    face_index: IntArray,
    voice_index: IntArray,
    sampling: Sampling,
    *,
    picture_ticks: int,
    slice_frames: int,
    rng: "np.random.Generator | None" = None,
) -> Glance:
    """Return what is looked at in a window of T ticks.

    Args:
        face_index: [T] row of the face crop at each tick; -1 without a face.
        voice_index: [T] row of the slice that ends at each tick; -1 where no voice is valid.
        sampling: how many of which.
        picture_ticks: ticks from one picture to the next.
        slice_frames: frames of a slice; a slice lasts one tick.
        rng: draws where the runs lie; None takes the middle of each part.
    """
    seen = face_index[::picture_ticks]
    looked = spread_runs(len(seen), sampling.snippets, sampling.pictures, rng, sampling.loops)
    count = len(voice_index) * slice_frames
    frames = spread_runs(count, sampling.segments, sampling.frames, rng, sampling.loops)
    return Glance(
        seen[looked],
        voice_index[frames // slice_frames],
        frames % slice_frames,
        looked * picture_ticks,
        np.maximum(0, frames / slice_frames - 1).astype(np.float32),
    )


def spread_runs(
    length: int, count: int, run: int, rng: "np.random.Generator | None" = None, loops: Loops = "part"
) -> IntArray:
    """Return [count, run]: indices of runs of consecutive items, one from each of `count` equal parts.

    A part that is shorter than a run is repeated; or all items are repeated from the first on until every part holds a
    run (VAANet, Zhao et al. 2020, loops pictures and tiles sound in this way).

    Args:
        length: number of items, one at least.
        count: of parts.
        run: items of a run.
        rng: draws the place of each run within its part; None takes the middle.
        loops: what is repeated where the items are too few.
    """
    if length < 1 or count < 1 or run < 1:
        raise ValueError(f"length, count and run are {length}, {count} and {run}: expected one at least of each.")
    if length < count * run and loops == "part":
        return _looped_parts(length, count, run)
    looped = length * -(-count * run // length) if length < count * run else length
    edges = np.linspace(0, looped, count + 1)
    room = looped / count - run
    shift = np.full(count, room / 2) if rng is None else rng.uniform(0, room, count)
    first = np.minimum(np.floor(edges[:-1] + np.maximum(shift, 0)).astype(np.int64), looped - run)
    return np.asarray((first[:, None] + np.arange(run)) % length, dtype=np.int64)


def _looped_parts(length: int, count: int, run: int) -> IntArray:
    first = np.arange(count) * length // count
    width = np.maximum(1, -(-np.arange(1, count + 1) * length // count) - first)
    return np.asarray(first[:, None] + np.arange(run) % width[:, None], dtype=np.int64)


def overlapping(length: int, window: int, hop: int) -> list[int]:
    """Return the first items of windows that cover all of the items, `hop` apart.

    The last window ends with the last item, and so may begin less than `hop` after the one before. Of items that are
    fewer than a window there is one window, from 0. Zhang et al. 2021 have 300 frames and a hop of 200.

    Raises:
        ValueError: length, window or hop is below one, or windows so far apart would leave items out.
    """
    if min(length, window, hop) < 1 or hop > window:
        raise ValueError(f"length, window and hop are {length}, {window} and {hop}: expected 1 <= hop <= window.")
    last = max(0, length - window)
    return [*range(0, last, hop), last]


def average_overlaps(answers: Sequence[FloatArray], first: Sequence[int], length: int) -> FloatArray:
    """Return [length, ...]: the mean of the answers of all windows that cover an item.

    Args:
        answers: of each window [W, ...]; what reaches beyond the last item was filled up, and is left out.
        first: item where each window begins.
        length: number of items.

    Raises:
        ValueError: some item is in no window, or answers and beginnings do not fit each other.
    """
    total = np.zeros((length, *answers[0].shape[1:])) if answers else np.zeros(length)
    count = np.zeros(length, dtype=np.int64)
    for answer, start in zip(answers, first, strict=True):
        stop = min(length, start + len(answer))
        total[start:stop] += answer[: stop - start]
        count[start:stop] += 1
    if not count.all():
        missing = np.flatnonzero(count == 0)
        raise ValueError(f"{len(missing)} of {length} items, the first of them {missing[0]}, are in no window.")
    return np.asarray(total / count.reshape(-1, *(1,) * (total.ndim - 1)), dtype=np.float32)
