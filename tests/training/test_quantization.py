"""A face network in 8-bit integers says nearly what it said in float, on every processor."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from emotrace.bundle import load_bundle
from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig
from emotrace.encoders.mirrored import Mirrored
from emotrace.errors import BundleError
from emotrace.inference.session import FaceEncoder
from emotrace.training.export import CalibratedFace, export_face
from emotrace.training.quantization import CALIBRATION_CROPS, calibration_crops, quantise, quantise_bundle
from emotrace.types import FloatArray
from tests.training.trees import write_corpora

SIZE = 16


@pytest.fixture(scope="module")
def crops() -> FloatArray:
    return np.random.default_rng(0).random((96, 1, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def network() -> bytes:
    torch.manual_seed(0)
    inner = FaceCnn(FaceCnnConfig(stages=((8, 1), (16, 2)), region_dim=8))
    for module in inner.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.2, 0.5)
    return export_face(CalibratedFace(Mirrored(inner.eval()), [1 / 8] * 8, 0.8), SIZE)


@pytest.fixture(scope="module")
def quantised(network: bytes, crops: FloatArray) -> bytes:
    return quantise(network, "crops", crops)


def weights(graph: bytes) -> list[np.ndarray]:
    """Return the weights of the convolutions in integers, as whole numbers."""
    model = onnx.load_from_string(graph)
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] not in stored:
            assert [makers[name].op_type for name in node.input] == ["DequantizeLinear"] * 3
            found.append(stored[makers[node.input[1]].input[0]])
    return found


def test_every_convolution_but_the_first_and_the_last_reads_and_writes_integers(quantised: bytes) -> None:
    assert len(weights(quantised)) == 2 * 2  # the crop's and its mirror image's
    model = onnx.load_from_string(quantised)
    readers = {name: node.op_type for node in model.graph.node for name in node.input}
    found = [readers[node.output[0]] for node in model.graph.node if node.op_type == "Conv"]
    assert sorted(found) == ["QuantizeLinear"] * 4 + ["Relu"] * 4


@pytest.mark.parametrize("of", ["a fresh network", "the shipped bundle"])
def test_no_pair_of_products_overflows_16_bits_on_processors_that_add_them_so(of: str, quantised: bytes) -> None:
    graph = quantised if of == "a fresh network" else load_bundle().read("face.onnx")
    for weight in weights(graph):
        assert weight.dtype == np.int8
        assert 2 * 255 * np.abs(weight.astype(int)).max() <= np.iinfo(np.int16).max


def test_answers_stay_close_to_those_in_float(network: bytes, quantised: bytes) -> None:
    others = np.random.default_rng(1).integers(0, 256, size=(50, SIZE, SIZE), dtype=np.uint8)
    for wanted, found in zip(FaceEncoder(network).see(others), FaceEncoder(quantised).see(others), strict=True):
        # Measured: 0.6 % of the deviation of the regions, 0.03 % of that of the logits.
        error = np.sqrt(np.square(found - wanted).mean()) / wanted.std()
        assert 0 < error < 0.02


def test_the_mean_answer_is_that_in_float(network: bytes, quantised: bytes, crops: FloatArray) -> None:
    images = np.round(crops[:, 0] * 255).astype(np.uint8)
    wanted, found = (FaceEncoder(each).see(images)[1] for each in (network, quantised))
    # Measured: 0.01 % of the deviation of the logits; 0.17 % without the correction of the biases.
    assert np.abs((found - wanted).mean(axis=0)).max() / wanted.std() < 0.0008


def test_the_same_crops_give_the_same_graph(network: bytes, quantised: bytes, crops: FloatArray) -> None:
    assert quantise(network, "crops", crops) == quantised


def test_calibration_crops_are_grey_values_of_a_crop_and_repeat(tmp_path: Path) -> None:
    root = write_corpora(tmp_path) / "ferplus"
    crops = calibration_crops(root)
    assert crops.dtype == np.float32
    assert crops.shape[1:] == (1, 48, 48)
    assert 0 < len(crops) <= CALIBRATION_CROPS
    np.testing.assert_array_equal(crops * 255, (crops * 255).round())
    np.testing.assert_array_equal(crops, calibration_crops(root))


def test_integers_are_not_made_of_integers(tmp_path: Path) -> None:
    assert load_bundle().manifest.face_quantised is not None
    with pytest.raises(BundleError, match="integers already"):
        quantise_bundle(load_bundle(), tmp_path, tmp_path / "bundle")


def test_the_shipped_bundle_lost_no_accuracy_by_it() -> None:
    told = load_bundle().manifest.face_quantised
    assert told is not None
    for name, before in told.before.items():
        assert told.after[name] > before - (0.005 if "ccc" in name else 0.003), name
