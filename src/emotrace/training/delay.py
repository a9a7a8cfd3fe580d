"""A study -> the delay of its annotation, searched on the recordings to learn from (P-38)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emotrace.encoders.descriptor_mlp import standard_scores
from emotrace.errors import CorpusError
from emotrace.ratings import best_delay, delay_candidates
from emotrace.training.default import RECIPE
from emotrace.training.study import Study
from emotrace.training.tracks import Track, taken
from emotrace.types import FloatArray

_STEP_SECONDS = 0.4
_LEAST_LENGTHS = 3
"""Recordings shorter than so many times the longest delay would be nearly all delay, and are left out."""


def search_delay_seconds(study: Study) -> float:
    """Return the delay at which voice and face tell the labels best, by ridge regression: 0 to 9.6 s, as RECOLA's.

    Args:
        study: with its features made.

    Raises:
        CorpusError: the training recordings are too short.
    """
    tracks = study.unmoved(study.items["train"], "descriptors", "bundle")
    step = round(_STEP_SECONDS * RECIPE.label_rate_hz)
    usual = int(np.quantile([len(track) // step for track in tracks], 0.25))
    candidates = [each for each in delay_candidates(1 / _STEP_SECONDS) if each * _LEAST_LENGTHS <= usual]
    tracks = [track for track in tracks if len(track) // step >= _LEAST_LENGTHS * candidates[-1]]
    if len(tracks) < 2:
        raise CorpusError(
            f"{len(tracks)} training recording(s) of about {usual * _STEP_SECONDS:.0f} s found, too few to search the "
            "delay of annotation: set it in seconds."
        )
    features = _standardised([_features(track, step) for track in tracks])
    labels = [track.arousal_valence[::step].numpy() for track in tracks]
    searches = [best_delay(features, [each[:, place] for each in labels], candidates) for place in range(2)]
    curve = np.mean([search.correlations for search in searches], axis=0)
    return float(np.argmax(curve)) * _STEP_SECONDS


def _features(track: Track, step: int) -> Tensor:
    """Return [T, D]: the voice's descriptors and the mean face region, zeros where one is not known."""
    ticks = slice(None, None, step)
    heard, seen = track.audio_valid[ticks], track.video_valid[ticks]
    regions = track.regions.float().mean(dim=1)
    voice = taken(track.voice, track.voice_index[ticks], heard)
    return torch.cat([voice, taken(regions, track.face_index[ticks], seen)], dim=1)


def _standardised(features: Sequence[Tensor]) -> list[FloatArray]:
    rows = torch.cat(list(features))
    mean, deviation = rows.mean(dim=0), rows.std(dim=0, correction=0) + 1e-6
    return [standard_scores(each, mean, deviation).numpy() for each in features]
