"""A conversation, and systems with drawn weights that saw it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from emotrace.corpora.labelled import LabelledClip
from tests.corpora.miniature_clips import write_clip
from tests.inference.bundles import Made, bundle_of, features_of


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds with a face; from 2.6 to 3.8 s nothing is said."""
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    write_clip(path, arousal=0.5, valence=0.4, seconds=6.0, seed=2, silence=(2.6, 3.8))
    return path


@pytest.fixture(scope="session")
def made(talk: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """For the name of a preset: the system, the conversation as it reads it, and its bundle."""
    clip = LabelledClip("talk", "ann", "train", "anger", talk, talk)
    features = features_of(clip, tmp_path_factory.mktemp("features"))
    return cache(lambda key: bundle_of(key, clip, features, tmp_path_factory.mktemp(key)))
