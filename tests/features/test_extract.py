"""Media -> features: causal, the same in any blocks, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrace.errors import MediaError
from emotrace.features import extract as extract_module
from emotrace.features.audio_signal import EndpointState, detect_speech
from emotrace.features.extract import extract
from emotrace.features.slices import log_magnitude_frames, log_mel_frames
from emotrace.features.voice_input import voice_input
from emotrace.media import ClipInfo, VideoFrame, open_clip
from emotrace.recipe import AudioRecipe, Recipe, SliceFrontEnd, VideoRecipe
from emotrace.types import AudioChunk, Face, Features, FloatArray
from tests.media_factory import Pictures, Sound, flat_images, tone, write_clip

RECIPE = Recipe(audio=AudioRecipe(window_seconds=0.2, hop_seconds=0.2, speech_hold_seconds=0.2))
LIGHT, DARK = 200, 20


class LightPicture:
    """Finds a face that fills the picture wherever the picture is light."""

    name: Literal["haar"] = "haar"
    is_free: Literal[True] = True

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        if frame.grey().mean() < 100:
            return []
        return [Face(0.0, 0.0, float(frame.width), float(frame.height), confidence=0.75)]


@dataclass(frozen=True)
class Listed:
    """A source of given chunks and pictures, in any order."""

    items: Sequence[AudioChunk | VideoFrame]
    has_audio: bool = True
    has_video: bool = True
    frame_rate: float | None = None

    @property
    def info(self) -> ClipInfo:
        return ClipInfo(Path("listed"), None, self.has_audio, self.has_video, 8, 8, self.frame_rate)

    def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
        assert sample_rate == 16_000
        yield from self.items


def picture(seconds: float, level: int = LIGHT) -> VideoFrame:
    return VideoFrame.from_rgb(seconds, np.full((64, 64, 3), level, np.uint8))


def pictures(stop: float, rate: float = 12.5, level: int = LIGHT) -> list[VideoFrame]:
    return [picture(number / rate, (level + number) % 256) for number in range(round(stop * rate))]


def speech(seconds: float, seed: int = 0) -> FloatArray:
    """Return noise in bursts, which the endpoint detection takes for speech."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * 16_000)) / 16_000
    bursts = np.where(times % 0.7 > 0.3, 0.2, 0.0005)
    return (bursts * rng.standard_normal(len(times))).clip(-1, 1).astype(np.float32)


def chunks(samples: FloatArray, start: float = 0.0, size: int = 1000) -> list[AudioChunk]:
    return [AudioChunk(start + first / 16_000, samples[first : first + size]) for first in range(0, len(samples), size)]


def merged(*tracks: Sequence[AudioChunk | VideoFrame]) -> list[AudioChunk | VideoFrame]:
    def time(item: AudioChunk | VideoFrame) -> float:
        return item.start_seconds if isinstance(item, AudioChunk) else item.time_seconds

    return sorted((item for track in tracks for item in track), key=time)


def rows(blocks: Sequence[Features], stop: int | None = None) -> dict[str, NDArray[np.generic]]:
    """Return what is known at every tick, with the inputs themselves instead of their numbers."""
    found: dict[str, list[NDArray[np.generic]]] = {}
    for block in blocks:
        for name in (each.name for each in fields(Features)):
            if name not in ("voice_inputs", "face_crops", "voice_index", "face_index"):
                found.setdefault(name, []).append(getattr(block, name))
        for name, table, index in (
            ("voice", block.voice_inputs, block.voice_index),
            ("crop", block.face_crops, block.face_index),
        ):
            assert index.max(initial=-1) < len(table)
            none = np.full((1, *table.shape[1:]), 0, table.dtype)
            found.setdefault(name, []).append(np.concatenate([table, none])[index])
            found.setdefault(f"has {name}", []).append(index >= 0)
    return {name: np.concatenate(parts)[:stop] for name, parts in found.items()}


