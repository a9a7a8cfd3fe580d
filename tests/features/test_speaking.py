"""Drawn mouths that follow a voice, rest, move at random or chew: who is found to speak."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emotrace.demo_face import Expression
from emotrace.features.face_crops import crop_face
from emotrace.features.faces import HaarDetector
from emotrace.features.following import Follower, follow
from emotrace.features.speaking import MEMORY_SECONDS, Speaking, Voices, mouth_motion, who_speaks
from emotrace.media import VideoFrame, open_clip
from emotrace.recipe import CropGeometry, VideoRecipe
from emotrace.types import Image
from tests.features.drawn_people import DrawnPerson, box_of, paint_person

RECIPE = VideoRecipe(haar_geometry=CropGeometry(scale=1.03, shift_y=0.0))
RATE = 12.5
FINE = 0.01
"""Seconds between samples of a made-up envelope."""
SCALE = 40.0

Other = Literal["still", "random", "chew"]
Turns = Callable[[float], int | None]
"""Who speaks at a time; None: a voice from elsewhere."""


@cache
def head(expression: Expression) -> VideoFrame:
    colours, opacity = paint_person(DrawnPerson.of(5), SCALE, expression)
    return VideoFrame.from_rgb(0.0, np.clip(colours * opacity + 120 * (1 - opacity), 0, 255).astype(np.uint8))


def crop_of(
    expression: Expression, rng: np.random.Generator | None = None, *, tremble: float = 0.3, flicker: float = 0.1
) -> Image:
    """A crop as it is made for this: the head trembles, the light flickers, the camera is noisy."""
    frame = head(expression)
    middle = (frame.width / 2, 1.75 * SCALE)
    if rng is None:
        return crop_face(frame, box_of(middle, SCALE), RECIPE, "haar")
    across, down = rng.normal(0, tremble, 2)
    crop = crop_face(frame, box_of((middle[0] + across, middle[1] + down), SCALE), RECIPE, "haar")
    return np.clip(crop * rng.uniform(1 - flicker, 1 + flicker) + rng.normal(0, 2, crop.shape), 0, 255).astype(np.uint8)


def jaw(opening: float) -> Expression:
    return Expression(jaw=round(opening, 2))


@cache
def trembling(step: int) -> list[Image]:
    """A few crops of a mouth opened by some steps of 0.02."""
    rng = np.random.default_rng(step)
    return [crop_of(jaw(0.02 * step), rng) for _ in range(6)]


def envelope(rng: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    """Phrases of syllables with pauses between them: energy 0..1 every 10 ms."""
    energy = np.zeros(round(seconds / FINE))
    time = 0.0
    while time < seconds:
        end = time + rng.uniform(0.8, 2.5)
        while time < min(end, seconds):
            length, strength = rng.uniform(0.12, 0.3), rng.uniform(0.3, 1)
            place = np.arange(int(time / FINE), min(int((time + length) / FINE), len(energy)))
            energy[place] = strength * np.sin(np.pi * (place * FINE - time) / length) ** 2
            time += length
        time += rng.uniform(0.15, 0.7)
    return energy


@dataclass(frozen=True)
class Moment:
    time_seconds: float
    speaking: int | None
    speech: bool
    voices: Voices


def listen(turns: Turns, other: Other, seed: int, seconds: float = 20.0, heads: int = 2) -> list[Moment]:
    """Two heads; the mouth of who speaks follows the voice 50 ms ahead, the other's does something else."""
    rng = np.random.default_rng(seed)
    energy = envelope(rng, seconds)
    murmur = [envelope(rng, seconds) for _ in range(heads)]
    state, before, moments = Speaking(), dict[int, Image](), []
    for index in range(int(seconds * RATE)):
        time = index / RATE
        now = int(time / FINE)
        motions = {}
        for person in range(heads):
            if person == turns(time):
                opening = 0.3 * math.sqrt(max(0.0, energy[min(now + 5, len(energy) - 1)]))
            elif other == "random":
                opening = 0.3 * math.sqrt(max(0.0, murmur[person][now]))
            else:
                opening = 0.1 + 0.1 * math.sin(2 * math.pi * 1.5 * time + person) if other == "chew" else 0.0
            crop = trembling(round(opening / 0.02))[rng.integers(6)]
            motions[person] = mouth_motion(before[person], crop) if person in before else math.nan
            before[person] = crop
        heard = float(energy[max(0, now - 8) : now + 1].mean())
        state, voices = who_speaks(state, motions, heard, heard > 0.05, time)
        moments.append(Moment(time, turns(time), heard > 0.05, voices))
    return moments


def share_right(moments: list[Moment], settled: float = 1.0) -> float:
    """Share of speech with the right answer, from `settled` seconds after every change of turns."""
    right, since, last = [], 0.0, moments[0].speaking
    for moment in moments:
        if moment.speaking != last:
            since, last = moment.time_seconds, moment.speaking
        if moment.speech and moment.time_seconds - since >= settled:
            right.append(moment.voices.speaker == moment.speaking)
    return float(np.mean(right))


# How much a mouth moves


def test_an_opening_mouth_moves_and_a_still_one_does_not() -> None:
    rng = np.random.default_rng(0)
    still = [mouth_motion(crop_of(jaw(0.0), rng), crop_of(jaw(0.0), rng)) for _ in range(20)]
    opening = [mouth_motion(crop_of(jaw(0.0), rng), crop_of(jaw(0.2), rng)) for _ in range(20)]
    assert max(still) < 0.5 * min(opening)
    assert abs(np.mean(still)) < 0.03


