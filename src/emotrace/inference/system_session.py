"""Features and a bundle of one graph -> estimates at every tick, and the classes of the recording as a whole.

The graph is given what `training/tracks.py` and `training/clip_batches.py` gave it: tests hold the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from emotrace.bundle import Bundle
from emotrace.bundle_graphs import WHOLE_SECONDS, FrameGraph
from emotrace.errors import BundleError
from emotrace.features.voice_input import input_shape
from emotrace.inference.answers import Answers, check_shape, unknown
from emotrace.inference.clip_runner import ClipRunner
from emotrace.inference.frame_runner import FrameRunner
from emotrace.inference.history import History, empty_history
from emotrace.inference.session import Estimates, FaceEncoder, Session, softmax
from emotrace.labels import EMOTIONS, timeline_emotion
from emotrace.types import Features, FloatArray, Image, IntArray


@dataclass(frozen=True, eq=False)
class Said:
    """What the graph said last, and what was said so far.

    Attributes:
        history: what it may still look back at.
        last: the last answer, alone; nothing is known in it before the first.
        next_step: number of the next answer.
        memory: of the graph's runner, which nobody else looks into.
        is_whole: whether the history still reaches back to the start of the recording.
    """

    history: History
    last: Answers
    next_step: int = 0
    memory: Any = None
    is_whole: bool = True


class Runner(Protocol):
    """What runs a graph of either level."""

    @property
    def kept_ticks(self) -> int:
        """Ticks that a later answer may look back at."""

    def answers(self, history: History, steps: IntArray, memory: Any) -> tuple[Answers, Any]:
        """Return the answers at consecutive steps, and what is remembered of them."""

    def whole(self, history: History | None, memory: Any) -> Mapping[str, float]:
        """Return the probability of each class for a recording as a whole; its history where that is all of it."""


class SystemSession:
    """A system of one graph, ready to run.

    Attributes:
        bundle: that holds it.
        clips: runs the graph of a clip-level system on any window; None of a frame-level one.

    Raises:
        BundleError: a network is damaged or has not the inputs and outputs that the manifest tells; when it is run,
            its answers have other shapes.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 0) -> None:
        graph = bundle.manifest.system
        if graph is None:
            raise BundleError(f"Bundle {bundle.manifest.name} holds three networks, and not one system.")
        self.bundle = bundle
        self.clips: ClipRunner | None = None
        self._graph = graph
        self._faces = (
            FaceEncoder(bundle.read("face.onnx"), num_threads=num_threads) if "regions" in graph.inputs else None
        )
        self._runner: Runner
        if isinstance(graph, FrameGraph):
            self._runner = FrameRunner(bundle, graph, num_threads)
        else:
            self._runner = self.clips = ClipRunner(bundle, graph, num_threads)

    def initial_state(self) -> Said:
        """Return the state before the first tick of a recording."""
        return Said(self.empty_history(), unknown(1, len(self._graph.classes)))

    def empty_history(self) -> History:
        """Return what is known before the first tick."""
        recipe = self.bundle.recipe
        size = recipe.video.crop_size
        blank = np.zeros((1, size, size), dtype=np.uint8)
        return empty_history(input_shape(recipe.audio), self._kept(blank)[:0])

    def extended(self, history: History, features: Features) -> History:
        """Return the history with the ticks of the next block.

        Raises:
            BundleError: the face network answers with another shape than before.
        """
        kept = self._kept(features.face_crops)
        check_shape("face.onnx", "regions", kept, (len(features.face_crops), *history.faces.shape[1:]))
        return history.extended(features, kept)

    def run(self, features: Features, state: Said) -> tuple[Estimates, Said]:
        """Return the estimates of a block and the state for the next block of the same recording."""
        history = self.extended(state.history, features)
        first_tick = history.stop_tick - len(features.times)
        steps = np.arange(state.next_step, history.stop_tick // self._graph.step_ticks)
        answers, memory = self._runner.answers(history, steps, state.memory)
        estimates = self._on_ticks(answers, steps, state, first_tick, features)
        state = replace(state, history=history, memory=memory)
        if len(steps):
            state = replace(state, last=answers.last(), next_step=int(steps[-1]) + 1)
        return estimates, self._forgotten(state)

    def classes(self, state: Said) -> dict[str, float]:
        """Return the probability of each class for the recording as a whole.

        Nothing of a frame-level system, or where neither voice nor face was known.
        """
        return dict(self._runner.whole(state.history if state.is_whole else None, state.memory))

    def _kept(self, crops: Image) -> FloatArray | Image:
        return crops if self._faces is None else self._faces.see(crops)[0]

    def _forgotten(self, state: Said) -> Said:
        """Return the state without the ticks that no later answer looks at."""
        longest = WHOLE_SECONDS * self.bundle.recipe.label_rate_hz
        if self.clips is not None and state.is_whole and len(state.history) <= longest:
            return state
        return replace(state, history=state.history.last(self._runner.kept_ticks), is_whole=False)

    def _on_ticks(
        self, answers: Answers, steps: IntArray, state: Said, first_tick: int, features: Features
    ) -> Estimates:
        """Return what holds at every tick: the latest answer, and the first one before it."""
        ticks = np.arange(first_tick, first_tick + len(features.times))
        step = (ticks + 1) // self._graph.step_ticks - 1
        begin = int(steps[0]) if len(steps) else state.next_step
        place = np.maximum(step - begin + 1, 0 if state.next_step or not len(steps) else 1)
        table = state.last.followed_by(answers)
        heard = features.voice_valid & (features.voice_index >= 0)
        known = heard | (features.face_index >= 0) if self.clips is None else np.ones(len(ticks), dtype=bool)
        blank = np.where(known, 1, np.nan).astype(np.float32)
        said = table.arousal_valence[place] * blank[:, None]
        emotions = self._emotions(table.logits[place])
        return Estimates(said[:, 0], said[:, 1], emotions * blank[:, None], table.audio_weight[place] * blank)

    def _emotions(self, logits: FloatArray) -> FloatArray:
        """Return [T, E]: probabilities of the timeline's emotions; NaN for one that no class stands for."""
        if not self.bundle.manifest.tells_emotions:
            return np.full((len(logits), len(EMOTIONS)), np.nan, dtype=np.float32)
        shares = softmax(logits)
        out = np.full((len(logits), len(EMOTIONS)), np.nan, dtype=np.float32)
        for place, name in enumerate(self._graph.classes):
            emotion = timeline_emotion(name)
            if emotion is not None:
                column = EMOTIONS.index(emotion)
                out[:, column] = np.nan_to_num(out[:, column]) + shares[:, place]
        return out


def open_session(bundle: Bundle, *, num_threads: int = 0) -> Session | SystemSession:
    """Return what runs a bundle of either kind.

    Raises:
        BundleError: a network is damaged or does not fit.
    """
    if bundle.manifest.system is None:
        return Session(bundle, num_threads=num_threads)
    return SystemSession(bundle, num_threads=num_threads)