def assert_same(one: dict[str, NDArray[np.generic]], other: dict[str, NDArray[np.generic]]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def both() -> Listed:
    light = [frame for frame in pictures(3.0) if not 1.0 <= frame.time_seconds < 1.6]
    dark = [picture(1.0 + number / 12.5, DARK) for number in range(8)]
    return Listed(merged(chunks(speech(3.0)), light, dark))


@pytest.mark.parametrize("block_seconds", [0.001, 0.04, 0.13, 0.5, 1.0, 2.96])
def test_any_block_length_gives_the_same_rows(both: Listed, block_seconds: float) -> None:
    whole = list(extract(both, RECIPE, LightPicture(), block_seconds=1000))
    blocks = list(extract(both, RECIPE, LightPicture(), block_seconds=block_seconds))
    assert len(whole) == 1
    assert max(len(block.times) for block in blocks) == max(1, round(block_seconds * 25))
    assert_same(rows(blocks), rows(whole))


@pytest.mark.parametrize("rate", [10.0, 24.0, 30.0, 100.0])
def test_other_label_rates_give_the_same_rows_in_any_blocks(both: Listed, rate: float) -> None:
    recipe = RECIPE.model_copy(update={"label_rate_hz": rate})
    whole = rows(list(extract(both, recipe, LightPicture(), block_seconds=1000)))
    # The last picture, at 2.96 s, stands for a tick.
    np.testing.assert_array_equal(whole["times"], np.arange(np.ceil(max(3.0, 2.96 + 1 / rate) * rate)) / rate)
    assert_same(rows(list(extract(both, recipe, LightPicture(), block_seconds=0.33))), whole)


def test_the_end_of_a_clip_changes_nothing_before_it() -> None:
    first = speech(2.0)
    other = first.copy()
    other[16_000:] = speech(1.0, seed=9) * 3
    early = [frame for frame in pictures(2.0) if frame.time_seconds < 1.0]
    late = [picture(frame.time_seconds, DARK) for frame in pictures(2.0) if frame.time_seconds >= 1.0]
    one = rows(list(extract(Listed(merged(chunks(first), pictures(2.0))), RECIPE, LightPicture())), 25)
    two = rows(list(extract(Listed(merged(chunks(other), early, late)), RECIPE, LightPicture())), 25)
    three = rows(list(extract(Listed(merged(chunks(first[:16_000]), early)), RECIPE, LightPicture())), 25)
    assert_same(one, two)
    assert_same(one, three)
    assert one["has voice"].any()


def test_every_input_is_the_sound_up_to_its_tick(both: Listed) -> None:
    samples = np.concatenate([np.zeros(3200, np.float32), speech(3.0)])
    [block] = extract(both, RECIPE, None)
    assert block.voice_index[:5].tolist() == [-1] * 5
    for tick in (5, 10, 14, 74):
        end = tick // 5 * 5 * 640
        expected = voice_input(samples[end : end + 3200], RECIPE.audio)
        np.testing.assert_array_equal(block.voice_inputs[block.voice_index[tick]], expected)


def joined(blocks: Sequence[Features], hop_ticks: int) -> FloatArray:
    """Return the inputs of consecutive hops, one after the other."""
    told = rows(blocks)
    return np.concatenate(list(told["voice"][hop_ticks::hop_ticks]))


@pytest.mark.parametrize(
    ("front_end", "frames", "reach"), [("log-mel", log_mel_frames, 240), ("log-spectrogram", log_magnitude_frames, 480)]
)
@pytest.mark.parametrize(("hop_seconds", "hop_ticks"), [(0.04, 1), (0.2, 5)])
@pytest.mark.parametrize("samples", [speech(3.0), speech(2.0) + 0.01, speech(1.03)], ids=["speech", "offset", "odd"])
def test_slices_joined_are_the_spectrogram_of_the_whole_recording_in_any_blocks(
    front_end: SliceFrontEnd,
    frames: Callable[[FloatArray], FloatArray],
    reach: int,
    hop_seconds: float,
    hop_ticks: int,
    samples: FloatArray,
) -> None:
    audio = AudioRecipe(front_end=front_end, window_seconds=hop_seconds, hop_seconds=hop_seconds, pre_emphasis=0.0)
    recipe = Recipe(audio=audio)
    source = Listed(chunks(samples, size=777), has_video=False)
    blocks = list(extract(source, recipe, None, block_seconds=1000))
    made = joined(blocks, hop_ticks)
    # Before the recording there is silence; the last hop that a tick has heard whole ends the slices.
    heard = (len(rows(blocks)["times"]) - 1) // hop_ticks * hop_ticks * 640
    whole = frames(np.concatenate([np.zeros(reach, np.float32), samples[:heard]]))
    assert len(made) >= len(samples) // 160 - 4 * hop_ticks
    np.testing.assert_allclose(made, whole, atol=1e-4)  # one product of many rows rounds otherwise than many of few
    for block_seconds in (0.04, 0.13, 1.0):
        np.testing.assert_array_equal(
            joined(list(extract(source, recipe, None, block_seconds=block_seconds)), hop_ticks), made
        )


def test_speech_is_what_the_endpoint_detection_says_of_the_last_40_ms(both: Listed) -> None:
    [block] = extract(both, RECIPE, None)
    _, found = detect_speech(EndpointState(), speech(3.0))
    np.testing.assert_array_equal(block.speech, [False, *found.speech[:-1]])
    np.testing.assert_array_equal(block.speech_energy, [0, *found.speech_energy[:-1]])
    assert 0.2 < block.speech.mean() < 0.8
    held = [bool(block.speech[max(0, tick - 5) : tick + 1].any()) for tick in range(75)]
    assert block.voice_valid.tolist() == held


def test_a_stretch_without_a_face_is_marked_after_the_hold_time(both: Listed) -> None:
    [block] = extract(both, RECIPE, LightPicture(), block_seconds=1000)
    # The last light picture before the dark ones is at 0.96 s and holds until 1.21 s; the next is at 1.6 s.
    expected = [not 1.21 < tick / 25 < 1.6 for tick in range(75)]
    assert block.face_detected.tolist() == expected
    np.testing.assert_array_equal(block.face_detected, block.face_index >= 0)
    np.testing.assert_array_equal(np.isnan(block.face_confidence), ~block.face_detected)
    np.testing.assert_array_equal(np.isnan(block.face_box).all(axis=1), ~block.face_detected)
    assert set(block.face_confidence[block.face_detected]) == {0.75}
    assert block.face_box[0].tolist() == [0, 0, 64, 64]
    assert set(block.person) == {0}


def test_without_a_detector_or_a_video_no_face_is_known(both: Listed) -> None:
    for source in (both, Listed(chunks(speech(3.0)), has_video=False)):
        finder = None if source is both else LightPicture()
        found = rows(list(extract(source, RECIPE, finder, block_seconds=1)))
        assert len(found["times"]) == 75
        assert not found["face_detected"].any()
        assert found["has voice"].any()


def test_unheard_and_absent_sound_are_the_same(both: Listed) -> None:
    silent = Listed(pictures(3.0), has_audio=False)
    unheard = Listed(merged(chunks(speech(3.0)), pictures(3.0)))
    found = rows(list(extract(unheard, RECIPE, LightPicture(), hear=False)))
    assert np.isnan(found["speech_energy"]).all()
    assert not found["speech"].any() | found["voice_valid"].any() | found["has voice"].any()
    assert_same(rows(list(extract(silent, RECIPE, LightPicture()))), found)


def test_the_ticks_cover_the_longer_of_sound_and_pictures_whatever_is_used() -> None:
    long_video = Listed(merged(chunks(speech(0.5)), pictures(1.6)))
    long_sound = Listed(merged(chunks(speech(1.56)), pictures(0.5)))
    for source in (long_video, long_sound):
        for finder, hear in ((LightPicture(), True), (None, True), (LightPicture(), False), (None, False)):
            blocks = list(extract(source, RECIPE, finder, hear=hear, block_seconds=0.2))
            assert sum(len(block.times) for block in blocks) == 39


def test_the_last_picture_of_a_slow_video_stands_for_its_time() -> None:
    slow = Listed(pictures(4.0, rate=1.0), has_audio=False, frame_rate=1.0)
    assert sum(len(block.times) for block in extract(slow, RECIPE, LightPicture())) == 100
    absurd = Listed([picture(0.0)], has_audio=False, frame_rate=1e-9)
    assert sum(len(block.times) for block in extract(absurd, RECIPE, LightPicture())) == 250


def test_sound_that_starts_late_is_silence_before() -> None:
    late = Listed(merged(chunks(speech(1.0), start=1.0), pictures(2.0)))
    padded = Listed(merged(chunks(np.concatenate([np.zeros(16_000, np.float32), speech(1.0)])), pictures(2.0)))
    assert_same(rows(list(extract(late, RECIPE, None, block_seconds=0.5))), rows(list(extract(padded, RECIPE, None))))


def test_gaps_and_overlaps_of_sound_stay_at_their_place() -> None:
    samples = speech(2.0)
    gapped = samples.copy()
    gapped[8_000:16_000] = 0
    parts = [
        AudioChunk(0.0, samples[:8_000]),
        AudioChunk(0.25, samples[4_000:6_000]),  # heard already
        AudioChunk(1.0, samples[16_000:24_000]),
        AudioChunk(1.25, samples[20_000:]),  # its beginning overlaps
    ]
    assert_same(
        rows(list(extract(Listed(parts, has_video=False), RECIPE, None, block_seconds=0.3))),
        rows(list(extract(Listed(chunks(gapped), has_video=False), RECIPE, None))),
    )


@pytest.mark.parametrize("sound_first", [True, False])
def test_a_file_with_one_track_behind_the_other_gives_the_same_rows(both: Listed, sound_first: bool) -> None:
    apart = sorted(both.items, key=lambda item: isinstance(item, AudioChunk) != sound_first)
    assert_same(
        rows(list(extract(Listed(apart), RECIPE, LightPicture(), block_seconds=0.2))),
        rows(list(extract(both, RECIPE, LightPicture(), block_seconds=0.2))),
    )


def test_a_track_that_waits_hours_for_the_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract_module, "MAX_WAITING_BYTES", 100_000)
    still = Listed([picture(0.0), *chunks(speech(3.0))])
    with pytest.raises(MediaError, match=r"hours of sound before the pictures .*--only voice"):
        list(extract(still, RECIPE, LightPicture()))
    broken = Listed([*chunks(speech(0.1)), *pictures(4.0)])
    with pytest.raises(MediaError, match="hours of pictures before the sound"):
        list(extract(broken, RECIPE, LightPicture()))
    # What is not used does not have to wait, and well-ordered media of any length need little.
    assert list(extract(still, RECIPE, None, block_seconds=0.2))
    assert list(extract(broken, RECIPE, LightPicture(), hear=False, block_seconds=0.2))
    ordered = Listed(merged(chunks(speech(6.0)), pictures(6.0)))
    assert len(list(extract(ordered, RECIPE, LightPicture(), block_seconds=0.2))) == 30


