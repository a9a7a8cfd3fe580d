"""A trained system and a recording -> what it says at every tick, or of the recording as a whole."""

from collections.abc import Sequence
from typing import Any

import torch

from emotrace.corpora.labelled import BACKGROUND
from emotrace.layers.clips import ClipAnswer
from emotrace.layers.heads import circumplex_mean
from emotrace.layers.steps import SystemOutput
from emotrace.training.clip_batches import ClipReading
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.dialogues import of_dialogues, sliding
from emotrace.training.segments import segment_shares, tells_segments
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import AnySystem, StandardisedSystem, clip_reading_of, hears_dialogues, reading_of
from emotrace.training.tracks import Reading, Track, on_ticks
from emotrace.windows import average_overlaps, overlapping

_WINDOWS_AT_ONCE = 32
_WINDOW_AND_HOP_STEPS = (300, 200)
"""Of Zhang et al. 2021 (ABAW2), whose windows are also what it learns from: stretch_seconds there."""


@torch.inference_mode()
def predict(system: AnySystem, settings: SystemSettings, track: Track) -> SystemOutput:
    """Return what the system says at every tick of a recording, [T, ...], arousal and valence within [-1, 1].

    A clip-level system looks at the last `window_seconds` again and again; its arousal and valence are the mean of the
    classes' circumplex coordinates by their probabilities.
    """
    heard = track.without(settings.only)
    if isinstance(system, StandardisedClipSystem):
        return _slid(system, settings, heard)
    how = reading_of(settings, track.ticks_per_second)
    said: SystemOutput = (
        _asked(system, how.whole(heard)) if settings.prediction == "whole" else _averaged(system, how, heard)
    )
    on = [on_ticks(part[0], len(track), how.step_ticks) for part in said]
    return SystemOutput(on[0].clamp(-1, 1), on[1], on[2], on[3])


@torch.inference_mode()
def predict_classes(system: AnySystem, settings: SystemSettings, tracks: Sequence[Track]) -> torch.Tensor:
    """Return [N, C]: probabilities of the classes for each recording as a whole.

    A clip-level system looks at all of it at once; of a frame-level system it is the mean over the steps at which
    anything is known.
    """
    if isinstance(system, StandardisedClipSystem):
        if BACKGROUND in system.sizes.classes:
            return torch.stack([_event(system, settings, track) for track in tracks])
        return answer_clips(system, settings, tracks).logits.softmax(dim=-1)
    return torch.stack([_mean_class(system, settings, track.without(settings.only)) for track in tracks])


def _event(system: StandardisedClipSystem, settings: SystemSettings, track: Track) -> torch.Tensor:
    """Return [C]: probabilities of the event of a clip, which is never background, though parts of the clip are."""
    if tells_segments(system):
        shares = segment_shares(system, settings, track)[1].mean(dim=0)
    else:
        shares = answer_clips(system, settings, [track]).logits[0].softmax(dim=-1)
    shares[system.sizes.classes.index(BACKGROUND)] = 0
    return shares / shares.sum().clamp(min=1e-9)


def _mean_class(system: StandardisedSystem, settings: SystemSettings, track: Track) -> torch.Tensor:
    return mean_shares([_asked(system, reading_of(settings, track.ticks_per_second).whole(track))])


@torch.inference_mode()
def answer_clips(system: StandardisedClipSystem, settings: SystemSettings, tracks: Sequence[Track]) -> ClipAnswer:
    """Return what a clip-level system says of each recording as a whole, the turns of a dialogue in their context."""
    heard = [track.without(settings.only) for track in tracks]
    how: ClipReading = clip_reading_of(settings, heard[0].ticks_per_second)
    together = of_dialogues(heard) if hears_dialogues(settings) else [[place] for place in range(len(heard))]
    answers: list[ClipAnswer | None] = [None] * len(heard)
    for places in together:
        turns = [heard[place] for place in places]
        said: ClipAnswer = _asked(system, how.batch(turns, [(0, len(turn)) for turn in turns], None, [0] * len(turns)))
        for row, place in enumerate(places):
            answers[place] = ClipAnswer(*(part[row : row + 1] for part in said))
    return ClipAnswer(*(torch.cat(parts) for parts in zip(*filter(None, answers), strict=True)))


def mean_shares(outputs: Sequence[SystemOutput]) -> torch.Tensor:
    """Return [C]: probabilities of one recording, B = 1: the mean over outputs and the steps at which they know."""
    shares = torch.cat([output.emotion_logits[0].softmax(dim=-1) for output in outputs])
    valid = torch.cat([output.valid[0] for output in outputs])
    return (shares[valid] if valid.any() else shares).mean(dim=0)


def _asked(system: AnySystem, batch: Any) -> Any:
    """Return the answer to a batch, computed where the system is and brought back: recordings stay on the processor."""
    answer = system(type(batch)(*(part.to(system.mean.device) for part in batch)))
    return type(answer)(*(part.cpu() for part in answer))


def _averaged(system: StandardisedSystem, how: Reading, track: Track) -> SystemOutput:
    """Return the answers [1, S, ...] of windows of steps, averaged where they overlap."""
    count = how.num_steps(track)
    first = overlapping(count, *_WINDOW_AND_HOP_STEPS)
    said = [_asked(system, how.batch([track], [start], min(count, _WINDOW_AND_HOP_STEPS[0]))) for start in first]
    means = [
        torch.from_numpy(average_overlaps([part[0].float().numpy() for part in parts], first, count))[None]
        for parts in zip(*said, strict=True)
    ]
    return SystemOutput(means[0], means[1], means[2], means[3] > 0)


def _slid(system: StandardisedClipSystem, settings: SystemSettings, track: Track) -> SystemOutput:
    how: ClipReading = clip_reading_of(settings, track.ticks_per_second)
    step = max(1, round(settings.step_seconds * track.ticks_per_second))
    window = round(settings.window_seconds * track.ticks_per_second)
    spans = sliding(len(track), step, window)
    # The windows of a dialogue stand in each other's context.
    at_once = len(spans) if hears_dialogues(settings) else _WINDOWS_AT_ONCE
    logits, weights, known = [], [], []
    for first in range(0, len(spans), at_once):
        chosen = spans[first : first + at_once]
        clips = how.batch([track] * len(chosen), chosen, None, [0] * len(chosen))
        answer: ClipAnswer = _asked(system, clips)
        logits.append(answer.logits)
        weights.append(answer.audio_weight)
        known.append(clips.pictures_valid.flatten(1).any(dim=1) | clips.sound_valid.flatten(1).any(dim=1))
    every = torch.cat(logits)
    said = circumplex_mean(every, system.sizes.classes), every, torch.cat(weights), torch.cat(known)
    return SystemOutput(*(on_ticks(part, len(track), step) for part in said))
