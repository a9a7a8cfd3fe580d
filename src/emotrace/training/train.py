"""Recordings and settings -> a trained system of either level; goes on where an earlier run in the folder stopped."""

from collections.abc import Sequence
from pathlib import Path

from emotrace.training.clip_training import train_clip_system
from emotrace.training.settings import SystemSettings
from emotrace.training.system_training import train_system
from emotrace.training.systems import AnySystem, is_clip_level
from emotrace.training.tracks import Track


def train(
    training: Sequence[Track], validation: Sequence[Track], settings: SystemSettings, folder: Path, *, whole: bool
) -> AnySystem:
    """Train a system, and keep the epoch that is best on the validation recordings.

    Args:
        training: recordings with labels.
        validation: recordings that decide which epoch is kept.
        settings: of the system and its training.
        folder: checkpoints and logs.
        whole: whether each recording is one clip of one class.

    Raises:
        CorpusError: a clip-level system found no labels of emotions.
        SettingsError: the settings do not go together.
    """
    if is_clip_level(settings):
        return train_clip_system(training, validation, settings, folder, whole=whole)
    return train_system(training, validation, settings, folder, resume=True, whole=whole)
