"""A composed recording is what was asked for, and `extract` reads it as it reads a clip."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.corpora import composed
from emotrace.corpora.composed import SECONDS, Composition, Conditions, KnownFace, Material, compose
from emotrace.corpora.face_disturbance import disturb as disturb_face
from emotrace.corpora.voice_disturbance import disturb as disturb_voice
from emotrace.errors import CorpusError
from emotrace.features.extract import extract
from emotrace.features.face_crops import crop_face
from emotrace.labels import CIRCUMPLEX, EMOTIONS
from emotrace.media import VideoFrame
from emotrace.recipe import AudioRecipe, CropGeometry, Recipe, VideoRecipe
from emotrace.types import AudioChunk
from tests.corpora.trees import face

RECIPE = Recipe(audio=AudioRecipe(window_seconds=0.5, hop_seconds=2.0))
EASY = Conditions(face_missing=0, voice_missing=0, face_disturbed=0, voice_disturbed=0, contradicting=0)
HAPPY, SAD = EMOTIONS.index("happiness"), EMOTIONS.index("sadness")


@pytest.fixture(scope="module")
def material() -> Material:
    """Happy voices are loud and sad ones faint; happy faces are light and sad ones dark; fear has no face."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((3, 20_000)).astype(np.float32)
    return Material(
        voices={"happiness": list(0.1 * noise), "sadness": list(0.0001 * noise), "fear": list(noise)},
        faces={
            "happiness": np.stack([face(seed) // 2 + 128 for seed in range(3)]),
            "sadness": np.stack([face(seed) // 4 + 1 for seed in range(3)]),
        },
    )


def composition(material: Material, conditions: Conditions = EASY, seed: int = 0) -> Composition:
    return compose(material, RECIPE, np.random.default_rng(seed), conditions)


def test_the_same_seed_gives_the_same_recording_and_another_seed_another(material: Material) -> None:
    first, again, other = (composition(material, Conditions(), seed) for seed in (3, 3, 4))
    for name in ("samples", "frame_times", "frames", "emotion"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.samples, other.samples)
    assert not np.array_equal(first.frames, other.frames)


def test_a_recording_is_complete_and_in_range(material: Material) -> None:
    one = composition(material, Conditions())
    assert one.samples.shape == (SECONDS * 16_000,)
    assert np.abs(one.samples).max() <= 1
    assert one.emotion.shape == (SECONDS * 25,)
    assert set(one.emotion) <= {HAPPY, SAD}  # fear has no face
    assert len(one.frames) == len(one.frame_times) == SECONDS * 12.5
    assert one.frame_times[-1] < SECONDS


def test_the_truth_follows_the_circumplex(material: Material) -> None:
    one = composition(material)
    for place, (arousal, valence) in zip(one.emotion, one.arousal_valence(), strict=True):
        point = CIRCUMPLEX[EMOTIONS[place]]
        assert (arousal, valence) == (np.float32(point.arousal), np.float32(point.valence))


@pytest.mark.parametrize("seed", range(4))
def test_undisturbed_faces_and_voices_are_of_the_emotion_that_is_told(material: Material, seed: int) -> None:
    one = composition(material, EASY, seed)
    told = one.emotion[np.round(one.frame_times * 25).astype(int)]
    light = one.frames.mean(axis=(1, 2)) > 120
    assert np.mean(light == (told == HAPPY)) > 0.98  # a tick and a picture may meet a change differently
    loud = np.array([np.abs(part).max() > 0.01 for part in np.split(one.samples, len(one.emotion))])
    happy = one.emotion == HAPPY
    assert loud[~happy].mean() < 0.02 if (~happy).any() else True
    assert loud[happy].mean() > 0.98 if happy.any() else True


def test_missing_one_means_no_face_and_no_voice_at_all(material: Material) -> None:
    one = composition(material, replace(EASY, face_missing=1, voice_missing=1))
    assert not one.frames.any()
    assert 0 < np.abs(one.samples).max() < 0.01  # faint noise stays
    whole = composition(material, EASY)
    assert whole.frames.any(axis=(1, 2)).all()


def test_the_shares_of_what_is_missing_are_roughly_kept(material: Material) -> None:
    ones = [composition(material, replace(EASY, face_missing=0.5), seed) for seed in range(12)]
    share = 1 - np.mean([one.frames.any(axis=(1, 2)).mean() for one in ones])
    assert 0.35 < share < 0.65


@pytest.mark.parametrize("emotion", [None, "happiness"])
def test_material_that_cannot_contradict_itself_is_refused(material: Material, emotion: str | None) -> None:
    voices = {emotion: material.voices[emotion]} if emotion else {}
    with pytest.raises(CorpusError, match=f"at least two emotions are needed, found {emotion or 'none'}"):
        composition(Material(voices, material.faces))


def test_sound_and_pictures_are_read_in_order_of_time(material: Material) -> None:
    one = composition(material)
    items = list(one.read(sample_rate=16_000, video_rate_hz=None))
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    frames = [item for item in items if isinstance(item, VideoFrame)]
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), one.samples)
    np.testing.assert_array_equal([frame.time_seconds for frame in frames], one.frame_times)
    np.testing.assert_array_equal([frame.grey() for frame in frames[::40]], one.frames[::40])


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.21, 4.9), shift=st.floats(-1, 1))
def test_the_known_face_is_cut_out_exactly_whatever_the_geometry(scale: float, shift: float) -> None:
    video = VideoRecipe(haar_geometry=CropGeometry(scale=scale, shift_y=shift))
    finder = KnownFace(Recipe(video=video))
    frame = VideoFrame.from_rgb(0.0, np.repeat(face(7)[:, :, None], 3, axis=2))
    [found] = finder.detect(frame)
    np.testing.assert_array_equal(crop_face(frame, found, video, finder.name), face(7))


