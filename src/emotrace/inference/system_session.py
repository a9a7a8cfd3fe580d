"""Features and a bundle of one graph -> estimates at every tick, and the classes of the recording as a whole.

The graph is given what `training/tracks.py` and `training/clip_batches.py` gave it: tests hold the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotrace.bundle import SYSTEM, Bundle
from emotrace.bundle_graphs import WHOLE_SECONDS, WINDOWS_AT_ONCE, ClipGraph, FrameGraph
from emotrace.errors import BundleError
from emotrace.features.voice_input import input_shape
from emotrace.inference.history import History, empty_history, rows
from emotrace.inference.session import Estimates, FaceEncoder, Network, Session, softmax
from emotrace.labels import EMOTIONS, class_points, timeline_emotion
from emotrace.types import BoolArray, Features, FloatArray, Image, IntArray
from emotrace.windows import Sampling, glance


@dataclass(frozen=True, eq=False)
class Said:
    """What the graph said last, and what was said so far.

    Attributes:
        history: what it may still look back at.
        logits: [C] of the last answer; NaN before the first.
        arousal_valence: [2] of the last answer.
        audio_weight: of the last answer.
        next_step: number of the next answer.
        share_sum: [C] sum of the probabilities of all windows in which anything was known.
        num_shares: how many these are.
        is_whole: whether the history still reaches back to the start of the recording.
    """

    history: History
    logits: FloatArray
    arousal_valence: FloatArray
    audio_weight: float
    next_step: int = 0
    share_sum: FloatArray | None = None
    num_shares: int = 0
    is_whole: bool = True


@dataclass(frozen=True, eq=False)
class _Answers:
    """Answers at S steps: [S, 2], [S, C], [S]."""

    arousal_valence: FloatArray
    logits: FloatArray
    audio_weight: FloatArray


class SystemSession:
    """A system of one graph, ready to run.

    Raises:
        BundleError: a network is damaged or has not the inputs and outputs that the manifest tells; when it is run,
            its answers have other shapes.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 0) -> None:
        graph = bundle.manifest.system
        if graph is None:
            raise BundleError(f"Bundle {bundle.manifest.name} holds three networks, and not one system.")
        self.bundle = bundle
        self._graph = graph
        self._faces = (
            FaceEncoder(bundle.read("face.onnx"), num_threads=num_threads) if "regions" in graph.inputs else None
        )
        inputs = graph.inputs if isinstance(graph, FrameGraph) else clip_inputs(graph)
        self._outputs = FRAME_OUTPUTS if isinstance(graph, FrameGraph) else CLIP_OUTPUTS
        self._network = Network(SYSTEM, bundle.read(SYSTEM), inputs, self._outputs, num_threads)
        self._points = np.array(class_points(graph.classes), dtype=np.float32)

    def initial_state(self) -> Said:
        """Return the state before the first tick of a recording."""
        recipe = self.bundle.recipe
        size = recipe.video.crop_size
        blank = np.zeros((1, size, size), dtype=np.uint8)
        history = empty_history(input_shape(recipe.audio), self._kept(blank)[:0])
        unknown = np.full(len(self._graph.classes), np.nan, dtype=np.float32)
        return Said(history, unknown, np.full(2, np.nan, dtype=np.float32), float("nan"))

    def run(self, features: Features, state: Said) -> tuple[Estimates, Said]:
        """Return the estimates of a block and the state for the next block of the same recording."""
        kept = self._kept(features.face_crops)
        _check_shape("face.onnx", "regions", kept, (len(features.face_crops), *state.history.faces.shape[1:]))
        history = state.history.extended(features, kept)
        state = replace(state, history=history)
        first_tick = history.stop_tick - len(features.times)
        graph = self._graph
        steps = np.arange(state.next_step, history.stop_tick // graph.step_ticks)
        if isinstance(graph, FrameGraph):
            answers = self._frames(graph, history, steps)
        else:
            answers, state = self._windows(graph, history, steps, state)
        estimates = self._on_ticks(answers, steps, state, first_tick, features)
        if len(steps):
            state = replace(
                state,
                logits=answers.logits[-1],
                arousal_valence=answers.arousal_valence[-1],
                audio_weight=float(answers.audio_weight[-1]),
                next_step=int(steps[-1]) + 1,
            )
        return estimates, self._forgotten(state)

    def classes(self, state: Said) -> dict[str, float]:
        """Return the probability of each class for the recording as a whole.

        Nothing of a frame-level system, or where neither voice nor face was known.
        """
        graph = self._graph
        if not isinstance(graph, ClipGraph):
            return {}
        if state.is_whole and len(state.history):
            logits, _, known = self._look(graph, [state.history])
            if not known[0]:
                return {}
            shares = softmax(logits)[0]
        elif state.share_sum is not None:
            shares = state.share_sum / state.num_shares
        else:
            return {}
        return {name: round(float(share), 4) for name, share in zip(graph.classes, shares, strict=True)}

    def _kept(self, crops: Image) -> FloatArray | Image:
        return crops if self._faces is None else self._faces.see(crops)[0]

    def _answer(self, arrays: list[NDArray[np.generic]], leading: tuple[int, ...]) -> list[FloatArray]:
        """Return what the graph says, each output [*leading, ...], of its inputs.

        Raises:
            BundleError: an output has another shape.
        """
        num_classes = len(self._graph.classes)
        widths = {"arousal_valence": (2,), "emotion_logits": (num_classes,), "logits": (num_classes,)}
        said = self._network.run(*arrays)
        for name, array in zip(self._outputs, said, strict=True):
            _check_shape(SYSTEM, name, array, (*leading, *widths.get(name, ())))
        return said

    def _forgotten(self, state: Said) -> Said:
        """Return the state without the ticks that no later answer looks at."""
        graph, history = self._graph, state.history
        if isinstance(graph, FrameGraph):
            steps = graph.context_steps + 1
            return replace(state, history=history.last(steps * graph.step_ticks + graph.heard))
        whole = state.is_whole and len(history) <= WHOLE_SECONDS * self.bundle.recipe.label_rate_hz
        return (
            state
            if whole
            else replace(state, history=history.last(graph.window_ticks + graph.step_ticks), is_whole=False)
        )

    def _frames(self, graph: FrameGraph, history: History, steps: IntArray) -> _Answers:
        if not len(steps):
            return _no_answers(len(graph.classes))
        first = max(int(steps[0]) - graph.context_steps, -(-history.first_tick // graph.step_ticks))
        ticks = (np.arange(first, steps[-1] + 1) + 1) * graph.step_ticks - 1 - history.first_tick
        arrays = [self._frame_input(name, graph, history, ticks)[None] for name in graph.inputs]
        said = [each[0][-len(steps) :] for each in self._answer(arrays, (1, len(ticks)))]
        return _Answers(np.clip(said[0], -1, 1), said[1], said[2])

    def _frame_input(self, name: str, graph: FrameGraph, history: History, ticks: IntArray) -> NDArray[np.generic]:
        heard, newest = history.audio_valid[ticks], history.face_index[ticks]
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

    def _windows(self, graph: ClipGraph, history: History, steps: IntArray, state: Said) -> tuple[_Answers, Said]:
        logits, weights, known = [], [], []
        for first in range(0, len(steps), WINDOWS_AT_ONCE):
            stops = (steps[first : first + WINDOWS_AT_ONCE] + 1) * graph.step_ticks - history.first_tick
            found = self._look(graph, [_window(history, int(stop), graph.window_ticks) for stop in stops])
            logits.append(found[0])
            weights.append(found[1])
            known.append(found[2])
        if not logits:
            return _no_answers(len(graph.classes)), state
        every, is_known = np.concatenate(logits), np.concatenate(known)
        shares = softmax(every)
        every = np.where(is_known[:, None], every, np.nan).astype(np.float32)
        if is_known.any():
            total = shares[is_known].sum(axis=0)
            total = total if state.share_sum is None else state.share_sum + total
            state = replace(state, share_sum=total, num_shares=state.num_shares + int(is_known.sum()))
        weight = np.where(is_known, np.concatenate(weights), np.nan).astype(np.float32)
        return _Answers(self._placed(every), every, weight), state

    def _look(self, graph: ClipGraph, windows: list[History]) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return logits [N, C], audio weights [N] and whether anything is known [N] of windows."""
        parts = [_clip_arrays(graph, window) for window in windows]
        arrays = [np.stack([part[name] for part in parts]) for name in clip_inputs(graph)]
        logits, weights = self._answer(arrays, (len(windows),))
        known = np.array([any(part[name].any() for name in part if name.endswith("_valid")) for part in parts])
        return logits, weights, known

    def _placed(self, logits: FloatArray) -> FloatArray:
        """Return [S, 2]: the mean of the classes' circumplex coordinates by their probabilities; NaN without any."""
        known = np.isfinite(self._points).all(axis=1)
        if not known.any():
            return np.full((len(logits), 2), np.nan, dtype=np.float32)
        return np.asarray(softmax(logits[:, known]) @ self._points[known], dtype=np.float32)

    def _on_ticks(
        self, answers: _Answers, steps: IntArray, state: Said, first_tick: int, features: Features
    ) -> Estimates:
        """Return what holds at every tick: the latest answer, and the first one before it."""
        ticks = np.arange(first_tick, first_tick + len(features.times))
        step = (ticks + 1) // self._graph.step_ticks - 1
        begin = int(steps[0]) if len(steps) else state.next_step
        place = np.maximum(step - begin + 1, 0 if state.next_step or not len(steps) else 1)
        table = _Answers(
            np.concatenate([state.arousal_valence[None], answers.arousal_valence]),
            np.concatenate([state.logits[None], answers.logits]),
            np.concatenate([np.array([state.audio_weight], dtype=np.float32), answers.audio_weight]),
        )
        heard = features.voice_valid & (features.voice_index >= 0)
        unknown = (
            ~(heard | (features.face_index >= 0)) if isinstance(self._graph, FrameGraph) else np.zeros(len(ticks), bool)
        )
        emotions = self._emotions(table.logits[place])
        blank = np.where(unknown, np.nan, 1).astype(np.float32)
        said = table.arousal_valence[place] * blank[:, None]
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


FRAME_OUTPUTS = ("arousal_valence", "emotion_logits", "audio_weight")
CLIP_OUTPUTS = ("logits", "audio_weight")


def clip_inputs(graph: ClipGraph) -> tuple[str, ...]:
    """Return the names of the graph's inputs, [N, ...] each."""
    valid = {"pictures": "pictures_valid", "regions": "pictures_valid", "sound": "sound_valid"}
    return tuple(part for name in graph.inputs for part in (name, valid[name]))


def _clip_arrays(graph: ClipGraph, window: History) -> Mapping[str, NDArray[np.generic]]:
    looked = glance(
        window.face_index,
        np.where(window.audio_valid, window.voice_index, -1),
        Sampling(*graph.sampling, graph.loops),
        picture_ticks=graph.picture_ticks,
        slice_frames=window.voice.shape[1],
    )
    arrays: dict[str, NDArray[np.generic]] = {}
    for name in graph.inputs:
        if name == "sound":
            if len(window.voice):
                chosen = window.voice[np.maximum(looked.sound, 0), looked.frames]
            else:
                chosen = np.zeros((*looked.sound.shape, window.voice.shape[-1]), dtype=np.float32)
            arrays["sound"] = chosen * (looked.sound >= 0)[..., None]
            arrays["sound_valid"] = looked.sound >= 0
        else:
            arrays[name] = rows(window.faces, looked.pictures)
            arrays["pictures_valid"] = looked.pictures >= 0
    return arrays


def _check_shape(file: str, name: str, found: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if found.shape != shape:
        raise BundleError(
            f"{file} answers with {name} of shape {found.shape}, expected {shape} by the manifest: "
            "export the bundle again."
        )


def _window(history: History, stop: int, ticks: int) -> History:
    """Return the window that ends before a row of the history."""
    first = max(0, stop - ticks)
    part = slice(first, stop)
    return replace(
        history,
        voice_index=history.voice_index[part],
        audio_valid=history.audio_valid[part],
        speech_energy=history.speech_energy[part],
        face_index=history.face_index[part],
    )


def _no_answers(num_classes: int) -> _Answers:
    return _Answers(*(np.zeros(shape, dtype=np.float32) for shape in ((0, 2), (0, num_classes), (0,))))
