"""A system that tells what each part of a clip is (positive sample propagation) and a recording -> its parts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from emotrace import metrics
from emotrace.layers.clips import Clips, Explains
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.dialogues import sliding
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import clip_reading_of
from emotrace.training.tracks import Track

_NAME = "segments"


def tells_segments(system: StandardisedClipSystem) -> bool:
    """Tell whether a system tells the class of each part of a clip."""
    return isinstance(system.system, Explains) and _NAME in system.system.explanations


@torch.inference_mode()
def segment_shares(system: StandardisedClipSystem, settings: SystemSettings, track: Track) -> tuple[Tensor, Tensor]:
    """Return the class in the middle of each part [S], -1 where unknown, and probabilities [S, C], 0 where unknown.

    A recording whose class changes is cut into windows, one after the other, and these into parts.

    Args:
        system: one that `tells_segments`.
        settings: of the system.
        track: the recording.
    """
    inner = system.system
    assert isinstance(inner, Explains)
    heard = track.without(settings.only)
    window = round(settings.window_seconds * track.ticks_per_second)
    spans = [(0, len(heard))] if track.label >= 0 else sliding(len(heard), window, window)
    clips = clip_reading_of(settings, track.ticks_per_second).batch([heard] * len(spans), spans)
    shown = system.explain(Clips(*(part.to(system.mean.device) for part in clips)))
    shares = shown[inner.explanations.index(_NAME)].cpu().flatten(0, 1)
    return clips.part_label.flatten(), shares


def segment_accuracy(system: StandardisedClipSystem, settings: SystemSettings, tracks: Sequence[Track]) -> float | None:
    """Return the share of the parts of recordings that are told rightly.

    None of a system that tells no parts, or where the class of every recording holds throughout.
    """
    if not tells_segments(system) or all(bool((track.emotion == track.emotion[0]).all()) for track in tracks):
        return None
    pairs = [segment_shares(system, settings, track) for track in tracks]
    truth, shares = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return metrics.accuracy(truth.numpy(), shares.argmax(dim=-1).numpy(), (truth >= 0).numpy())
