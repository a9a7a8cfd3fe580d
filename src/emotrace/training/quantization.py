"""A float face network and crops like those it will see -> the same network with convolutions in 8-bit integers.

The last step of `emotrace train default`, and by `python -m benchmarks.quantize_default` for a bundle that was trained
before. The weights have one scale for each output channel; the activations one for each tensor, from its least and
greatest value over the calibration crops, a moving average over batches (B. Jacob et al., "Quantization and training of
neural networks for efficient integer-arithmetic-only inference", CVPR 2018). Before, the channels are levelled; after,
biases take up the mean error. Standardisation, the first and the last convolution, the head and the mean with the
mirror image stay float. Each of these was kept for a lower divergence from the float network on validation crops.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from emotrace.bundle import CARD, Bundle, Quantisation, save_bundle
from emotrace.corpora import ferplus
from emotrace.errors import BundleError
from emotrace.evaluation import COMPOSED_COUNT, CONDITIONS, composed_figures, face_figures
from emotrace.inference.session import Session
from emotrace.training.face import training_source
from emotrace.training.face_augmentation import augment
from emotrace.training.levelling import convolutions, level, replace
from emotrace.training.model_card import model_card
from emotrace.types import FloatArray

_Summary = Callable[..., FloatArray]

CALIBRATION_CROPS = 512
_SEED = 0
_BATCH = 32
_FACE_FIGURES = ("accuracy", "unweighted_average_recall", "equal_prior_accuracy")
_CONDITIONS = {"usual": CONDITIONS["usual"]}
_FUSED_FIGURES = ("ccc_arousal", "ccc_valence", "unweighted_average_recall")


def quantise_bundle(bundle: Bundle, data: Path, output: Path, *, recordings: int = COMPOSED_COUNT) -> Bundle:
    """Write a bundle whose face network computes with integers, with its figures before and after.

    Args:
        bundle: with three networks, all in float.
        data: folder with `ferplus`, `ravdess` and `nemo` in their official layouts.
        output: folder of the new bundle.
        recordings: composed of the validation split, to be judged on.

    Raises:
        BundleError: the bundle is one graph, or its face network computes with integers already.
        CorpusError: a corpus is missing or damaged.
    """
    if bundle.manifest.system is not None:
        raise BundleError(f"{bundle.folder} is one graph without branches: only the default bundle is quantised.")
    if bundle.manifest.face_quantised is not None:
        raise BundleError(f"{bundle.folder} computes with integers already: give the bundle in float.")
    crops = calibration_crops(data / "ferplus")
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    before = _figures(bundle, data, recordings)
    contents["face.onnx"] = quantise(contents["face.onnx"], "crops", crops)
    told = Quantisation(calibration_crops=len(crops), recordings=recordings, before=before, after=before)
    made = save_bundle(output, bundle.manifest.model_copy(update={"face_quantised": told}), contents)
    told = told.model_copy(update={"after": _figures(made, data, recordings)})
    manifest = bundle.manifest.model_copy(update={"face_quantised": told})
    return save_bundle(output, manifest, contents | {CARD: model_card(manifest).encode()})


def _figures(bundle: Bundle, data: Path, recordings: int) -> dict[str, float]:
    session = Session(bundle)
    face = face_figures(session, ferplus.read(data / "ferplus", "validation"))
    fused = composed_figures(session, data, "validation", None, count=recordings, under=_CONDITIONS)["usual"]
    assert isinstance(fused, dict)
    return {f"face_{name}": float(str(face[name])) for name in _FACE_FIGURES} | {
        f"fused_{name}": float(fused[name]) for name in _FUSED_FIGURES
    }


def calibration_crops(root: Path) -> FloatArray:
    """Return [F, 1, 48, 48] training crops in 0..1 as an analysis has them, every other one disturbed as in training.

    Raises:
        CorpusError: FER+ is damaged.
    """
    source = training_source(root)
    generator = torch.Generator().manual_seed(_SEED)
    crops = source.draw(torch.randperm(len(source.pixels), generator=generator)[:CALIBRATION_CROPS], None)
    crops[::2] = augment(crops[::2], generator)
    return np.asarray((crops * 255).round().numpy() / np.float32(255), dtype=np.float32)


@dataclass
class _Batches(CalibrationDataReader):  # type: ignore[misc]  # without type information
    """Hands the calibration one batch after the other."""

    name: str
    batches: Iterator[FloatArray]

    def get_next(self) -> dict[str, FloatArray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}


def quantise(graph: bytes, name: str, samples: FloatArray) -> bytes:
    """Return the graph with its inner convolutions, and the poolings between them, in 8-bit integers.

    Args:
        graph: ONNX, in float.
        name: of its input.
        samples: [N, ...] of that input; what lies beyond their activations' range is clipped.
    """
    with TemporaryDirectory() as scratch, _advice_unheard():
        given, folded, made = (Path(scratch) / file for file in ("given.onnx", "folded.onnx", "made.onnx"))
        given.write_bytes(graph)
        _fold(given, folded)
        model = onnx.load(folded)
        level(model, _outputs(model, convolutions(model), name, samples, np.max))
        onnx.save(model, folded)
        layers = list(convolutions(model).values())
        quantize_static(
            folded,
            made,
            _Batches(name, _batches(samples)),
            quant_format=QuantFormat.QDQ,
            # Without Relu here, each would be computed in float between two conversions.
            op_types_to_quantize=["Conv", "Relu", "MaxPool"],
            # The first reads crops whose ranges differ most, the last writes the regions; both are cheap.
            nodes_to_exclude=[each.name for node in layers[0] + layers[-1] for each in _with_relu(model, node)],
            per_channel=True,
            # Weights of 7 bits: processors without VNNI add pairs of products in 16 bits, which larger ones overflow.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
        quantised = onnx.load(made)
        _correct_biases(quantised, model, name, samples)
        return bytes(quantised.SerializeToString())


def _with_relu(model: ModelProto, node: NodeProto) -> list[NodeProto]:
    return [node, *(each for each in model.graph.node if each.op_type == "Relu" and each.input[0] == node.output[0])]


def _correct_biases(quantised: ModelProto, model: ModelProto, name: str, samples: FloatArray) -> None:
    """Shift the biases, layer after layer, by the mean error of their convolution's outputs (Nagel et al., 4.2)."""
    stored = {each.name: each for each in quantised.graph.initializer}
    makers = {output: node for node in quantised.graph.node for output in node.output}
    layers = convolutions(model)
    wanted = _outputs(model, layers, name, samples, np.mean)
    nodes = {node.name: node for node in quantised.graph.node}
    for weight, layer in layers.items():
        twins = [nodes[node.name] for node in layer]
        shift = wanted[weight] - _outputs(quantised, {weight: twins}, name, samples, np.mean)[weight]
        for bias in {node.input[2] for node in twins}:
            if bias in stored:
                replace(stored[bias], numpy_helper.to_array(stored[bias]) + shift)
            else:
                whole, scale = (stored[each] for each in makers[bias].input[:2])
                replace(whole, np.round(numpy_helper.to_array(whole) + shift / numpy_helper.to_array(scale)))


