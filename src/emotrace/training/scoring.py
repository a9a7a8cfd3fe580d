"""A system and the recordings that it is stopped by -> one number: what decides which epoch is kept."""

from collections.abc import Sequence

import numpy as np

from emotrace import metrics
from emotrace.training.prediction import predict, predict_class
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import AnySystem
from emotrace.training.tracks import Track


def score(system: AnySystem, settings: SystemSettings, tracks: Sequence[Track], *, whole: bool) -> float:
    """Return the unweighted average recall of whole recordings, or the mean CCC of arousal and valence over all ticks.

    Args:
        system: being trained; left in the mode that it was in.
        settings: of the system.
        tracks: the recordings.
        whole: whether each recording is one clip of one class.
    """
    was_training = system.training
    system.eval()
    try:
        if whole:
            truth = np.array([int(track.emotion[0]) for track in tracks])
            told = np.array([int(predict_class(system, settings, track).argmax()) for track in tracks])
            return metrics.unweighted_average_recall(truth, told)
        said, wanted = [], []
        for track in tracks:
            known = track.arousal_valence.isfinite().all(dim=1)
            said.append(predict(system, settings, track).arousal_valence[known].numpy())
            wanted.append(track.arousal_valence[known].numpy())
        told, truth = np.concatenate(said), np.concatenate(wanted)
        return float(np.mean([metrics.ccc(truth[:, place], told[:, place]) for place in range(2)]))
    finally:
        system.train(was_training)
