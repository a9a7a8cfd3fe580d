"""Everybody's features: the voice with whoever speaks, every tick with somebody, the same in any blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrace.features.extract import extract, extract_people
from emotrace.media import ClipInfo, VideoFrame
from emotrace.recipe import AudioRecipe, Recipe, VideoRecipe
from emotrace.types import NOBODY, AudioChunk, Face, Features, Image

RECIPE = Recipe(
    audio=AudioRecipe(window_seconds=0.2, hop_seconds=0.2, speech_hold_seconds=0.2),
    video=VideoRecipe(rate_hz=25, search_rate_hz=25),
)
SECONDS = 12.0
SIDE = 96
COLOURS = {0: (200, 60, 60), 1: (60, 60, 200)}
PLACES = {0: 40, 1: 240}


@dataclass(frozen=True)
class Scene:
    """Two people beside each other, the first speaking before the middle and the second after it.

    Attributes:
        sound: [N] bursts of a tone; a mouth is open while they sound.
        shown: whether a person is in the picture at a time.
    """

    sound: NDArray[np.float32]
    silent_seconds: tuple[float, float] = (0.0, 0.0)
    shown: dict[int, tuple[float, float]] = field(default_factory=lambda: {0: (0.0, SECONDS), 1: (0.0, SECONDS)})

    @property
    def info(self) -> ClipInfo:
        return ClipInfo(Path("scene"), SECONDS, True, True, 400, 240, 25.0)

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        for number in range(round(SECONDS * 25)):
            seconds = number / 25
            first = round(seconds * sample_rate)
            yield AudioChunk(seconds, self.sound[first : first + sample_rate // 25])
            yield VideoFrame.from_rgb(seconds, self._picture(number))

    def _picture(self, number: int) -> Image:
        seconds = number / 25
        picture = np.full((240, 400, 3), 40, np.uint8)
        speaker = 0 if seconds < SECONDS / 2 else 1
        loud = np.abs(self.sound[max(0, round((seconds - 0.04) * 16_000)) : round(seconds * 16_000) + 1]).max()
        for person, left in PLACES.items():
            start, stop = self.shown[person]
            if start <= seconds < stop:
                draw(
                    picture,
                    left,
                    COLOURS[person],
                    opening=1 + number * 7 % 5 if loud > 0.1 and person == speaker else 0,
                )
        return picture


def draw(picture: Image, left: int, colour: tuple[int, int, int], *, opening: int) -> None:
    """Draw a face with eyes, a mouth, and clothes of a colour."""
    picture[140:240, left - 20 : left + SIDE + 20] = colour
    face = picture[40 : 40 + SIDE, left : left + SIDE]
    face[:] = (210, 180, 150)
    face[28:38, 18:36] = face[28:38, 60:78] = (30, 30, 30)
    face[68 : 71 + 3 * opening, 30:66] = (90, 30, 30)


class DrawnFaces:
    """Finds the skin of the drawn faces."""

    name: Literal["haar"] = "haar"
    is_free: Literal[True] = True

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        picture = frame.rgb()
        return [
            Face(float(left), 40.0, float(SIDE), float(SIDE), 0.9)
            for left in PLACES.values()
            if abs(int(picture[42, left + 3, 0]) - 210) < 20
        ]


def bursts(*, quiet: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    """Return a tone that comes and goes three times a second, as syllables do, with a pause in the middle."""
    times = np.arange(round(SECONDS * 16_000)) / 16_000
    syllables = (np.sin(2 * np.pi * 2.7 * times) > 0) & (np.abs(times - SECONDS / 2) > 0.7)
    level = np.where(syllables & ~((times >= quiet[0]) & (times < quiet[1])), 0.5, 0.0005)
    return np.asarray(level * np.sin(2 * np.pi * 220 * times), dtype=np.float32)


def people(scene: Scene, block_seconds: float = 1000.0) -> dict[int, Features]:
    """Return the features of everybody, blocks joined; indices into inputs are of no use then."""
    found: dict[int, list[Features]] = {}
    for block in extract_people(scene, RECIPE, DrawnFaces(), block_seconds=block_seconds):
        assert [each.person[0] for each in block] == sorted({each.person[0] for each in block})
        for each in block:
            assert (each.person == each.person[0]).all()
            found.setdefault(int(each.person[0]), []).append(each)
    names = [each.name for each in fields(Features)]
    return {
        person: Features(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
        for person, parts in found.items()
    }


@pytest.fixture(scope="module")
def two() -> dict[int, Features]:
    return people(Scene(bursts()))


def share(features: Features, start: float, stop: float) -> float:
    """Return how much of what is heard of the voice in a time is this person's."""
    inside = (features.times >= start) & (features.times < stop)
    return float(features.voice_valid[inside].mean())


def test_the_voice_is_with_whoever_moves_the_mouth_with_it(two: dict[int, Features]) -> None:
    assert share(two[0], 1.5, 5.0) > 0.85
    assert share(two[1], 1.5, 5.0) < 0.05
    assert share(two[1], 8.0, 11.5) > 0.85
    assert share(two[0], 8.0, 11.5) < 0.05


def test_the_energy_of_the_voice_is_that_of_its_speaker(two: dict[int, Features]) -> None:
    [main] = extract(Scene(bursts()), RECIPE, DrawnFaces(), block_seconds=1000)
    energy = np.zeros(len(main.times), np.float32)
    for features in two.values():
        energy[np.searchsorted(main.times, features.times)] += np.nan_to_num(features.speech_energy)
    spoken = main.voice_valid
    np.testing.assert_allclose(energy[spoken], main.speech_energy[spoken])


def test_every_tick_is_somebodys_and_each_voice_at_most_one_persons(two: dict[int, Features]) -> None:
    ticks = np.concatenate([features.times for features in two.values()])
    np.testing.assert_allclose(np.unique(ticks), np.arange(round(SECONDS * 25)) / 25)
    heard = np.concatenate([features.times[features.voice_valid] for features in two.values()])
    assert len(np.unique(heard)) == len(heard)


def test_a_voice_while_nobody_is_seen_is_nobodys() -> None:
    found = people(Scene(bursts(), shown={0: (0.0, 3.0), 1: (0.0, 3.0)}))
    late = found[NOBODY].times >= 3.5
    assert found[NOBODY].voice_valid[late].any()
    assert max(found[0].times[-1], found[1].times[-1]) < 3.5
    assert (found[NOBODY].face_index == -1).all()


@pytest.mark.parametrize("block_seconds", [0.04, 0.6, 3.0])
def test_blocks_change_nothing(two: dict[int, Features], block_seconds: float) -> None:
    cut = people(Scene(bursts()), block_seconds)
    assert cut.keys() == two.keys()
    for person, whole in two.items():
        for name in ("times", "voice_valid", "speech", "speech_energy", "face_detected", "face_box", "person"):
            expected: NDArray[Any] = getattr(whole, name)
            np.testing.assert_array_equal(getattr(cut[person], name), expected, err_msg=f"{person} {name}")