def test_a_jump_of_minutes_costs_no_memory_for_the_silence() -> None:
    recipe = Recipe(audio=RECIPE.audio.model_copy(update={"hop_seconds": 30.0}), label_rate_hz=1.0)
    jump = Listed([*chunks(speech(0.5)), *chunks(speech(0.5), start=300.0)], has_video=False)
    blocks = extract(jump, recipe, None, block_seconds=50)
    sizes = [len(block.times) for block in blocks]
    assert sizes == [50] * 6 + [1]


def test_a_block_comes_as_soon_as_it_is_complete() -> None:
    read: list[float] = []

    class Watched(Listed):
        def read(self, *, sample_rate: int, video_rate_hz: float | None) -> Iterator[AudioChunk | VideoFrame]:
            for item in self.items:
                assert isinstance(item, AudioChunk)
                read.append(item.start_seconds)
                yield item

    blocks = extract(Watched(chunks(speech(4.0)), has_video=False), RECIPE, None, block_seconds=0.4)
    next(blocks)
    assert read[-1] < 0.6


def test_the_face_network_gets_the_size_of_the_recipe(both: Listed) -> None:
    recipe = RECIPE.model_copy(update={"video": VideoRecipe(crop_size=32)})
    [block] = extract(both, recipe, LightPicture(), block_seconds=1000)
    assert block.face_crops.shape[1:] == (32, 32)
    [nothing] = extract(both, recipe, None, block_seconds=1000)
    assert nothing.face_crops.shape == (0, 32, 32)


