"""A recording of a conversation, its timeline and its turns -> an answer for every turn.

A frame-level bundle is averaged over each turn. A clip-level one looks at the turn as a clip, in a second pass over the
file; one that hears turns in the context of those before it (Partaourides et al. 2020) is given all so far.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emotrace.bundle import Bundle
from emotrace.bundle_graphs import WHOLE_SECONDS, ClipGraph
from emotrace.errors import MediaError
from emotrace.explanation import Explanation, explained
from emotrace.inference.clip_runner import ClipRunner, window
from emotrace.inference.history import History
from emotrace.inference.rereading import features_again
from emotrace.inference.session import softmax
from emotrace.inference.system_session import SystemSession
from emotrace.labels import EMOTIONS
from emotrace.timeline import NO_AUDIO_TRACK, NO_SPEECH, Timeline
from emotrace.turn_table import TurnAnswer, average
from emotrace.turns import Turn, clipped, turns_by_voice
from emotrace.types import Features, FloatArray, IntArray

NO_TURN = "no turn was found, as no speech was heard: give a file of turns"
"""Stands among the problems where turns were to be taken by voice."""
_MAX_SHOWN_TURNS = 200
"""Of an explanation: a matrix of more is not read by anybody."""


@dataclass(frozen=True, eq=False)
class Dialogue:
    """What is known of the turns of a recording.

    Attributes:
        answers: one per turn, in order of time.
        classes: that the bundle tells.
        problems: what was wrong with the turns.
        shown: how turns were heard in each other's context, of a bundle that does so.
    """

    answers: tuple[TurnAnswer, ...]
    classes: tuple[str, ...]
    problems: tuple[str, ...]
    shown: tuple[Explanation, ...]


@dataclass(frozen=True, eq=False)
class _Heard:
    """What is known of a turn by itself.

    Attributes:
        made: [1, C] logits, or the vector [1, D] of a graph that hears turns in context.
        audio_weight: of the graph.
        is_known: whether it looked at any voice or face.
        voice_known: share of the ticks with a voice.
        face_known: share of the ticks with a face.
    """

    made: FloatArray
    audio_weight: float
    is_known: bool
    voice_known: float
    face_known: float


def answer_turns(
    path: Path,
    timeline: Timeline,
    bundle: Bundle,
    turns: Sequence[Turn] | None,
    detector: Literal["auto", "yunet", "haar"] | None = None,
) -> Dialogue:
    """Return an answer for every turn.

    Args:
        path: the recording.
        timeline: of it, by this bundle.
        bundle: the networks.
        turns: in order of time; None for stretches of speech, whose speakers are not known.
        detector: of faces, as of the timeline; None for the recipe's.

    Raises:
        MediaError: the file cannot be read, or is not the one of the timeline any more.
        BundleError: a network is damaged.
        EmotraceError: a graph gives shares of turns that are none.
    """
    found, problems = _within(timeline, turns)
    graph = bundle.manifest.system
    if not isinstance(graph, ClipGraph):
        return Dialogue(average(timeline, found), EMOTIONS, problems, ())
    if not found:
        return Dialogue((), graph.classes, problems, ())
    session = SystemSession(bundle)
    clips = session.clips
    assert clips is not None
    with features_again(path, bundle.recipe, timeline.metadata.settings.only, detector) as blocks:
        heard = dict(_heard(session, clips, blocks, _spans(timeline, found)))
    if len(heard) < len(found):
        raise MediaError(f"{path.name} ends earlier than when its timeline was made: analyse it again.")
    in_order = [heard[place] for place in range(len(found))]
    logits, shares = _told(clips, np.concatenate([each.made for each in in_order]), found)
    answers = tuple(_answer(clips, turn, known, row) for turn, known, row in zip(found, in_order, logits, strict=True))
    return Dialogue(answers, graph.classes, problems, _shown(shares, found))


def _within(timeline: Timeline, turns: Sequence[Turn] | None) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Return the turns within what was read of the recording, and what is wrong with them."""
    rate_hz = timeline.metadata.settings.label_rate_hz
    end = min(timeline.metadata.duration_seconds, float(timeline["time"][-1]) + 1 / rate_hz)
    if turns is not None:
        return clipped(turns, end)
    spoken = ~timeline.inside(NO_SPEECH, NO_AUDIO_TRACK) & (timeline.metadata.settings.only != "face")
    found, _ = clipped(turns_by_voice(timeline["time"], spoken, rate_hz), end)
    return found, () if found else (NO_TURN,)


