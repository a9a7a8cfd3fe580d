"""Nothing -> bundles of tiny networks, real in every respect but their wits."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emotrace import bundle
from emotrace.bundle_graphs import ClipGraph
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.recipe import AudioRecipe, Recipe

CLASSES = ("anger", "joy")
"""Of the bundle for turns."""
_AUDIO, _REGIONS, _DEPTH, _HIDDEN = 3, 4, 2, 5


def write(folder: Path) -> Path:
    """Write the bundle and return its folder."""
    manifest = bundle.Manifest(
        name="tiny",
        emotrace_version="0.1.0",
        model="bimodal-attention",
        licence="CC0-1.0",
        recipe=Recipe(),
        recipe_digest=Recipe().digest(),
        emotions=EMOTIONS,
        voice_classes=VOICE_CLASSES,
        hidden_dim=_HIDDEN,
        face_prior=(1 / len(EMOTIONS),) * len(EMOTIONS),
        voice_prior=(1 / len(VOICE_CLASSES),) * len(VOICE_CLASSES),
        temperature={"face": 1.0, "voice": 1.0},
        metrics={},
        versions={},
        settings={},
        files={},
    )
    contents = {"face.onnx": _face(), "voice.onnx": _voice(), "fusion.onnx": _fusion(), bundle.CARD: b"# Tiny\n"}
    bundle.save_bundle(folder, manifest, contents)
    return folder


def write_for_turns(folder: Path, *, share: float = 1.0) -> Path:
    """Write a bundle that hears clips in the context of those before, and shows how; return its folder.

    Args:
        folder: of the bundle.
        share: that the shares of the turns that were heard sum to.
    """
    tiny = bundle.load_bundle(write(folder))
    recipe = Recipe(audio=AudioRecipe(front_end="log-mel", window_seconds=0.04, hop_seconds=0.04, pre_emphasis=0.0))
    graph = ClipGraph(
        inputs=("sound",),
        classes=CLASSES,
        step_ticks=10,
        window_ticks=25,
        picture_ticks=2,
        sampling=(2, 1, 4, 4),
        explains=("segments",),
        turns=3,
        vector_dim=_AUDIO,
    )
    changes = {"name": "talking", "recipe": recipe, "recipe_digest": recipe.digest(), "system": graph}
    contents = {bundle.SYSTEM: _system(), bundle.DIALOGUE: _dialogue(share), bundle.CARD: b"# Talking\n"}
    bundle.save_bundle(folder, tiny.manifest.model_copy(update=changes), contents)
    return folder


def _ramp(*shape: int) -> NDArray[np.float32]:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def _face() -> bytes:
    return _model(
        [
            helper.make_node("Flatten", ["crops"], ["flat"]),
            helper.make_node("ReduceMean", ["flat", "second_axis"], ["mean"]),
            helper.make_node("MatMul", ["mean", "to_regions"], ["all_regions"]),
            helper.make_node("Reshape", ["all_regions", "shape"], ["regions"]),
            helper.make_node("MatMul", ["mean", "to_logits"], ["logits"]),
        ],
        {"crops": ("F", 1, 48, 48)},
        {"regions": ("F", _REGIONS, _DEPTH), "logits": ("F", len(EMOTIONS))},
        {
            "second_axis": np.array([1]),
            "to_regions": _ramp(1, _REGIONS * _DEPTH),
            "shape": np.array([-1, _REGIONS, _DEPTH]),
            "to_logits": _ramp(1, len(EMOTIONS)),
        },
    )


def _voice() -> bytes:
    return _model(
        [
            helper.make_node("Flatten", ["inputs"], ["flat"]),
            helper.make_node("ReduceMean", ["flat", "second_axis"], ["mean"]),
            helper.make_node("MatMul", ["mean", "to_features"], ["features"]),
            helper.make_node("MatMul", ["mean", "to_logits"], ["logits"]),
        ],
        {"inputs": ("W", None)},
        {"features": ("W", _AUDIO), "logits": ("W", len(VOICE_CLASSES))},
        {
            "second_axis": np.array([1]),
            "to_features": _ramp(1, _AUDIO),
            "to_logits": _ramp(1, len(VOICE_CLASSES)),
        },
    )


def _fusion() -> bytes:
    state = (1, _HIDDEN)
    return _model(
        [
            helper.make_node("MatMul", ["audio", "to_point"], ["point"]),
            helper.make_node("Tanh", ["point"], ["arousal_valence"]),
            helper.make_node("MatMul", ["audio", "to_logits"], ["emotion_logits"]),
            helper.make_node("ReduceMean", ["audio", "last_axis"], ["share"], keepdims=0),
            helper.make_node("Sigmoid", ["share"], ["audio_weight"]),
            helper.make_node("Identity", ["hidden"], ["next_hidden"]),
            helper.make_node("Identity", ["cell"], ["next_cell"]),
        ],
        {
            "audio": (1, "T", _AUDIO),
            "regions": (1, "T", _REGIONS, _DEPTH),
            "audio_valid": (1, "T"),
            "video_valid": (1, "T"),
            "hidden": state,
            "cell": state,
        },
        {
            "arousal_valence": (1, "T", 2),
            "emotion_logits": (1, "T", len(EMOTIONS)),
            "audio_weight": (1, "T"),
            "next_hidden": state,
            "next_cell": state,
        },
        {"last_axis": np.array([2]), "to_point": _ramp(_AUDIO, 2), "to_logits": _ramp(_AUDIO, len(EMOTIONS))},
    )


def _system() -> bytes:
    return _model(
        [
            helper.make_node("ReduceMean", ["sound", "items"], ["heard"], keepdims=0),
            helper.make_node("MatMul", ["heard", "to_vectors"], ["vectors"]),
            helper.make_node("ReduceMean", ["vectors", "last_axis"], ["share"], keepdims=0),
            helper.make_node("Sigmoid", ["share"], ["audio_weight"]),
            helper.make_node("MatMul", ["vectors", "to_logits"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["classes"], axis=1),
            helper.make_node("Unsqueeze", ["classes", "last_axis"], ["part"]),
            helper.make_node("Concat", ["part", "part"], ["segments"], axis=1),
        ],
        {"sound": ("N", 4, 4, 64), "sound_valid": ("N", 4, 4)},
        {"vectors": ("N", _AUDIO), "audio_weight": ("N",), "segments": ("N", 2, len(CLASSES))},
        {
            "items": np.array([1, 2]),
            "last_axis": np.array([1]),
            "to_vectors": _ramp(64, _AUDIO) / 64,
            "to_logits": _ramp(_AUDIO, len(CLASSES)),
        },
    )


def _dialogue(share: float) -> bytes:
    return _model(
        [
            helper.make_node("ReduceMean", ["vectors", "turns"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "to_logits"], ["logits"]),
            helper.make_node("Cast", ["known"], ["counts"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["counts", "turns"], ["count"]),
            helper.make_node("Div", ["counts", "count"], ["even"]),
            helper.make_node("Mul", ["even", "share"], ["shares"]),
        ],
        {"vectors": ("N", "T", _AUDIO), "speaker": ("N", "T"), "known": ("N", "T")},
        {"logits": ("N", len(CLASSES)), "shares": ("N", "T")},
        {"turns": np.array([1]), "to_logits": _ramp(_AUDIO, len(CLASSES)), "share": np.array(share, np.float32)},
    )


Shape = tuple[int | str | None, ...]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    constants: dict[str, NDArray[np.generic]],
) -> bytes:
    def value(name: str, shape: Shape) -> onnx.ValueInfoProto:
        flag = TensorProto.BOOL if name.endswith("_valid") else TensorProto.FLOAT
        kind = {"known": TensorProto.BOOL, "speaker": TensorProto.INT64}.get(name, flag)
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes,
        "tiny",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
