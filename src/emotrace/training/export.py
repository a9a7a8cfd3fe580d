"""Trained networks -> ONNX graphs as a bundle holds them: calibrated, without the prior of the training draws."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from emotrace.layers.fusion import FusionOutput
from emotrace.models import FusionModel

_OPSET = 18


class CalibratedFace(nn.Module):
    """Crops -> regions and log-probabilities under equal priors, softened by a temperature."""

    def __init__(self, network: nn.Module, prior: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("log_prior", torch.tensor(prior).log())
        self.temperature = temperature

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return regions [F, K, D] and logits [F, E] for crops [F, 1, H, W] in 0..1."""
        regions, logits = self.network(crops)
        return regions, (logits - self.log_prior) / self.temperature


class CalibratedVoice(nn.Module):
    """Voice inputs -> what the fusion hears, and log-probabilities under equal priors, softened by a temperature.

    The fusion hears the log-probabilities themselves: few numbers with a meaning carry over to voices that nobody
    trained on, where an embedding does not.
    """

    def __init__(self, network: nn.Module, prior: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("log_prior", torch.tensor(prior).log())
        self.temperature = temperature

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [W, A] and logits [W, C] for the front end's inputs [W, ...]."""
        logits = (self.network(inputs)[1] - self.log_prior) / self.temperature
        return logits.log_softmax(dim=1).clamp(min=-8.0), logits


class FlatFusion(nn.Module):
    """A fusion network whose state and answer are separate tensors, as ONNX has them."""

    def __init__(self, network: FusionModel) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, audio: Tensor, regions: Tensor, audio_valid: Tensor, video_valid: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return arousal and valence, emotion logits, audio weight, and the next hidden and cell state."""
        output: FusionOutput = self.network(audio, regions, audio_valid, video_valid, (hidden, cell))
        return output.arousal_valence, output.emotion_logits, output.audio_weight, output.state[0], output.state[1]


def export_face(network: nn.Module, crop_size: int) -> bytes:
    """Return the graph of a `CalibratedFace`; the number of crops is free."""
    example = (torch.rand(2, 1, crop_size, crop_size),)
    return _export(network, example, ["crops"], ["regions", "logits"], {0: "crops"}, free_outputs=2)


def export_voice(network: nn.Module, input_shape: Sequence[int]) -> bytes:
    """Return the graph of a `CalibratedVoice`; the number of windows is free."""
    example = (torch.rand(2, *input_shape),)
    return _export(network, example, ["inputs"], ["features", "logits"], {0: "windows"}, free_outputs=2)


def export_fusion(network: FusionModel, audio_dim: int, num_regions: int, region_dim: int) -> bytes:
    """Return the graph of a fusion network; the number of ticks is free, one recording at a time."""
    ticks = 3
    example = (
        torch.rand(1, ticks, audio_dim),
        torch.rand(1, ticks, num_regions, region_dim),
        torch.ones(1, ticks, dtype=torch.bool),
        torch.ones(1, ticks, dtype=torch.bool),
        *network.initial_state(1),
    )
    inputs = ["audio", "regions", "audio_valid", "video_valid", "hidden", "cell"]
    outputs = ["arousal_valence", "emotion_logits", "audio_weight", "next_hidden", "next_cell"]
    return _export(FlatFusion(network), example, inputs, outputs, {1: "ticks"}, free_inputs=4, free_outputs=3)


def _export(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    free_axis: dict[int, str],
    *,
    free_inputs: int = 1,
    free_outputs: int,
) -> bytes:
    free = dict.fromkeys(inputs[:free_inputs] + outputs[:free_outputs], free_axis)
    with TemporaryDirectory() as scratch, torch.inference_mode():
        path = Path(scratch) / "network.onnx"
        torch.onnx.export(
            network.float().eval(),
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=free,
            opset_version=_OPSET,
            dynamo=False,
        )
        return path.read_bytes()
