"""The graph of a clip-level system -> what it says of windows of a recording, of the whole, and of turns of a dialogue.

Axes: N windows or turns, D width of a turn's vector, C classes, T turns so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotrace.bundle import DIALOGUE, SYSTEM, Bundle
from emotrace.bundle_graphs import WINDOWS_AT_ONCE, ClipGraph
from emotrace.inference.answers import Answers, check_finite, check_shape, check_weight, unknown
from emotrace.inference.history import History, rows
from emotrace.inference.session import Network, softmax
from emotrace.labels import class_points
from emotrace.types import BoolArray, FloatArray, IntArray
from emotrace.windows import Glance, Sampling, glance

TURN_INPUTS = ("vectors", "speaker", "known")
TURN_OUTPUTS = ("logits", "shares")


@dataclass(frozen=True, eq=False)
class Looked:
    """What the graph makes of windows.

    Attributes:
        made: [N, C] logits, or [N, D] vectors of a graph that hears turns in context.
        audio_weight: [N].
        known: [N] whether there was a voice or a face.
        shown: the further answers, each [N, ...].
    """

    made: FloatArray
    audio_weight: FloatArray
    known: BoolArray
    shown: tuple[FloatArray, ...]


@dataclass(frozen=True, eq=False)
class Heard:
    """What is remembered from block to block.

    Attributes:
        share_sum: [C] sum of the probabilities of all windows in which anything was known.
        num_shares: how many these are.
        vectors: [T, D] of the newest windows, of a graph that hears them in context.
    """

    share_sum: FloatArray
    num_shares: int
    vectors: FloatArray


class ClipRunner:
    """Runs the graph on windows.

    Raises:
        BundleError: a graph is damaged or has not the inputs and outputs that the manifest tells; when it is run, its
            answers have other shapes.
    """

    def __init__(self, bundle: Bundle, graph: ClipGraph, num_threads: int) -> None:
        self.graph = graph
        self._outputs = clip_outputs(graph)
        self._network = Network(SYSTEM, bundle.read(SYSTEM), clip_inputs(graph), self._outputs, num_threads)
        self._turns = None
        if graph.turns:
            self._turns = Network(DIALOGUE, bundle.read(DIALOGUE), TURN_INPUTS, TURN_OUTPUTS, num_threads)
        self._points = np.array(class_points(graph.classes), dtype=np.float32)

    @property
    def kept_ticks(self) -> int:
        """Ticks that a later window may look back at."""
        return self.graph.window_ticks + self.graph.step_ticks

    def answers(self, history: History, steps: IntArray, memory: Heard | None) -> tuple[Answers, Heard | None]:
        """Return the answers of the windows that end at consecutive steps."""
        graph, num_classes = self.graph, len(self.graph.classes)
        if not len(steps):
            return unknown(0, num_classes), memory
        stops = (steps + 1) * graph.step_ticks - history.first_tick
        parts = [
            self.look([window(history, max(0, int(stop) - graph.window_ticks), int(stop)) for stop in some])
            for some in np.split(stops, range(WINDOWS_AT_ONCE, len(stops), WINDOWS_AT_ONCE))
        ]
        made, known = np.concatenate([part.made for part in parts]), np.concatenate([part.known for part in parts])
        nothing = np.zeros((0, graph.vector_dim), dtype=np.float32)
        before = memory or Heard(np.zeros(num_classes, dtype=np.float32), 0, nothing)
        logits, vectors = made, nothing
        if graph.turns:
            vectors = np.concatenate([before.vectors, made])
            first = len(before.vectors)
            logits = self.converse([(vectors[: place + 1], None) for place in range(first, len(vectors))])[0]
            vectors = vectors[-graph.turns :]
        shares = before.share_sum + softmax(logits)[known].sum(axis=0)
        weight = np.concatenate([part.audio_weight for part in parts])
        said = Answers(self.placed(logits), logits, weight).where(known)
        return said, Heard(shares, before.num_shares + int(known.sum()), vectors)

    def whole(self, history: History | None, memory: Heard | None) -> Mapping[str, float]:
        """Return the probability of each class for a recording as a whole; nothing where nothing was known.

        Args:
            history: all of the recording; None where it is too long: its windows are averaged then.
            memory: after its last block.
        """
        if history is not None and len(history):
            looked = self.look([history])
            if not looked.known[0]:
                return {}
            return self.named(softmax(self.told(looked))[0])
        if memory is None or not memory.num_shares:
            return {}
        return self.named(np.asarray(memory.share_sum / memory.num_shares, dtype=np.float32))

    def named(self, shares: FloatArray) -> dict[str, float]:
        """Return probabilities [C] by the names of the classes."""
        return {name: round(float(share), 4) for name, share in zip(self.graph.classes, shares, strict=True)}

    def told(self, looked: Looked) -> FloatArray:
        """Return logits [N, C] of windows, each by itself."""
        if not self.graph.turns:
            return looked.made
        return self.converse([(vector[None], None) for vector in looked.made])[0]

    def look(self, windows: Sequence[History]) -> Looked:
        """Return what the graph makes of windows, all in one run."""
        parts = [clip_arrays(self.graph, glanced(self.graph, each), each) for each in windows]
        arrays = [np.stack([part[name] for part in parts]) for name in clip_inputs(self.graph)]
        said = self._network.run(*arrays)
        width = self.graph.vector_dim if self.graph.turns else len(self.graph.classes)
        check_shape(SYSTEM, self._outputs[0], said[0], (len(windows), width))
        check_shape(SYSTEM, "audio_weight", said[1], (len(windows),))
        known = np.array([any(part[name].any() for name in part if name.endswith("_valid")) for part in parts])
        check_finite(SYSTEM, self._outputs[0], said[0][known])
        check_weight(SYSTEM, said[1][known])
        return Looked(said[0], said[1], known, tuple(said[2:]))

    def converse(self, turns: Sequence[tuple[FloatArray, IntArray | None]]) -> tuple[FloatArray, list[FloatArray]]:
        """Return the answer to the last turn of each run of turns, and its shares of the turns that it heard.

        Args:
            turns: vectors [T, D] and who speaks [T]; None for the same person throughout. Only the newest are heard.

        Returns:
            logits [N, C], and for each the shares [T] of its newest turns.
        """
        assert self._turns is not None
        newest = [(vectors[-self.graph.turns :], _newest(who, self.graph.turns)) for vectors, who in turns]
        logits, shares = [], []
        for first in range(0, len(newest), WINDOWS_AT_ONCE):
            some = newest[first : first + WINDOWS_AT_ONCE]
            inputs = _padded(some)
            found = self._turns.run(*inputs)
            check_shape(DIALOGUE, "logits", found[0], (len(some), len(self.graph.classes)))
            check_shape(DIALOGUE, "shares", found[1], inputs[-1].shape)
            heard = np.array([np.isfinite(vectors).all() for vectors, _ in some])
            check_finite(DIALOGUE, "logits", found[0][heard])
            logits.append(found[0])
            shares += [row[: len(vectors)] for row, (vectors, _) in zip(found[1], some, strict=True)]
        return np.concatenate(logits), shares

    def placed(self, logits: FloatArray) -> FloatArray:
        """Return [N, 2]: the mean of the classes' circumplex coordinates by their probabilities; NaN without any."""
        known = np.isfinite(self._points).all(axis=1)
        if not known.any():
            return np.full((len(logits), 2), np.nan, dtype=np.float32)
        return np.asarray(softmax(logits[:, known]) @ self._points[known], dtype=np.float32)


