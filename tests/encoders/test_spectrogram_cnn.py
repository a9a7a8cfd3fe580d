"""The paper's voice network on stacked spectra: sizes, counts, gradients."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from emotrace.encoders.spectrogram_cnn import SpectrogramCnn, SpectrogramCnnConfig
from emotrace.errors import SettingsError

SMALL = SpectrogramCnnConfig(height=24, width=24, embedding_dim=16, dropout=0.0)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_a_stacked_spectrum_becomes_a_vector_of_512_and_logits() -> None:
    embedding, logits = SpectrogramCnn(SpectrogramCnnConfig()).eval()(torch.randn(2, 1, 120, 120))
    assert embedding.shape == (2, 512)
    assert logits.shape == (2, 9)


def test_convolutions_and_pooling_keep_the_size() -> None:
    network = SpectrogramCnn(SMALL)
    sizes = []
    maps = torch.randn(1, 1, 24, 24)
    for layer in network.body:
        maps = layer(maps)
        if isinstance(layer, nn.MaxPool2d):
            sizes.append(tuple(maps.shape[1:]))
    assert sizes == [(4, 24, 24), (16, 24, 24), (32, 24, 24)]


def test_kernels_are_the_papers() -> None:
    convolutions = [layer for layer in SpectrogramCnn(SMALL).body if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, layer.kernel_size) for layer in convolutions] == [
        (4, (2, 2)),
        (16, (3, 3)),
        (32, (3, 3)),
    ]


@pytest.mark.parametrize(("literal", "values"), [(False, 2_048), (True, 460_800)])
def test_the_fully_connected_layer_sees_the_pooled_map_unless_literal(literal: bool, values: int) -> None:
    with torch.device("meta"):  # 940 MB otherwise
        network = SpectrogramCnn(SpectrogramCnnConfig(literal=literal))
    assert network.embed.in_features == values


def test_a_side_that_does_not_divide_the_spectrum_is_refused() -> None:
    with pytest.raises(SettingsError, match="pooled_side = 7 does not divide a spectrum of 24x24"):
        SpectrogramCnn(replace(SMALL, pooled_side=7))


@pytest.mark.parametrize("literal", [False, True])
def test_every_parameter_gets_a_gradient(literal: bool) -> None:
    network = SpectrogramCnn(replace(SMALL, literal=literal))
    _, logits = network(torch.randn(4, 1, 24, 24))
    torch.autograd.backward(logits.square().sum())
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Constant folding:UserWarning")
def test_the_exported_network_gives_the_same_numbers(tmp_path: Path) -> None:
    network = SpectrogramCnn(SMALL).eval()
    path = tmp_path / "voice.onnx"
    torch.onnx.export(
        network,
        (torch.randn(2, 1, 24, 24),),
        path,
        input_names=["spectra"],
        output_names=["embedding", "logits"],
        dynamic_axes={"spectra": {0: "B"}, "embedding": {0: "B"}, "logits": {0: "B"}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(path)
    spectra = torch.randn(5, 1, 24, 24)
    with torch.no_grad():
        expected = network(spectra)
    for output, wanted in zip(session.run(None, {"spectra": spectra.numpy()}), expected, strict=True):
        np.testing.assert_allclose(output, wanted.numpy(), atol=1e-5)
