"""A recording that was analysed -> its features once more, for what looks at it in a second pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from emotrace.features.extract import extract
from emotrace.features.faces import make_detector
from emotrace.media import open_clip
from emotrace.recipe import Recipe
from emotrace.types import Features


@contextmanager
def features_again(
    path: Path,
    recipe: Recipe,
    only: Literal["voice", "face"] | None,
    detector: Literal["auto", "yunet", "haar"] | None,
) -> Iterator[Iterator[Features]]:
    """Open a recording and give its features in blocks, as `offline.analyze` had them with the same arguments.

    Raises:
        MediaError: the file cannot be read.
    """
    finder = None if only == "voice" else make_detector(detector or recipe.video.detector)
    with open_clip(path) as clip:
        yield extract(clip, recipe, finder, hear=only != "face")