def _outputs(
    model: ModelProto, layers: dict[str, list[NodeProto]], name: str, samples: FloatArray, summary: _Summary
) -> dict[str, FloatArray]:
    """Return the greatest or the mean output [C] of layers: convolutions that share their weights."""
    wanted = [node.output[0] for nodes in layers.values() for node in nodes]
    shown = ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in wanted)
    options = SessionOptions()
    options.log_severity_level = 3
    # Optimised, the quantised graph would not have these tensors.
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    session = InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, list[FloatArray]] = {each: [] for each in wanted}
    for batch in _batches(samples):
        for each, output in zip(wanted, session.run(wanted, {name: batch}), strict=True):
            found[each].append(summary(output, axis=(0, 2, 3)))
    return {
        weight: np.asarray(summary([found[node.output[0]] for node in nodes], axis=(0, 1)))
        for weight, nodes in layers.items()
    }


def _batches(samples: FloatArray) -> Iterator[FloatArray]:
    return (samples[first : first + _BATCH] for first in range(0, len(samples), _BATCH))


def _fold(given: Path, folded: Path) -> None:
    """Write the graph without Identity nodes: the exporter hands weights through them that are used twice."""
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    InferenceSession(str(given), options, providers=["CPUExecutionProvider"])


@contextmanager
def _advice_unheard() -> Iterator[None]:
    """Keep ONNX Runtime's general advice on quantisation, given as warnings of the root logger, off the screen."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
