"""A trained system and a recording -> what it says at every tick, or of the recording as a whole."""

from collections.abc import Sequence
from typing import Any

import torch

from emotrace.layers.clips import ClipAnswer
from emotrace.layers.heads import circumplex_mean
from emotrace.layers.steps import SystemOutput
from emotrace.training.clip_batches import ClipReading, ending_at
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import AnySystem, StandardisedSystem, clip_reading_of, reading_of
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
def predict_class(system: AnySystem, settings: SystemSettings, track: Track) -> torch.Tensor:
    """Return [C]: probabilities of the classes for a recording as a whole.

    A clip-level system looks at all of it at once; of a frame-level system it is the mean over the steps at which
    anything is known.
    """
    heard = track.without(settings.only)
    if isinstance(system, StandardisedClipSystem):
        how = clip_reading_of(settings, track.ticks_per_second)
        whole: ClipAnswer = _asked(system, how.batch([heard], [(0, len(heard))]))
        return whole.logits[0].softmax(dim=-1)
    return mean_shares([_asked(system, reading_of(settings, track.ticks_per_second).whole(heard))])


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
    spans = [ending_at(stop, window) for stop in range(step, len(track) + 1, step)] or [(0, len(track))]
    logits, weights, known = [], [], []
    for first in range(0, len(spans), _WINDOWS_AT_ONCE):
        chosen = spans[first : first + _WINDOWS_AT_ONCE]
        clips = how.batch([track] * len(chosen), chosen)
        answer: ClipAnswer = _asked(system, clips)
        logits.append(answer.logits)
        weights.append(answer.audio_weight)
        known.append(clips.pictures_valid.flatten(1).any(dim=1) | clips.sound_valid.flatten(1).any(dim=1))
    every = torch.cat(logits)
    said = circumplex_mean(every, system.sizes.classes), every, torch.cat(weights), torch.cat(known)
    return SystemOutput(*(on_ticks(part, len(track), step) for part in said))
