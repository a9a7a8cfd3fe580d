"""A recording and a bundle that shows how it comes to its answers -> what it looked at, with the times."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotrace.bundle import SYSTEM, Bundle
from emotrace.bundle_graphs import WHOLE_SECONDS, ClipGraph
from emotrace.errors import MediaError, SettingsError
from emotrace.explanation import Explanation, explained
from emotrace.inference.answers import check_shape
from emotrace.inference.clip_runner import glanced
from emotrace.inference.history import History
from emotrace.inference.rereading import features_again
from emotrace.inference.system_session import SystemSession
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
        BundleError: a network is damaged, or shows something of another shape than the manifest tells.
        EmotraceError: what it shows is no shares.
    """
    session = SystemSession(bundle)
    assert session.clips is not None
    history, graph = _history(path, session, only, detector), session.clips.graph
    looked, rate_hz = glanced(graph, history), bundle.recipe.label_rate_hz
    pictures = looked.picture_ticks.ravel() / rate_hz
    sound = looked.sound_ticks.ravel().astype(np.float64) / rate_hz
    edges: NDArray[np.float64] = np.linspace(0, len(history) / rate_hz, graph.sampling[0] + 1)
    parts = np.stack([edges[:-1], edges[1:]], axis=1)
    shown = session.clips.look([history]).shown
    for name, values in zip(graph.explains, shown, strict=True):
        check_shape(SYSTEM, name, values, _shape(name, values, graph))
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
    recipe, history = session.bundle.recipe, session.empty_history()
    with features_again(path, recipe, only, detector) as blocks:
        for features in blocks:
            history = session.extended(history, features)
            if len(history) > WHOLE_SECONDS * recipe.label_rate_hz:
                raise MediaError(
                    f"{path.name} is longer than {WHOLE_SECONDS:g} s, which is the most that can be explained as one "
                    "clip: cut it, with ffmpeg for instance."
                )
    return history


def _shape(name: str, found: FloatArray, graph: ClipGraph) -> tuple[int, ...]:
    """Return the shape of what is shown under a name; sound may have been put in groups of as many frames each."""
    snippets, pictures, segments, frames = graph.sampling
    groups = found.shape[-1] if found.ndim else 0
    sound = groups if groups and segments * frames % groups == 0 else segments * frames
    return {
        "alignment": (1, snippets * pictures, sound),
        "perception": (1, snippets * pictures, len(graph.classes)),
        "segments": (1, snippets, len(graph.classes)),
        "propagation": (1, snippets, snippets),
    }[name]


def _one(
    name: str,
    values: FloatArray,
    pictures: NDArray[np.float64],
    sound: NDArray[np.float64],
    parts: NDArray[np.float64],
    classes: tuple[str, ...],
) -> Explanation:
    """Return one explanation with its times."""
    if name == "alignment":
        groups = sound.reshape(values.shape[1], -1).mean(axis=1)
        return explained(name, values, row_times=pictures, column_times=groups)
    if name == "perception":
        return explained(name, values, row_times=pictures, classes=classes)
    return explained(name, values, row_times=parts, classes=classes)