def test_a_black_picture_has_no_face() -> None:
    assert KnownFace(RECIPE).detect(VideoFrame.from_rgb(0.0, np.zeros((48, 48, 3), np.uint8))) == []


def test_extract_reads_a_recording_as_a_clip(material: Material) -> None:
    one = composition(material, replace(EASY, face_missing=0.5), seed=2)
    crops, detected = [], []
    for block in extract(one, RECIPE, KnownFace(RECIPE)):
        detected.append(block.face_detected)
        crops += [block.face_crops[place] for place in block.face_index[block.face_index >= 0]]
    there = np.concatenate(detected)
    assert there.shape == one.emotion.shape
    shown = one.frames[one.frames.any(axis=(1, 2))]
    assert {crop.tobytes() for crop in crops} == {frame.tobytes() for frame in shown}
    # A face is still known for the hold time of 0.25 s after the last picture of it.
    seen = np.asarray(one.frames.any(axis=(1, 2)))
    expected = [
        bool(seen[(one.frame_times <= tick + 1e-6) & (one.frame_times >= tick - 0.25 - 1e-6)].any())
        for tick in np.arange(len(there)) / 25
    ]
    assert there.tolist() == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_disturbed_face_is_a_picture_and_never_in_place(seed: int) -> None:
    crop = face(1)
    kept = crop.copy()
    hard = disturb_face(crop, np.random.default_rng(seed), strength=1.0)
    assert hard.shape == crop.shape
    assert hard.dtype == np.uint8
    np.testing.assert_array_equal(crop, kept)
    nearly = disturb_face(crop, np.random.default_rng(seed), strength=0.0)
    assert np.abs(nearly.astype(int) - crop.astype(int)).max() <= 1


@pytest.mark.parametrize("seed", range(10))
def test_a_disturbed_voice_is_finite_in_range_and_of_similar_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    voice = (0.1 * rng.standard_normal(8000)).astype(np.float32)
    silent = np.zeros(8000, dtype=np.float32)
    for samples in (voice, silent):
        out = disturb_voice(samples, [voice], rng)
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1
        assert 0.79 < len(out) / len(samples) < 1.26


def test_every_segment_lasts_a_second_at_least(material: Material) -> None:
    short = Material(
        {each: [voice[:800] for voice in material.voices[each]] for each in material.faces}, material.faces
    )
    changes = np.flatnonzero(np.diff(composition(short).emotion)) + 1
    assert len(changes) > 2
    assert np.diff(changes).min() >= 25
    assert composed.SECONDS == 16.0
