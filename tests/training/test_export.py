"""The exported graphs say what the networks in torch say, and what was learnt of the prior is taken out."""

import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from emotrace.encoders.descriptor_mlp import DescriptorMlp, DescriptorMlpConfig, Ensemble
from emotrace.encoders.face_cnn import FaceCnn, FaceCnnConfig
from emotrace.encoders.mirrored import Mirrored
from emotrace.models import FusionModel
from emotrace.models.bimodal_attention import BimodalAttention, BimodalAttentionConfig
from emotrace.models.concatenation import Concatenation, ConcatenationConfig
from emotrace.training.export import CalibratedFace, CalibratedVoice, export_face, export_fusion, export_voice

FACE_PRIOR = [0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02]
VOICE_PRIOR = [*FACE_PRIOR[:7], 0.01, 0.01]
AUDIO, REGIONS, DEPTH, HIDDEN = 3, 4, 5, 6


def run(graph: bytes, **inputs: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: value.numpy() for name, value in inputs.items()}))


def used(network: nn.Module) -> nn.Module:
    """Return the network with statistics of batch normalisation that are not those of the first day."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_face_graph_equals_the_network(count: int) -> None:
    torch.manual_seed(0)
    inner = Mirrored(FaceCnn(FaceCnnConfig(stages=((4, 1), (6, 1)), region_dim=DEPTH)))
    network = CalibratedFace(used(inner), FACE_PRIOR, 1.7)
    crops = torch.rand(count, 1, 16, 16)
    with torch.inference_mode():
        expected = network(crops)
    for found, wanted in zip(run(export_face(network, 16), crops=crops), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_voice_graph_equals_the_network(count: int) -> None:
    torch.manual_seed(0)
    members = [DescriptorMlp(DescriptorMlpConfig(num_descriptors=7, hidden_dims=(8, 6))) for _ in range(2)]
    inputs = torch.randn(count, 7) * 3 + 1
    for member in members:
        member.fit_normaliser(torch.randn(50, 7) * 3 + 1)
    network = CalibratedVoice(used(Ensemble(members)), VOICE_PRIOR, 0.8)
    with torch.inference_mode():
        expected = network(inputs)
    for found, wanted in zip(run(export_voice(network, (7,)), inputs=inputs), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def fusion(name: str) -> FusionModel:
    if name == "concatenation":
        config = ConcatenationConfig(audio_dim=AUDIO, region_dim=DEPTH, hidden_dim=HIDDEN, missing="mask")
        return Concatenation(config).eval()
    return BimodalAttention(
        BimodalAttentionConfig(
            audio_dim=AUDIO, region_dim=DEPTH, hidden_dim=HIDDEN, attention_dim=4, missing="mask", beta_form="gate"
        )
    ).eval()


@pytest.mark.parametrize("name", ["bimodal-attention", "concatenation"])
def test_the_fusion_graph_equals_the_network_stretch_by_stretch_with_carried_state(name: str) -> None:
    torch.manual_seed(0)
    network = fusion(name)
    graph = export_fusion(network, AUDIO, REGIONS, DEPTH)
    ticks = 9
    audio, regions = torch.randn(1, ticks, AUDIO), torch.randn(1, ticks, REGIONS, DEPTH)
    heard, seen = torch.arange(ticks)[None] % 3 != 0, torch.arange(ticks)[None] % 4 != 0
    with torch.inference_mode():
        whole = network(audio, regions, heard, seen, network.initial_state(1))
    hidden, cell = network.initial_state(1)
    parts = []
    for first, stop in ((0, 1), (1, 4), (4, ticks)):
        *said, next_hidden, next_cell = run(
            graph,
            audio=audio[:, first:stop],
            regions=regions[:, first:stop],
            audio_valid=heard[:, first:stop],
            video_valid=seen[:, first:stop],
            hidden=hidden,
            cell=cell,
        )
        parts.append(said)
        hidden, cell = torch.from_numpy(next_hidden), torch.from_numpy(next_cell)
    for place, wanted in enumerate((whole.arousal_valence, whole.emotion_logits, whole.audio_weight)):
        joined = np.concatenate([said[place] for said in parts], axis=1)
        np.testing.assert_allclose(joined, wanted.numpy(), atol=1e-5)
    for carried, wanted in zip((hidden, cell), whole.state, strict=True):
        np.testing.assert_allclose(carried.numpy(), wanted.numpy(), atol=1e-5)


class Constant(nn.Module):
    """A network that says the same of everything."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, self.logits.expand(len(inputs), -1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_network_that_says_the_prior_gives_equal_probabilities(temperature: float) -> None:
    for kind, prior in ((CalibratedFace, FACE_PRIOR), (CalibratedVoice, VOICE_PRIOR)):
        network = kind(Constant(torch.tensor(prior).log() + 2.0), prior, temperature)
        probabilities = network(torch.zeros(2, 3))[1].softmax(dim=1)
        torch.testing.assert_close(probabilities, torch.full_like(probabilities, 1 / len(prior)))


def test_a_temperature_of_two_takes_the_root_of_the_odds() -> None:
    network = CalibratedFace(Constant(torch.tensor([math.log(9.0), 0.0])), [0.5, 0.5], 2.0)
    probabilities = network(torch.zeros(1, 1))[1].softmax(dim=1)
    torch.testing.assert_close(probabilities, torch.tensor([[0.75, 0.25]]))  # odds of 3 instead of 9


def test_the_fusion_hears_log_probabilities_bounded_below() -> None:
    network = CalibratedVoice(Constant(torch.tensor([0.0, 1.0, -50.0])), [0.2, 0.2, 0.6], 1.0)
    features, logits = network(torch.zeros(1, 1))
    torch.testing.assert_close(features[0, :2], logits.log_softmax(dim=1)[0, :2])
    assert float(features[0, 2]) == -8
