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
from emotrace.bundle_graphs import WHOLE_SECONDS, WINDOWS_AT_ONCE
from emotrace.explanation import Explanation, explained
from emotrace.features.extract import extract
from emotrace.features.faces import Detector, make_detector
from emotrace.inference.clip_runner import ClipRunner, Looked, window
from emotrace.inference.history import History
from emotrace.inference.session import softmax
from emotrace.inference.system_session import SystemSession, open_session
from emotrace.labels import EMOTIONS
from emotrace.media import open_clip
from emotrace.timeline import NO_AUDIO_TRACK, NO_SPEECH, Timeline
from emotrace.turn_table import TurnAnswer, average
from emotrace.turns import Turn, clipped, turns_by_voice
from emotrace.types import FloatArray, IntArray

_MAX_SHOWN_TURNS = 200
"""Of an explanation: a matrix of more is not read by anybody."""


@dataclass(frozen=True, eq=False)
class Dialogue:
    """What is known of the turns of a recording.

    Attributes:
        answers: one per turn, in order of time.
        classes: that the bundle tells.
        problems: what was wrong with the turns that were given.
        shown: how turns were heard in each other's context, of a bundle that does so.
    """

    answers: tuple[TurnAnswer, ...]
    classes: tuple[str, ...]
    problems: tuple[str, ...]
    shown: tuple[Explanation, ...]


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
        MediaError: the file cannot be read.
        BundleError: a network is damaged.
    """
    problems: tuple[str, ...] = ()
    if turns is None:
        found = _spoken(timeline)
    else:
        found, problems = clipped(turns, timeline.metadata.duration_seconds)
    session = open_session(bundle)
    if not isinstance(session, SystemSession) or session.clips is None:
        return Dialogue(average(timeline, found), EMOTIONS, problems, ())
    spans = _spans(found, bundle.recipe.label_rate_hz)
    only = timeline.metadata.settings.only
    finder = None if only == "voice" else make_detector(detector or bundle.recipe.video.detector)
    ended = _looked(path, session, session.clips, finder, spans, hear=only != "face")
    looked = sorted(ended, key=lambda each: each[0])  # as they begin
    logits, shares = _told(session.clips, [each[1] for each in looked], found)
    answers = tuple(
        _answer(session.clips, turn, made, row, voice, face)
        for turn, (_, made, voice, face), row in zip(found, looked, logits, strict=True)
    )
    return Dialogue(answers, session.clips.graph.classes, problems, _shown(shares, found))


def _spoken(timeline: Timeline) -> tuple[Turn, ...]:
    spoken = ~timeline.inside(NO_SPEECH, NO_AUDIO_TRACK)
    if timeline.metadata.settings.only == "face":
        spoken[:] = False
    return turns_by_voice(timeline["time"], spoken, timeline.metadata.settings.label_rate_hz)


def _spans(turns: Sequence[Turn], rate_hz: float) -> list[tuple[int, int]]:
    """Return the first tick of each turn and the one after its last; of a long turn the last minute is looked at."""
    spans = []
    for turn in turns:
        first = round(turn.start_seconds * rate_hz)
        stop = max(first + 1, round(turn.end_seconds * rate_hz))
        spans.append((max(first, stop - round(WHOLE_SECONDS * rate_hz)), stop))
    return spans


def _looked(
    path: Path,
    session: SystemSession,
    clips: ClipRunner,
    finder: Detector | None,
    spans: Sequence[tuple[int, int]],
    *,
    hear: bool,
) -> Iterator[tuple[int, Looked, float, float]]:
    """Yield the place of each turn, what the graph makes of it, and the shares of its ticks with voice and face.

    They come as they end: the past is forgotten from where no turn that goes on has begun.
    """
    waiting = sorted(range(len(spans)), key=lambda place: spans[place][1])
    history = session.empty_history()
    with open_clip(path) as clip:
        for features in extract(clip, session.bundle.recipe, finder, hear=hear):
            history = session.extended(history, features)
            while waiting and spans[waiting[0]][1] <= history.stop_tick:
                yield _look(clips, history, waiting[0], spans[waiting[0]])
                del waiting[0]
            first = min((spans[place][0] for place in waiting), default=history.stop_tick)
            history = history.last(max(0, history.stop_tick - first))
    for place in waiting:  # that end within the last tick
        yield _look(clips, history, place, spans[place])


def _look(clips: ClipRunner, history: History, place: int, span: tuple[int, int]) -> tuple[int, Looked, float, float]:
    first = min(max(0, span[0] - history.first_tick), max(0, len(history) - 1))
    turn = window(history, first, max(first + 1, span[1] - history.first_tick))
    heard, seen = turn.audio_valid & (turn.voice_index >= 0), turn.face_index >= 0
    return place, clips.look([turn]), float(heard.mean()), float(seen.mean())


def _told(clips: ClipRunner, looked: Sequence[Looked], turns: Sequence[Turn]) -> tuple[FloatArray, list[FloatArray]]:
    """Return logits [N, C] of the turns, and for each its shares of the newest turns so far; none without context."""
    if not looked:
        return np.zeros((0, len(clips.graph.classes)), dtype=np.float32), []
    made = np.concatenate([each.made for each in looked])
    if not clips.graph.turns:
        return made, []
    who = _speakers(turns)
    logits, shares = [], []
    for first in range(0, len(made), WINDOWS_AT_ONCE):
        rows = range(first, min(len(made), first + WINDOWS_AT_ONCE))
        found = clips.converse([(made[: row + 1], who[: row + 1]) for row in rows])
        logits.append(found[0])
        shares += found[1]
    return np.concatenate(logits), shares


def _speakers(turns: Sequence[Turn]) -> IntArray:
    """Return for each turn how many others had spoken before its speaker first did; -1 where that is not known."""
    met: list[str] = []
    numbers = []
    for turn in turns:
        if turn.speaker is not None and turn.speaker not in met:
            met.append(turn.speaker)
        numbers.append(-1 if turn.speaker is None else met.index(turn.speaker))
    return np.asarray(numbers, dtype=np.int64)


def _answer(
    clips: ClipRunner, turn: Turn, looked: Looked, logits: FloatArray, voice_known: float, face_known: float
) -> TurnAnswer:
    if not looked.known[0]:
        return TurnAnswer(turn, {}, np.nan, np.nan, np.nan, voice_known, face_known)
    arousal, valence = clips.placed(logits[None])[0].tolist()
    shares = clips.named(softmax(logits[None])[0])
    return TurnAnswer(turn, shares, arousal, valence, float(looked.audio_weight[0]), voice_known, face_known)


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
    times = [turn.start_seconds for turn in shown]
    return (explained("turns", table, row_times=times, speakers=[turn.speaker for turn in shown]),)