def _spans(timeline: Timeline, turns: Sequence[Turn]) -> list[tuple[int, int]]:
    """Return the first tick of each turn and the one after its last; of a long turn the last minute is looked at."""
    time, longest = timeline["time"], round(WHOLE_SECONDS * timeline.metadata.settings.label_rate_hz)
    edges = np.array([(turn.start_seconds, turn.end_seconds) for turn in turns])
    first, stop = np.searchsorted(time, edges - 1e-6).T
    first = np.minimum(first, len(time) - 1)
    stop = np.maximum(stop, first + 1)  # of a turn between two ticks the next one
    return list(zip(np.maximum(first, stop - longest).tolist(), stop.tolist(), strict=True))


def _heard(
    session: SystemSession, clips: ClipRunner, blocks: Iterator[Features], spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, _Heard]]:
    """Yield the place of each turn and what is known of it, as they end.

    The past is forgotten from where no turn that goes on has begun.
    """
    waiting = sorted(range(len(spans)), key=lambda place: spans[place][1], reverse=True)
    history = session.empty_history()
    for block in blocks:
        history = session.extended(history, block)
        while waiting and spans[waiting[-1]][1] <= history.stop_tick:
            place = waiting.pop()
            first, stop = spans[place]
            yield place, _hear(clips, window(history, first - history.first_tick, stop - history.first_tick))
        if not waiting:
            return
        history = history.last(max(0, history.stop_tick - min(spans[place][0] for place in waiting)))


def _hear(clips: ClipRunner, turn: History) -> _Heard:
    looked = clips.look([turn])
    voice, face = turn.audio_valid & (turn.voice_index >= 0), turn.face_index >= 0
    weight, is_known = float(looked.audio_weight[0]), bool(looked.known[0])
    return _Heard(looked.made, weight, is_known, float(voice.mean()), float(face.mean()))


def _told(clips: ClipRunner, made: FloatArray, turns: Sequence[Turn]) -> tuple[FloatArray, list[FloatArray]]:
    """Return logits [N, C] of the turns, and for each its shares of the newest turns so far; none without context."""
    if not clips.graph.turns:
        return made, []
    who = _speakers(turns)
    return clips.converse([(made[: row + 1], who[: row + 1]) for row in range(len(made))])


def _speakers(turns: Sequence[Turn]) -> IntArray:
    """Return for each turn how many others had spoken before its speaker first did; -1 where that is not known.

    Where no speaker is known at all, one person speaks: so it was learnt from recordings without turns.
    """
    if all(turn.speaker is None for turn in turns):
        return np.zeros(len(turns), dtype=np.int64)
    met: list[str] = []
    numbers = []
    for turn in turns:
        if turn.speaker is not None and turn.speaker not in met:
            met.append(turn.speaker)
        numbers.append(-1 if turn.speaker is None else met.index(turn.speaker))
    return np.asarray(numbers, dtype=np.int64)


def _answer(clips: ClipRunner, turn: Turn, heard: _Heard, logits: FloatArray) -> TurnAnswer:
    if not heard.is_known:
        return TurnAnswer(turn, {}, np.nan, np.nan, np.nan, heard.voice_known, heard.face_known)
    arousal, valence = clips.placed(logits[None])[0].tolist()
    shares = clips.named(softmax(logits[None])[0])
    return TurnAnswer(turn, shares, arousal, valence, heard.audio_weight, heard.voice_known, heard.face_known)


def _shown(shares: Sequence[FloatArray], turns: Sequence[Turn]) -> tuple[Explanation, ...]:
    """Return the matrix of turns; of many the newest."""
    if not shares:
        return ()
    count, before = min(len(shares), _MAX_SHOWN_TURNS), max(0, len(shares) - _MAX_SHOWN_TURNS)
    table = np.zeros((count, count), dtype=np.float32)
    for row in range(count):
        newest = shares[before + row]
        seen = min(len(newest), row + 1)
        table[row, row + 1 - seen : row + 1] = newest[len(newest) - seen :]
    shown = turns[before:]
    times, speakers = [turn.start_seconds for turn in shown], [turn.speaker for turn in shown]
    return (explained("turns", table, row_times=times, speakers=speakers, first_turn=before + 1),)