def _newest(who: IntArray | None, count: int) -> IntArray | None:
    return None if who is None else who[-count:]


def _padded(turns: Sequence[tuple[FloatArray, IntArray | None]]) -> list[NDArray[np.generic]]:
    """Return vectors [N, T, D], who speaks [N, T] and which are there [N, T], padding after the last turn."""
    longest, width = max(len(vectors) for vectors, _ in turns), turns[0][0].shape[1]
    table = np.zeros((len(turns), longest, width), dtype=np.float32)
    speaker, known = np.zeros((len(turns), longest), dtype=np.int64), np.zeros((len(turns), longest), dtype=bool)
    for row, (vectors, who) in enumerate(turns):
        table[row, : len(vectors)] = vectors
        known[row, : len(vectors)] = True
        if who is not None:
            speaker[row, : len(vectors)] = who
    return [table, speaker, known]


def clip_inputs(graph: ClipGraph) -> tuple[str, ...]:
    """Return the names of the graph's inputs, [N, ...] each."""
    valid = {"pictures": "pictures_valid", "regions": "pictures_valid", "sound": "sound_valid"}
    return tuple(part for name in graph.inputs for part in (name, valid[name]))


def clip_outputs(graph: ClipGraph) -> tuple[str, ...]:
    """Return the names of the graph's outputs, [N, ...] each."""
    return ("vectors" if graph.turns else "logits", "audio_weight", *graph.explains)


def glanced(graph: ClipGraph, clip: History) -> Glance:
    """Return what the graph looks at in a window."""
    return glance(
        clip.face_index,
        np.where(clip.audio_valid, clip.voice_index, -1),
        Sampling(*graph.sampling, graph.loops),
        picture_ticks=graph.picture_ticks,
        slice_frames=clip.voice.shape[1],
    )


def clip_arrays(graph: ClipGraph, looked: Glance, clip: History) -> Mapping[str, NDArray[np.generic]]:
    """Return the graph's inputs for one window."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name in graph.inputs:
        if name == "sound":
            if len(clip.voice):
                chosen = clip.voice[np.maximum(looked.sound, 0), looked.frames]
            else:
                chosen = np.zeros((*looked.sound.shape, clip.voice.shape[-1]), dtype=np.float32)
            arrays["sound"] = chosen * (looked.sound >= 0)[..., None]
            arrays["sound_valid"] = looked.sound >= 0
        else:
            arrays[name] = rows(clip.faces, looked.pictures)
            arrays["pictures_valid"] = looked.pictures >= 0
    return arrays


def window(history: History, first: int, stop: int) -> History:
    """Return a stretch of the rows of a history."""
    part = slice(first, stop)
    return replace(
        history,
        first_tick=history.first_tick + first,
        voice_index=history.voice_index[part],
        audio_valid=history.audio_valid[part],
        speech_energy=history.speech_energy[part],
        face_index=history.face_index[part],
    )
