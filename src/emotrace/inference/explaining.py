"""A recording and a bundle that shows how it comes to its answers -> what it looked at, with the times."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotrace.bundle import Bundle
from emotrace.bundle_graphs import WHOLE_SECONDS, ClipGraph
from emotrace.errors import MediaError, SettingsError
from emotrace.explanation import Explanation, explained
from emotrace.features.extract import extract
from emotrace.features.faces import make_detector
from emotrace.inference.clip_runner import glanced
from emotrace.inference.history import History
from emotrace.inference.system_session import SystemSession, open_session
from emotrace.media import open_clip
from emotrace.types import FloatArray


def shows_clips(bundle: Bundle) -> bool:
    """Tell whether a bundle shows how it comes to its answer to a clip."""
    graph = bundle.manifest.system
    return isinstance(graph, ClipGraph) and bool(graph.explains)


def check_shows(bundle: Bundle, *, dialogue: bool) -> None:
    """Refuse a bundle that does not show how it comes to its answers to a clip or, if it is one, a dialogue.

    Raises:
        SettingsError: it is such.
    """
    graph = bundle.manifest.system
    hears_turns = isinstance(graph, ClipGraph) and graph.turns > 0
    if shows_clips(bundle) or (hears_turns and dialogue):
        return
    what = f"--explain: the bundle {bundle.manifest.name} ({bundle.manifest.model}) shows nothing"
    if hears_turns:
        raise SettingsError(f"{what} of a clip by itself: add --dialogue, as it shows how it hears turns.")
    raise SettingsError(f"{what}: train perception-attention or positive-sample-propagation, and give its bundle.")


def explain(
    path: Path,
    bundle: Bundle,
    *,
    only: Literal["voice", "face"] | None = None,
    detector: Literal["auto", "yunet", "haar"] | None = None,
) -> tuple[Explanation, ...]:
    """Return what the system of a bundle looked at in a recording, taken as one clip.

    Raises:
        MediaError: the file cannot be read, or is too long to be one clip.
        BundleError: a network is damaged.
    """
    session = open_session(bundle)
    assert isinstance(session, SystemSession)
    assert session.clips is not None
    history = _history(path, session, only, detector)
    looked, graph = glanced(session.clips.graph, history), session.clips.graph
    shown = session.clips.look([history]).shown
    rate_hz = bundle.recipe.label_rate_hz
    pictures = looked.picture_ticks.mean(axis=1) / rate_hz
    sound = looked.sound_ticks.ravel().astype(np.float64) / rate_hz
    edges: NDArray[np.float64] = np.linspace(0, len(history) / rate_hz, graph.sampling[0] + 1)
    parts = np.stack([edges[:-1], edges[1:]], axis=1)
    return tuple(
        _one(name, values[0], pictures, sound, parts, graph.classes)
        for name, values in zip(graph.explains, shown, strict=True)
    )


def _history(
    path: Path,
    session: SystemSession,
    only: Literal["voice", "face"] | None,
    detector: Literal["auto", "yunet", "haar"] | None,
) -> History:
    recipe = session.bundle.recipe
    finder = None if only == "voice" else make_detector(detector or recipe.video.detector)
    history = session.empty_history()
    with open_clip(path) as clip:
        for features in extract(clip, recipe, finder, hear=only != "face"):
            history = session.extended(history, features)
            if len(history) > WHOLE_SECONDS * recipe.label_rate_hz:
                raise MediaError(
                    f"{path.name} is longer than {WHOLE_SECONDS:g} s, which is the most that can be explained as one "
                    "clip: cut it, with ffmpeg for instance."
                )
    return history


def _one(
    name: str,
    values: FloatArray,
    pictures: NDArray[np.float64],
    sound: NDArray[np.float64],
    parts: NDArray[np.float64],
    classes: tuple[str, ...],
) -> Explanation:
    """Return one explanation with its times; the sound of a system that groups frames has fewer columns than frames."""
    if name == "alignment":
        groups = sound.reshape(values.shape[1], -1).mean(axis=1)
        return explained(name, values, row_times=pictures, column_times=groups)
    if name == "perception":
        return explained(name, values, row_times=pictures, classes=classes)
    return explained(name, values, row_times=parts, classes=classes)