def test_light_and_moves_of_the_head_are_no_motion_of_the_mouth() -> None:
    rng = np.random.default_rng(1)
    calm = crop_of(jaw(0.0))
    moved = [mouth_motion(calm, crop_of(jaw(0.0), rng, tremble=2.0, flicker=0.3)) for _ in range(20)]
    assert np.mean(moved) < 0.3 * mouth_motion(calm, crop_of(jaw(0.2)))


def test_raised_brows_are_no_motion_of_the_mouth() -> None:
    assert mouth_motion(crop_of(Expression()), crop_of(Expression(inner_brow=0.2, outer_brow=0.2))) < 0.01


@pytest.mark.parametrize("size", [16, 48, 100, 512])
def test_crops_of_any_size_and_without_content_are_fine(size: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size)).astype(np.uint8)
    assert math.isfinite(mouth_motion(noise[0], noise[1]))
    assert mouth_motion(np.zeros((size, size), np.uint8), np.full((size, size), 255, np.uint8)) == 0


# Who speaks


@pytest.mark.parametrize(("other", "expected"), [("still", 0.9), ("chew", 0.9), ("random", 0.8)])
def test_who_moves_with_the_voice_is_the_speaker(other: Other, expected: float) -> None:
    assert np.mean([share_right(listen(lambda time: 0, other, seed)) for seed in range(3)]) > expected


@pytest.mark.parametrize("other", ["still", "chew"])
def test_speakers_in_turns_are_found_a_second_after_each_change(other: Other) -> None:
    assert np.mean([share_right(listen(lambda time: int(time / 4) % 2, other, seed)) for seed in range(3)]) > 0.85


def test_turns_are_found_mostly_while_the_other_mouth_moves_at_random() -> None:
    assert np.mean([share_right(listen(lambda time: int(time / 6) % 2, "random", seed)) for seed in range(3)]) > 0.7


def test_a_voice_from_elsewhere_is_nobodys_while_the_mouths_rest() -> None:
    assert np.mean([share_right(listen(lambda time: None, "still", seed)) for seed in range(3)]) > 0.9


def test_who_is_alone_speaks_unless_the_mouth_stands_still() -> None:
    assert share_right(listen(lambda time: 0, "still", 0, heads=1)) > 0.95
    assert share_right(listen(lambda time: None, "still", 0, heads=1), settled=3.0) > 0.9


def test_a_change_of_speaker_takes_at_least_the_time_of_the_hysteresis() -> None:
    moments = listen(lambda time: int(time / 4) % 2, "random", 4, 40.0)
    speakers = [(each.time_seconds, each.voices.speaker) for each in moments if each.voices.speaker is not None]
    changes = [b[0] for a, b in pairwise(speakers) if a[1] != b[1]]
    assert changes
    assert min(np.diff(changes), default=1.0) >= 0.4 - 1e-6


def test_nobody_speaks_in_silence() -> None:
    state = Speaking()
    for index in range(40):
        state, voices = who_speaks(state, {0: 0.2, 1: 0.1}, 0.0, False, index * 0.08)
        assert voices == Voices({0: 0.0, 1: 0.0}, None)


def test_a_short_pause_keeps_the_speaker() -> None:
    state, said = Speaking(), []
    for index in range(60):
        speech = index < 40 or index > 44
        state, voices = who_speaks(state, {0: 0.15 if speech else 0.0, 1: 0.0}, 0.5 * speech, speech, index * 0.08)
        said.append(voices.speaker)
    assert set(said[20:]) == {0}


def test_who_left_the_picture_has_no_probability_and_is_forgotten() -> None:
    state = Speaking()
    for index in range(20):
        state, _ = who_speaks(state, {0: 0.1, 1: 0.0}, 0.5, True, index * 0.08)
    for index in range(20, 60):
        state, voices = who_speaks(state, {1: 0.0}, 0.5, True, index * 0.08)
    assert set(voices.probability) == {1}
    assert set(state.motion) == {1}


def test_nobody_visible_is_fine() -> None:
    state, voices = who_speaks(Speaking(), {}, 0.5, True, 0.0)
    assert voices == Voices({}, None)
    assert state.speaker is None


@given(
    motions=st.lists(
        st.dictionaries(st.integers(0, 4), st.floats(-0.1, 3) | st.just(math.nan), max_size=5), min_size=1, max_size=30
    ),
    energies=st.lists(st.floats(0, 1), min_size=30, max_size=30),
    step=st.floats(0.001, 3),
)
def test_probabilities_are_probabilities_and_memory_is_bounded(
    motions: list[dict[int, float]], energies: list[float], step: float
) -> None:
    state, again = Speaking(), Speaking()
    for index, (motion, energy) in enumerate(zip(motions, energies, strict=False)):
        state, voices = who_speaks(state, motion, energy, energy > 0.1, index * step)
        again, same = who_speaks(again, dict(reversed(motion.items())), energy, energy > 0.1, index * step)
        assert same == voices
        assert all(0 <= share <= 1 for share in voices.probability.values())
        assert sum(voices.probability.values()) <= 1 + 1e-9
        assert voices.speaker is None or voices.speaker in voices.probability
        assert state.times[-1] - state.times[0] <= MEMORY_SECONDS
        assert all(len(history) == len(state.times) for history in state.motion.values())


# Real pictures


def test_a_real_speaker_moves_his_mouth(data_root: Path) -> None:
    detector, follower, before, motion = HaarDetector(), Follower(), None, []
    with open_clip(data_root / "clips" / "selfie_1920x1080.mp4") as clip:
        for item in clip.read(video_rate_hz=RATE):
            if isinstance(item, VideoFrame):
                follower, face = follow(follower, detector.detect(item), item.time_seconds, RECIPE)
                if face is not None:
                    crop = crop_face(item, face, RECIPE, "haar")
                    motion.append(mouth_motion(before, crop) if before is not None else 0.0)
                    before = crop
    assert 0.03 < np.mean(motion) < 0.5
