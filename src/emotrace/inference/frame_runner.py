"""The graph of a frame-level system -> answers at every step, each from a stretch of steps that ends with it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emotrace.bundle import SYSTEM, Bundle
from emotrace.bundle_graphs import FrameGraph
from emotrace.inference.answers import Answers, check_finite, check_shape, check_weight, unknown
from emotrace.inference.history import History, rows
from emotrace.inference.session import Network
from emotrace.types import IntArray

FRAME_OUTPUTS = ("arousal_valence", "emotion_logits", "audio_weight")


class FrameRunner:
    """Runs the graph again and again on stretches of steps, the newest of them new.

    Raises:
        BundleError: the graph is damaged or has not the inputs and outputs that the manifest tells; when it is run,
            its answers have other shapes.
    """

    def __init__(self, bundle: Bundle, graph: FrameGraph, num_threads: int) -> None:
        self._graph = graph
        self._network = Network(SYSTEM, bundle.read(SYSTEM), graph.inputs, FRAME_OUTPUTS, num_threads)

    @property
    def kept_ticks(self) -> int:
        """Ticks that a later answer may look back at."""
        return (self._graph.context_steps + 1) * self._graph.step_ticks + self._graph.heard

    def answers(self, history: History, steps: IntArray, memory: None) -> tuple[Answers, None]:
        """Return the answers at consecutive steps, numbered from the start of the recording."""
        graph = self._graph
        if not len(steps):
            return unknown(0, len(graph.classes)), None
        first = max(int(steps[0]) - graph.context_steps, -(-history.first_tick // graph.step_ticks))
        ticks = (np.arange(first, steps[-1] + 1) + 1) * graph.step_ticks - 1 - history.first_tick
        said = self._network.run(*(self._input(name, history, ticks)[None] for name in graph.inputs))
        widths = {"arousal_valence": (2,), "emotion_logits": (len(graph.classes),)}
        for name, array in zip(FRAME_OUTPUTS, said, strict=True):
            check_shape(SYSTEM, name, array, (1, len(ticks), *widths.get(name, ())))
        new = [each[0][-len(steps) :] for each in said]
        now = ticks[-len(steps) :]
        known = history.audio_valid[now] | (history.face_index[now] >= 0)
        check_finite(SYSTEM, "arousal_valence", new[0][known])
        check_finite(SYSTEM, "emotion_logits", new[1][known])
        check_weight(SYSTEM, new[2][known])
        return Answers(np.clip(new[0], -1, 1), new[1], new[2]), None

    def whole(self, history: History | None, memory: None) -> Mapping[str, float]:
        """Return the classes of a recording as a whole: none, as the graph answers at every step."""
        return {}

    def _input(self, name: str, history: History, ticks: IntArray) -> NDArray[np.generic]:
        graph, heard, newest = self._graph, history.audio_valid[ticks], history.face_index[ticks]
        if name == "audio_valid":
            return heard
        if name == "video_valid":
            return newest >= 0
        if name == "speech_energy":
            return history.speech_energy[ticks]
        if name == "regions":
            return rows(history.faces, newest)
        if name == "crops":
            back = np.maximum(newest[:, None] - np.arange(graph.pictures - 1, -1, -1), 0)
            return rows(history.faces, np.where(newest[:, None] >= 0, back, -1))
        if graph.heard == 1:
            return rows(history.voice, np.where(heard, history.voice_index[ticks], -1))
        back = ticks[:, None] - np.arange(graph.heard - 1, -1, -1)
        known = (back >= 0) & heard[:, None]
        slices = rows(history.voice, np.where(known, history.voice_index[np.maximum(back, 0)], -1))
        return slices.reshape(len(ticks), -1, *slices.shape[3:])
