"""Features and a bundle -> estimates at every tick, through ONNX Runtime. The one file that imports it."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotrace.bundle import Bundle
from emotrace.errors import BundleError
from emotrace.inference.answers import check_finite, check_shape, check_weight
from emotrace.inference.graph_check import check_content
from emotrace.inference.history import rows
from emotrace.labels import EMOTIONS
from emotrace.types import BoolArray, Features, FloatArray, Image, IntArray

State = tuple[FloatArray, FloatArray]
"""The fusion network's carried state: two arrays [1, hidden]."""

_FACE_BATCH = 32
_VOICE_BATCH = 32
_DISABLED = ("QDQPropagationTransformer",)
"""It moves the step to integers ahead of a pooling that is four times as fast in float; the answers are the same."""


@dataclass(frozen=True)
class Estimates:
    """What the networks say at every tick; NaN where neither voice nor face is known.

    Attributes:
        arousal: [T] in [-1, 1].
        valence: [T] in [-1, 1].
        emotions: [T, E] probabilities in the order of `labels.EMOTIONS`; all NaN for a bundle that tells none.
        audio_weight: [T] beta of eq. 30.
    """

    arousal: FloatArray
    valence: FloatArray
    emotions: FloatArray
    audio_weight: FloatArray


class Voice:
    """The voice network."""

    def __init__(self, graph: bytes, *, num_threads: int = 0) -> None:
        self._network = Network("voice.onnx", graph, ("inputs",), ("features", "logits"), num_threads)

    def hear(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return voice features [W, A] and the voice branch's logits [W, C] of its inputs [W, ...]."""
        return self._network.run_batches(inputs, _VOICE_BATCH)


class FaceEncoder:
    """The face network."""

    def __init__(self, graph: bytes, *, num_threads: int = 0) -> None:
        self._network = Network("face.onnx", graph, ("crops",), ("regions", "logits"), num_threads)

    def see(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """Return regions [F, K, D] and the face branch's logits [F, E] of crops [F, size, size]."""
        return self._network.run_batches(crops[:, None].astype(np.float32) / np.float32(255), _FACE_BATCH)


class Branches:
    """The voice and the face network.

    Raises:
        BundleError: a network is damaged or has not the inputs and outputs that every bundle has.
    """

    def __init__(self, face: bytes, voice: bytes, *, num_threads: int = 0) -> None:
        self._face = FaceEncoder(face, num_threads=num_threads)
        self.voice = Voice(voice, num_threads=num_threads)

    def see(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """Return regions [F, K, D] and the face branch's logits [F, E] of crops [F, size, size]."""
        return self._face.see(crops)


class Session:
    """The three networks of a bundle, ready to run.

    Raises:
        BundleError: a network is damaged or has not the inputs and outputs that every bundle has.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 0) -> None:
        self.bundle = bundle
        self.branches = Branches(bundle.read("face.onnx"), bundle.read("voice.onnx"), num_threads=num_threads)
        self._fusion = Network("fusion.onnx", bundle.read("fusion.onnx"), _FUSION_INPUTS, _FUSION_OUTPUTS, num_threads)

    def classes(self, state: State) -> dict[str, float]:
        """Return the classes of the recording as a whole: none, as the fusion answers at every tick."""
        return {}

    def initial_state(self) -> State:
        """Return the state before the first tick of a recording."""
        zeros = np.zeros((1, self.bundle.manifest.hidden_dim), dtype=np.float32)
        return zeros, zeros

    def run(self, features: Features, state: State) -> tuple[Estimates, State]:
        """Return the estimates of a block and the state for the next block of the same recording."""
        inputs = fusion_inputs(features, self.branches)
        arousal_valence, logits, audio_weight, *carried = self._fusion.run(
            inputs.audio[None], inputs.regions[None], inputs.audio_valid[None], inputs.video_valid[None], *state
        )
        unknown = ~(inputs.audio_valid | inputs.video_valid)
        _check_fusion(len(unknown), arousal_valence, logits, audio_weight, *carried, state=state)
        check_finite("fusion.onnx", "arousal_valence", arousal_valence[0, ~unknown])
        check_finite("fusion.onnx", "emotion_logits", logits[0, ~unknown])
        check_weight("fusion.onnx", audio_weight[0, ~unknown])
        untold = unknown | (not self.bundle.manifest.tells_emotions)
        estimates = Estimates(
            arousal=_blank(np.clip(arousal_valence[0, :, 0], -1, 1), unknown),
            valence=_blank(np.clip(arousal_valence[0, :, 1], -1, 1), unknown),
            emotions=_blank(softmax(logits[0]), untold),
            audio_weight=_blank(audio_weight[0], unknown),
        )
        return estimates, (carried[0], carried[1])


@dataclass(frozen=True)
class FusionInputs:
    """What the fusion network reads, one row per tick; zeros where a modality is not valid.

    Attributes:
        audio: [T, A] voice features.
        faces: [F, K, D] regions of each crop.
        face_index: [T] row of `faces` at each tick; -1 without a face.
        audio_valid: [T].
        video_valid: [T].
    """

    audio: FloatArray
    faces: FloatArray
    face_index: IntArray
    audio_valid: BoolArray
    video_valid: BoolArray

    @property
    def regions(self) -> FloatArray:
        """Face regions on the ticks, [T, K, D]."""
        return rows(self.faces, self.face_index)


def fusion_inputs(features: Features, branches: Branches) -> FusionInputs:
    """Run the branches on a block and lay out what they say on the ticks."""
    return FusionInputs(
        audio=rows(branches.voice.hear(features.voice_inputs)[0], features.voice_index),
        faces=branches.see(features.face_crops)[0],
        face_index=features.face_index,
        audio_valid=features.voice_valid & (features.voice_index >= 0),
        video_valid=features.face_index >= 0,
    )


def _check_fusion(ticks: int, *said: FloatArray, state: State) -> None:
    shapes = ((1, ticks, 2), (1, ticks, len(EMOTIONS)), (1, ticks), *(each.shape for each in state))
    for name, found, shape in zip(_FUSION_OUTPUTS, said, shapes, strict=True):
        check_shape("fusion.onnx", name, found, shape)


_FUSION_INPUTS = ("audio", "regions", "audio_valid", "video_valid", "hidden", "cell")
_FUSION_OUTPUTS = ("arousal_valence", "emotion_logits", "audio_weight", "next_hidden", "next_cell")


class Network:
    """One graph, its inputs and outputs checked by name.

    Raises:
        BundleError: the graph is damaged, or has others, or would not run within bounds; see `graph_check`.
    """

    def __init__(
        self, name: str, graph: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...], num_threads: int
    ) -> None:
        check_content(name, graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3
        # The arena keeps the most that any batch ever needed, 60 MB here, and saves no time that could be measured.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # Idle threads that spin would take the cores from the decoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED
            )
        except Exception as error:  # ONNX Runtime raises many types of its own for a damaged graph
            raise BundleError(f"{name} is no usable network: {error}. Install or export the bundle again.") from error
        found = {each.name for each in self._session.get_inputs()}, {each.name for each in self._session.get_outputs()}
        if found != (set(inputs), set(outputs)):
            raise BundleError(
                f"{name} has the inputs and outputs {found}, expected {inputs} and {outputs}: export the bundle again."
            )
        for each in self._session.get_outputs():
            if each.type != "tensor(float)":
                raise BundleError(
                    f"{name} answers with {each.name} of type {each.type}, expected tensor(float): "
                    "export the bundle again."
                )
        self._name, self._inputs, self._outputs = name, inputs, outputs

    def run(self, *arrays: NDArray[np.generic]) -> list[FloatArray]:
        """Return the outputs for the inputs, both in the order of their names."""
        try:
            return list(self._session.run(list(self._outputs), dict(zip(self._inputs, arrays, strict=True))))
        except Exception as error:  # of ONNX Runtime's own types: the graph wants other shapes
            raise BundleError(f"{self._name} does not fit the bundle: {error}. Export the bundle again.") from error

    def run_batches(self, inputs: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
        """Run in batches of bounded size; no input at all still gives arrays of the right width."""
        if len(inputs) == 0:
            first, second = self._run_rows(np.zeros((1, *inputs.shape[1:]), dtype=np.float32))
            return first[:0], second[:0]
        parts = [self._run_rows(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _run_rows(self, inputs: FloatArray) -> list[FloatArray]:
        said = self.run(inputs)
        for name, array in zip(self._outputs, said, strict=True):
            check_shape(self._name, name, array, (len(inputs), *array.shape[1:]))
        return said


def _blank(values: FloatArray, unknown: BoolArray) -> FloatArray:
    out = values.astype(np.float32)
    out[unknown] = np.nan
    return out


def softmax(logits: FloatArray) -> FloatArray:
    """Return probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