class CountingDetector:
    """A face that fills light pictures, found at a cost: how it was asked is counted."""

    name: Literal["haar"] = "haar"
    is_free: Literal[False] = False

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        self.asked.append((frame.time_seconds, "whole" if near is None else "near"))
        return LightPicture().detect(frame)


def test_a_followed_face_is_looked_for_where_it_is_and_the_whole_picture_now_and_then_without_one() -> None:
    shown = [picture(n / 10, LIGHT if 10 <= n < 20 else DARK) for n in range(40)]
    detector = CountingDetector()
    [block] = extract(Listed(shown, has_audio=False), RECIPE, detector, block_seconds=1000)
    searches = np.array([seconds for seconds, how in detector.asked if how == "whole"])
    found = searches[searches >= 1.0][0]
    assert found <= 1.25
    assert [how for seconds, how in detector.asked if found < seconds < 2.0] == ["near"] * 7
    assert not [how for seconds, how in detector.asked if how == "near" and not found < seconds < 2.4]
    just_lost = (searches >= 2.0) & (searches < 2.4)
    assert just_lost.sum() >= 3
    for rare in (searches[searches <= found], searches[searches >= 2.4]):
        assert len(rare) == 5
        assert (np.diff(rare) >= 1 / RECIPE.video.search_rate_hz).all()
    seen = block.times[block.face_detected]
    assert found <= seen[0] <= found + 0.04
    assert seen[-1] >= 1.9


def test_a_real_file_gives_the_same_rows_in_any_blocks(tmp_path: Path) -> None:
    levels = [LIGHT] * 13 + [DARK] * 12 + [LIGHT] * 13
    clip = write_clip(
        tmp_path / "clip.mp4",
        pictures=Pictures(flat_images(levels), [number / 25 for number in range(38)]),
        sounds=[Sound(tone(1.0), start_seconds=0.4)],
    )
    with open_clip(clip) as opened:
        whole = rows(list(extract(opened, RECIPE, LightPicture(), block_seconds=1000)))
        blocks = rows(list(extract(opened, RECIPE, LightPicture(), block_seconds=0.1)))
    assert_same(blocks, whole)
    assert whole["face_detected"].any()
    assert not whole["face_detected"].all()
