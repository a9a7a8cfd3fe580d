"""A study -> the delay of its annotation, searched on the recordings to learn from (P-38)."""

from collections.abc import Sequence

import numpy as np

from emotrace.ratings import best_delay
from emotrace.training.study import RECIPE, Study
from emotrace.training.tracks import Track
from emotrace.types import FloatArray

_STEP_SECONDS = 0.4
_MAX_SECONDS = 9.6
"""The search of RECOLA's baseline: 0 to 9.6 s in steps of 0.4 s."""
_SHORTEST_SHARE = 3
"""No candidate is longer than a recording's length divided by this."""


def search_delay_seconds(study: Study) -> float:
    """Return the delay at which voice and face tell the labels best, by ridge regression.

    Args:
        study: with its features made.
    """
    tracks = study.unmoved(study.items["train"], "descriptors", "bundle")
    step = round(_STEP_SECONDS * RECIPE.label_rate_hz)
    longest = min(round(_MAX_SECONDS / _STEP_SECONDS), min(len(track) for track in tracks) // step // _SHORTEST_SHARE)
    features = _standardised([_features(track, step) for track in tracks])
    labels = [track.arousal_valence[::step].numpy() for track in tracks]
    searches = [best_delay(features, [each[:, place] for each in labels], range(longest + 1)) for place in range(2)]
    curve = np.mean([search.correlations for search in searches], axis=0)
    return float(np.argmax(curve)) * _STEP_SECONDS


def _features(track: Track, step: int) -> FloatArray:
    """Return [T, D]: the voice's descriptors and the mean face region, zeros where one is not known."""
    ticks = slice(None, None, step)
    heard, seen = track.audio_valid[ticks], track.video_valid[ticks]
    parts = []
    if len(track.voice):
        parts.append(track.voice[track.voice_index[ticks].clamp(min=0)].float() * heard[:, None])
    if len(track.regions):
        parts.append(track.regions.float().mean(dim=1)[track.face_index[ticks].clamp(min=0)] * seen[:, None])
    return np.concatenate([part.numpy() for part in parts], axis=1).astype(np.float32)


def _standardised(features: Sequence[FloatArray]) -> list[FloatArray]:
    rows = np.concatenate(features)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    return [((each - mean) / deviation).clip(-5, 5).astype(np.float32) for each in features]
