"""Every turn of a conversation gets the answer that training saw of the same stretch, whatever comes after it."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from emotrace.bundle import DIALOGUE, Bundle, load_bundle, save_bundle
from emotrace.bundle_graphs import ClipGraph
from emotrace.errors import BundleError, EmotraceError, MediaError
from emotrace.inference import dialogue
from emotrace.inference.dialogue import answer_turns
from emotrace.inference.history import History
from emotrace.inference.offline import analyze
from emotrace.inference.system_session import SystemSession
from emotrace.labels import EMOTIONS
from emotrace.timeline import Timeline
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.prediction import predict_classes
from emotrace.training.systems import clip_reading_of
from emotrace.training.tracks import Track
from emotrace.turn_table import TurnAnswer
from emotrace.turns import Turn
from emotrace.types import Features
from tests.corpora.miniature_clips import write_clip
from tests.inference.bundles import CLASSES, Made, noise, with_answer, write_sound

CLIP_LEVEL = ("dialogue-attention", "perception-attention", "vaanet")
FRAME_LEVEL = ("modular-hierarchy", "default")
SECONDS = 6.0
RATE_HZ = 25
AT_A_TIME = ((0.5, 1.5, "ann"), (1.0, 2.6, "ben"), (3.9, 4.7, "ann"), (4.7, 5.5, None), (5.0, 6.0, "cleo"))
TURNS = tuple(Turn(*each) for each in AT_A_TIME)
Make = Callable[[str], Made]
Bundles = Callable[[str], Bundle]
Timelines = Callable[[str], Timeline]
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def bundles(made: Make) -> Bundles:
    return lambda key: load_bundle() if key == "default" else made(key)[2]


@pytest.fixture(scope="module")
def timelines(talk: Path, bundles: Bundles) -> Timelines:
    return cache(lambda key: analyze(talk, bundle=bundles(key)))


@pytest.fixture(scope="module")
def voices(talk: Path, bundles: Bundles) -> Timelines:
    """Timelines of the voice alone."""
    return cache(lambda key: analyze(talk, bundle=bundles(key), only="voice"))


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


def ticks_of(turn: Turn) -> slice:
    """Return the ticks from the start of a turn to before its end."""
    edges = (turn.start_seconds, turn.end_seconds)
    return slice(*(math.ceil(edge * RATE_HZ - 1e-6) for edge in edges))


def cut(track: Track, turn: Turn) -> Track:
    """Return an excerpt of a recording."""
    ticks = ticks_of(turn)
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
        rows = ticks_of(turn)
        for name in ("arousal", "valence", "audio_weight"):
            known = timeline[name][rows][~np.isnan(timeline[name][rows])]
            expected = known.mean() if len(known) else np.nan
            assert getattr(answer, name) == pytest.approx(expected, abs=1e-5, nan_ok=True)
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


def test_what_is_said_of_a_turn_does_not_depend_on_later_ones(talk: Path, made: Make, voices: Timelines) -> None:
    timeline, bundle = voices("dialogue-attention"), made("dialogue-attention")[2]
    whole = shares(answer_turns(talk, timeline, bundle, TURNS).answers)
    for count in (1, 3):
        part = shares(answer_turns(talk, timeline, bundle, TURNS[:count]).answers)
        np.testing.assert_allclose(part, whole[:count], atol=1e-4)
    other = shares(answer_turns(talk, timeline, bundle, TURNS[1:]).answers)
    assert np.abs(other - whole[1:]).max() > 1e-3  # but on earlier ones


def test_who_speaks_is_heard(talk: Path, made: Make, voices: Timelines) -> None:
    timeline, bundle = voices("dialogue-attention"), made("dialogue-attention")[2]
    alone = [replace(turn, speaker="ann") for turn in TURNS]
    told, other = (shares(answer_turns(talk, timeline, bundle, turns).answers) for turns in (TURNS, alone))
    assert np.abs(told - other).max() > 1e-3


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
def test_short_turns_are_answered_and_what_lies_outside_the_recording_is_told(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    end = timelines(key).metadata.duration_seconds
    spans = ((1.0, 1.1), (2.0, 2.04), (2.041, 2.042), (5.0, 9.0), (end - 0.001, end + 5), (6.5, 7.0), (100.0, 101.0))
    turns = [Turn(*span, "ann") for span in spans]
    found = answer_turns(talk, timelines(key), bundles(key), turns)
    assert [each.turn.end_seconds for each in found.answers] == [1.1, 2.04, 2.042, end, end]
    left_out, shortened = found.problems
    assert "2 of 7" in left_out
    assert "2 of 7" in shortened
    between_rows = (2, 4) if key in FRAME_LEVEL else ()  # no row of the timeline lies within them
    for place, each in enumerate(found.answers):
        assert len(each.probabilities) == (0 if place in between_rows else len(found.answers[0].probabilities))
        assert sum(each.probabilities.values()) == pytest.approx(float(place not in between_rows), abs=1e-3)


@pytest.mark.parametrize("key", ["vaanet", "default"])
def test_a_file_that_ends_before_it_says_is_answered_up_to_its_end(
    key: str, talk: Path, bundles: Bundles, timelines: Timelines
) -> None:
    timeline = timelines(key)
    longer = Timeline(timeline.columns, replace(timeline.metadata, duration_seconds=30.0))
    turns = [Turn(0.5, 1.5, "ann"), Turn(5.0, 7.0, "ben"), Turn(20.0, 21.0, "ann")]
    found = answer_turns(talk, longer, bundles(key), turns)
    assert [each.turn.speaker for each in found.answers] == ["ann", "ben"]
    assert found.answers[1].turn.end_seconds < 6.1
    assert len(found.problems) == 2


def test_overlapping_turns_are_answered_each_by_itself(talk: Path, bundles: Bundles, voices: Timelines) -> None:
    turns = (Turn(0.0, 6.0, "ann"), Turn(0.5, 1.5, "ben"), Turn(0.5, 4.5, "cleo"), Turn(1.0, 1.2, "ben"))
    timeline, bundle = voices("vaanet"), bundles("vaanet")
    together = shares(answer_turns(talk, timeline, bundle, turns).answers)
    for turn, told in zip(turns, together, strict=True):
        np.testing.assert_allclose(shares(answer_turns(talk, timeline, bundle, [turn]).answers)[0], told, atol=1e-3)


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


@pytest.mark.parametrize("key", ["dialogue-attention", "default"])
def test_sound_alone_and_pictures_alone_are_answered(key: str, talk: Path, tmp_path: Path, bundles: Bundles) -> None:
    write_clip(tmp_path / "voice.wav", arousal=0.5, valence=0.4, seconds=3.0, video=False)
    write_clip(tmp_path / "face.mp4", arousal=0.5, valence=0.4, seconds=3.0, audio=False)
    bundle, turn = bundles(key), Turn(1.0, 2.5, "ann")

    def answer(path: Path, only: Literal["voice", "face"] | None = None) -> tuple[TurnAnswer, int]:
        """Return the answer to the turn, and how many turns there are by voice."""
        timeline = analyze(path, bundle=bundle, only=only)
        [found] = answer_turns(path, timeline, bundle, [turn]).answers
        assert abs(sum(found.probabilities.values()) - 1) < 1e-3
        return found, len(answer_turns(path, timeline, bundle, None).answers)

    for heard, by_voice in (answer(tmp_path / "voice.wav"), answer(talk, "voice")):
        assert heard.voice_known > 0.6
        assert heard.face_known == 0
        assert by_voice >= 1
    for seen, by_voice in (answer(tmp_path / "face.mp4"), answer(talk, "face")):
        assert seen.voice_known == 0
        assert seen.face_known > 0.6
        assert by_voice == 0


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
    path, bundle = write_sound(tmp_path / "long.wav", noise(130)), bundles("perception-attention")
    timeline = analyze(path, bundle=bundle)
    monkeypatch.setattr(dialogue, "SystemSession", Watched)
    turns = [Turn(0.0, 95.0, "ann"), Turn(3.0, 4.0, "ben"), Turn(35.0, 95.0, "ann"), Turn(90.0, 91.0, None)]
    found = shares(answer_turns(path, timeline, bundle, turns).answers)
    np.testing.assert_array_equal(found[0], found[2])
    [session] = watched
    assert max(session.held) <= (60 + 10) * RATE_HZ
    assert len(session.held) <= 11  # the last thirty seconds are in no turn


@pytest.mark.parametrize(
    ("output", "operation", "attributes"),
    [
        ("shares", "Concat again", {"axis": 1}),
        ("shares", "Concat again", {"axis": 0}),
        ("shares", "ReduceSum", {"keepdims": 0}),
        ("logits", "Concat again", {"axis": 1}),
        ("logits", "ReduceSum", {"keepdims": 0}),
    ],
)
def test_a_graph_of_turns_that_answers_in_another_shape_is_refused(
    output: str,
    operation: str,
    attributes: dict[str, int],
    tmp_path: Path,
    talk: Path,
    bundles: Bundles,
    voices: Timelines,
) -> None:
    key = "dialogue-attention"
    other = with_answer(bundles(key), DIALOGUE, output, operation, tmp_path, **attributes)
    with pytest.raises(BundleError, match=rf"dialogue\.onnx answers with {output} of shape \("):
        answer_turns(talk, voices(key), other, TURNS)


def test_shares_of_turns_that_are_none_are_refused(
    tmp_path: Path, talk: Path, bundles: Bundles, voices: Timelines
) -> None:
    other = with_answer(bundles("dialogue-attention"), DIALOGUE, "shares", "Mul minus", tmp_path)
    with pytest.raises(EmotraceError, match=r"explanation turns has values from .*expected shares"):
        answer_turns(talk, voices("dialogue-attention"), other, TURNS)


def test_vectors_of_another_width_than_the_manifest_tells_are_refused(
    tmp_path: Path, talk: Path, bundles: Bundles, voices: Timelines
) -> None:
    bundle = bundles("dialogue-attention")
    graph = bundle.manifest.system
    assert isinstance(graph, ClipGraph)
    wider = graph.model_copy(update={"vector_dim": graph.vector_dim + 1})
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    other = save_bundle(tmp_path / "other", bundle.manifest.model_copy(update={"system": wider}), contents)
    with pytest.raises(BundleError, match=r"system\.onnx answers with vectors of shape"):
        answer_turns(talk, voices("dialogue-attention"), other, TURNS)


def test_a_recording_that_became_shorter_is_refused(
    tmp_path: Path, bundles: Bundles, talk: Path, timelines: Timelines
) -> None:
    short = write_sound(tmp_path / "short.wav", noise(2))
    with pytest.raises(MediaError, match=r"short\.wav ends earlier than when its timeline was made"):
        answer_turns(short, timelines("vaanet"), bundles("vaanet"), TURNS)
