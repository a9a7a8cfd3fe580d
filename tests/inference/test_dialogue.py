"""Every turn of a conversation gets the answer that training saw of the same stretch, whatever comes after it."""

import wave
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from emotrace.bundle import Bundle, load_bundle
from emotrace.corpora.labelled import LabelledClip
from emotrace.inference import dialogue
from emotrace.inference.dialogue import Dialogue, answer_turns
from emotrace.inference.history import History
from emotrace.inference.offline import analyze
from emotrace.inference.system_session import SystemSession
from emotrace.labels import EMOTIONS
from emotrace.timeline import Timeline
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.prediction import predict_classes
from emotrace.training.systems import SavedSystem, clip_reading_of
from emotrace.training.tracks import Track
from emotrace.turn_table import TurnAnswer
from emotrace.turns import Turn
from emotrace.types import Features
from tests.corpora.miniature_clips import write_clip
from tests.inference.bundles import CLASSES, bundle_of, features_of

CLIP_LEVEL = ("dialogue-attention", "perception-attention", "vaanet")
FRAME_LEVEL = ("modular-hierarchy", "default")
SECONDS = 6.0
RATE_HZ = 25
AT_A_TIME = ((0.5, 1.5, "ann"), (1.0, 2.6, "ben"), (3.9, 4.7, "ann"), (4.7, 5.5, None), (5.0, 6.0, "cleo"))
TURNS = tuple(Turn(*each) for each in AT_A_TIME)
Made = tuple[SavedSystem, Track, Bundle]
Make = Callable[[str], Made]
Bundles = Callable[[str], Bundle]
Timelines = Callable[[str], Timeline]
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation with a pause from 2.6 to 3.8 s."""
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    write_clip(path, arousal=0.5, valence=0.4, seconds=SECONDS, seed=2, silence=(2.6, 3.8))
    return path


@pytest.fixture(scope="module")
def made(talk: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    clip = LabelledClip("talk", "ann", "train", "anger", talk, talk)
    features = features_of(clip, tmp_path_factory.mktemp("features"))
    return cache(lambda key: bundle_of(key, clip, features, tmp_path_factory.mktemp(key)))


@pytest.fixture(scope="module")
def bundles(made: Make) -> Bundles:
    return lambda key: load_bundle() if key == "default" else made(key)[2]


@pytest.fixture(scope="module")
def timelines(talk: Path, bundles: Bundles) -> Timelines:
    return cache(lambda key: analyze(talk, bundle=bundles(key)))


def shares(answers: tuple[TurnAnswer, ...]) -> np.ndarray:
    """Return [N, C]: the probabilities of turns of which something is known."""
    return np.array([list(each.probabilities.values()) for each in answers])


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_without_a_file_of_turns_they_are_stretches_of_speech(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    found = answer_turns(talk, timelines(key), bundles(key), None)
    assert found.problems == ()
    assert found.classes == (CLASSES if key in CLIP_LEVEL else EMOTIONS)
    spans = [(each.turn.start_seconds, each.turn.end_seconds) for each in found.answers]
    np.testing.assert_allclose(spans, [(0.4, 2.7), (3.8, 6.0)], atol=0.2)
    for each in found.answers:
        assert each.turn.speaker is None
        assert each.emotion in each.probabilities
        assert abs(sum(each.probabilities.values()) - 1) < 1e-3
        assert max(abs(each.arousal), abs(each.valence)) <= 1
        assert min(each.voice_known, each.face_known) > 0.6


@pytest.mark.parametrize("key", CLIP_LEVEL)
def test_a_turn_that_covers_all_of_it_is_answered_as_the_recording_is(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    timeline = timelines(key)
    # Of a single clip training knows that one person speaks: the turn has to say so too.
    [answer] = answer_turns(talk, timeline, bundles(key), [Turn(0.0, SECONDS + 1, "ann")]).answers
    assert answer.probabilities == timeline.metadata.clip_probabilities


def cut(track: Track, turn: Turn) -> Track:
    """Return an excerpt of a recording."""
    ticks = slice(round(turn.start_seconds * RATE_HZ), round(turn.end_seconds * RATE_HZ))
    names = ("voice_index", "audio_valid", "speech_energy", "face_index", "emotion", "arousal_valence", "reliability")
    parts = {name: getattr(track, name)[ticks] for name in names}
    return replace(track, **parts, subject=turn.speaker or "nobody")


@pytest.mark.parametrize("key", ["perception-attention", "vaanet"])
def test_a_turn_is_answered_as_training_answers_the_excerpt(
    key: str, talk: Path, made: Make, timelines: Timelines
) -> None:
    system, track, bundle = made(key)
    found = answer_turns(talk, timelines(key), bundle, TURNS).answers
    expected = predict_classes(system.system, system.settings, [cut(track, turn) for turn in TURNS])
    np.testing.assert_allclose(shares(found), expected.numpy(), atol=5e-3)
    assert [each.turn for each in found] == list(TURNS)


@pytest.mark.parametrize("key", FRAME_LEVEL)
def test_a_turn_of_a_frame_level_bundle_is_the_mean_of_its_rows(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    timeline = timelines(key)
    found = answer_turns(talk, timeline, bundles(key), TURNS)
    for turn, answer in zip(TURNS, found.answers, strict=True):
        rows = slice(round(turn.start_seconds * RATE_HZ), round(turn.end_seconds * RATE_HZ))
        for name in ("arousal", "valence", "audio_weight"):
            assert getattr(answer, name) == pytest.approx(np.nanmean(timeline[name][rows]), abs=1e-5)
    assert found.shown == ()


def conversation(made: Make, turns: tuple[Turn, ...]) -> tuple[StandardisedClipSystem, torch.Tensor, torch.Tensor]:
    """Return the system, and what it says in training of the turns of one dialogue: probabilities, and its shares."""
    system, track, _ = made("dialogue-attention")
    assert isinstance(system.system, StandardisedClipSystem)
    how = clip_reading_of(system.settings, RATE_HZ)
    tracks = [cut(track, turn) for turn in turns]
    clips = how.batch(tracks, [(0, len(each)) for each in tracks], None, [0] * len(tracks))
    known = torch.tensor([turn.speaker is not None for turn in turns])
    clips = clips._replace(speaker=torch.where(known, clips.speaker, -1))
    with torch.inference_mode():
        return system.system, system.system(clips).logits.softmax(dim=-1), system.system.explain(clips)[0]


def test_turns_are_heard_in_context_as_in_training(talk: Path, made: Make, timelines: Timelines) -> None:
    turns = tuple(
        replace(turn, speaker=who) for turn, who in zip(TURNS, ("ann", "ben", "ann", "cleo", None), strict=True)
    )
    found = answer_turns(talk, timelines("dialogue-attention"), made("dialogue-attention")[2], turns)
    _, expected, looked_at = conversation(made, turns)
    np.testing.assert_allclose(shares(found.answers), expected.numpy(), atol=2e-3)
    [shown] = found.shown
    np.testing.assert_allclose(shown.values, looked_at.numpy(), atol=2e-3)
    np.testing.assert_allclose(shown.values.sum(axis=1), 1, atol=1e-5)
    assert shown.rows[1] == "2 ben (1.00 s)"


def test_what_is_said_of_a_turn_does_not_depend_on_later_ones(talk: Path, made: Make, timelines: Timelines) -> None:
    timeline, bundle = timelines("dialogue-attention"), made("dialogue-attention")[2]
    whole = shares(answer_turns(talk, timeline, bundle, TURNS).answers)
    for count in range(1, len(TURNS)):
        part = shares(answer_turns(talk, timeline, bundle, TURNS[:count]).answers)
        np.testing.assert_allclose(part, whole[:count], atol=1e-4)
    other = shares(answer_turns(talk, timeline, bundle, TURNS[1:]).answers)
    assert np.abs(other - whole[1:]).max() > 1e-3  # but on earlier ones


def test_who_speaks_is_heard(talk: Path, made: Make, timelines: Timelines) -> None:
    timeline, bundle = timelines("dialogue-attention"), made("dialogue-attention")[2]
    alone = [replace(turn, speaker="ann") for turn in TURNS]
    found = [shares(answer_turns(talk, timeline, bundle, turns).answers) for turns in (TURNS, alone)]
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("count", [70, 210])
def test_of_a_long_conversation_the_newest_turns_are_heard(
    count: int, talk: Path, made: Make, timelines: Timelines
) -> None:
    starts = np.linspace(0, 5.6, count)
    turns = tuple(Turn(float(start), float(start) + 0.4, "ab"[place % 2]) for place, start in enumerate(starts))
    found = answer_turns(talk, timelines("dialogue-attention"), made("dialogue-attention")[2], turns)
    _, expected, looked_at = conversation(made, turns)
    np.testing.assert_allclose(shares(found.answers), expected.numpy(), atol=2e-3)
    [shown] = found.shown
    first = max(0, count - 200)
    np.testing.assert_allclose(shown.values, looked_at.numpy()[first:, first:], atol=2e-3)
    assert shown.rows[0].startswith(f"{first + 1} ")  # as it is numbered in the table


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_what_lies_outside_the_recording_is_told(key: str, talk: Path, bundles: Bundles, timelines: Timelines) -> None:
    turns = [Turn(5.0, 9.0, "ann"), Turn(6.5, 7.0, "ben"), Turn(100.0, 101.0, None)]
    found = answer_turns(talk, timelines(key), bundles(key), turns)
    assert [each.turn.end_seconds for each in found.answers] == [timelines(key).metadata.duration_seconds]
    left_out, shortened = found.problems
    assert "2 of 3" in left_out
    assert "1 of 3" in shortened


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_a_file_that_ends_before_it_says_is_answered_up_to_its_end(
    key: str, tmp_path: Path, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    timeline = timelines(key)
    longer = Timeline(timeline.columns, replace(timeline.metadata, duration_seconds=30.0))
    turns = [Turn(0.5, 1.5, "ann"), Turn(5.0, 7.0, "ben"), Turn(20.0, 21.0, "ann")]
    found = answer_turns(talk, longer, bundles(key), turns)
    assert [each.turn.speaker for each in found.answers] == ["ann", "ben"]
    assert found.answers[1].turn.end_seconds < 6.1
    assert len(found.problems) == 2


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_a_turn_of_a_few_ticks_is_answered(key: str, talk: Path, bundles: Bundles, timelines: Timelines) -> None:
    turns = [Turn(1.0, 1.1, "ann"), Turn(2.0, 2.04, "ben")]
    found = answer_turns(talk, timelines(key), bundles(key), turns).answers
    assert all(abs(sum(each.probabilities.values()) - 1) < 1e-3 for each in found)


@pytest.mark.parametrize("key", CLIP_LEVEL)
def test_a_turn_between_two_ticks_or_at_the_last_is_answered(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    end = timelines(key).metadata.duration_seconds
    turns = [Turn(1.001, 1.002, "ann"), Turn(end - 0.001, end + 5, "ben")]
    found = answer_turns(talk, timelines(key), bundles(key), turns).answers
    assert [len(each.probabilities) for each in found] == [4, 4]


def test_overlapping_turns_are_answered_each_by_itself(talk: Path, bundles: Bundles, timelines: Timelines) -> None:
    turns = (Turn(0.0, 6.0, "ann"), Turn(0.5, 1.5, "ben"), Turn(0.5, 4.5, "cleo"), Turn(1.0, 1.2, "ben"))
    timeline, bundle = timelines("vaanet"), bundles("vaanet")
    together = shares(answer_turns(talk, timeline, bundle, turns).answers)
    for turn, told in zip(turns, together, strict=True):
        np.testing.assert_allclose(shares(answer_turns(talk, timeline, bundle, [turn]).answers)[0], told, atol=1e-3)


def write_sound(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_in_silence_there_is_no_turn_and_nothing_is_known_of_one_that_is_given(
    key: str, tmp_path: Path, bundles: Bundles
) -> None:
    silence = write_sound(tmp_path / "silence.wav", np.zeros(3 * 16_000))
    timeline = analyze(silence, bundle=bundles(key))
    none = answer_turns(silence, timeline, bundles(key), None)
    assert (none.answers, none.shown) == ((), ())
    assert none.classes == (CLASSES if key in CLIP_LEVEL else EMOTIONS)
    [told] = none.problems
    assert "no turn" in told
    [answer] = answer_turns(silence, timeline, bundles(key), [Turn(1.0, 2.0, "ann")]).answers
    assert (answer.probabilities, answer.emotion, answer.voice_known, answer.face_known) == ({}, "", 0, 0)
    assert np.isnan([answer.arousal, answer.valence, answer.audio_weight]).all()


@pytest.mark.parametrize("key", [*CLIP_LEVEL, *FRAME_LEVEL])
def test_sound_alone_and_pictures_alone_are_answered(key: str, talk: Path, tmp_path: Path, bundles: Bundles) -> None:
    write_clip(tmp_path / "voice.wav", arousal=0.5, valence=0.4, seconds=3.0, video=False)
    write_clip(tmp_path / "face.mp4", arousal=0.5, valence=0.4, seconds=3.0, audio=False)
    bundle, turn = bundles(key), Turn(1.0, 2.5, "ann")

    def answer(path: Path, **how: str) -> tuple[TurnAnswer, Dialogue]:
        timeline = analyze(path, bundle=bundle, **how)  # type: ignore[arg-type]  # "voice" or "face"
        [found] = answer_turns(path, timeline, bundle, [turn]).answers
        return found, answer_turns(path, timeline, bundle, None)

    heard, by_voice = answer(tmp_path / "voice.wav")
    assert heard.voice_known > 0.8
    assert heard.face_known == 0
    assert len(by_voice.answers) >= 1
    seen, by_voice = answer(tmp_path / "face.mp4")
    assert seen.voice_known == 0
    assert seen.face_known > 0.8
    assert by_voice.answers == ()
    for only, known in (("voice", (True, False)), ("face", (False, True))):
        found, by_voice = answer(talk, only=only)
        assert (found.voice_known > 0.8, found.face_known > 0.8) == known
        assert len(by_voice.answers) == (2 if only == "voice" else 0)
        assert abs(sum(found.probabilities.values()) - 1) < 1e-3


class Watched(SystemSession):
    """A session that tells how much of the past is held."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.held: list[int] = []
        watched.append(self)

    def extended(self, history: History, features: Features) -> History:
        longer = super().extended(history, features)
        self.held.append(len(longer))
        return longer


watched: list[Watched] = []


def test_of_a_long_turn_the_last_minute_is_looked_at_and_no_more_is_held(
    tmp_path: Path, bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.uniform(0.05, 0.8, 130 * 4), 4_000) * rng.uniform(-1, 1, 130 * 16_000)
    path, bundle = write_sound(tmp_path / "long.wav", loud), bundles("perception-attention")
    timeline = analyze(path, bundle=bundle)
    monkeypatch.setattr(dialogue, "SystemSession", Watched)
    turns = [Turn(0.0, 95.0, "ann"), Turn(3.0, 4.0, "ben"), Turn(35.0, 95.0, "ann"), Turn(90.0, 91.0, None)]
    found = shares(answer_turns(path, timeline, bundle, turns).answers)
    np.testing.assert_array_equal(found[0], found[2])
    [session] = watched
    assert max(session.held) <= (60 + 10) * RATE_HZ
    assert len(session.held) <= 11  # the last thirty seconds are in no turn
