"""Raw waveform and face crop -> arousal, valence and emotions, by networks trained together from end to end.

Paper: P. Tzirakis, G. Trigeorgis, M. A. Nicolaou, B. Schuller & S. Zafeiriou, "End-to-end multimodal emotion
recognition using deep neural networks", IEEE Journal of Selected Topics in Signal Processing 11 (2017), reference 17 of
Liu & Tang 2021. Only its title and its description in section 2 of Liu & Tang were read: a CNN on the sound, a residual
network of 50 layers on the pictures, LSTM networks for the context. Ours is all the rest: the sizes, much smaller, with
nothing trained before; crops standardised one by one; one vector per step from each network, zero where its modality is
not known; two layers of LSTM.

Axes: B recordings, S steps, N samples, H and W pixels, D width of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from emotrace.encoders.face_cnn import standardise
from emotrace.encoders.residual import ResidualConfig, ResidualNetwork
from emotrace.layers.heads import AffectHeads
from emotrace.layers.known import encode_known
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight


@dataclass(frozen=True, kw_only=True)
class EndToEndLstmConfig:
    """Sizes of an `EndToEndLstm`."""

    sizes: Sizes
    waveform_dim: int = 64
    """D of the sound."""
    face_width: float = 1 / 8
    """Share of the channels that the residual network has at full size."""
    hidden_dim: int = 128
    dropout: float = 0.3


class EndToEndLstm(nn.Module):
    """Convolutions on the sound and the picture of each step, joined and given to an LSTM; causal."""

    Config = EndToEndLstmConfig
    paper: ClassVar[str] = "Tzirakis et al. 2017, as described by Liu & Tang 2021"
    needs: ClassVar[frozenset[Need]] = frozenset({"waveform", "crops"})
    pictures: ClassVar[int] = 1

    def __init__(self, config: EndToEndLstmConfig) -> None:
        super().__init__()
        self.config = config
        self.voice = _waveform_network(config.waveform_dim)
        self.face = ResidualNetwork(ResidualConfig(depth=50, width=config.face_width))
        self.lstm = nn.LSTM(
            config.waveform_dim + self.face.embedding_dim,
            config.hidden_dim,
            num_layers=2,
            dropout=config.dropout,
            batch_first=True,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(config.hidden_dim, "linear", config.sizes.num_emotions)

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the answer at every step."""
        voice = encode_known(self.voice, steps.waveform.unsqueeze(2), steps.audio_valid, self.config.waveform_dim)
        face = encode_known(self._encode_face, steps.crops[:, :, -1:], steps.video_valid, self.face.embedding_dim)
        hidden, _ = self.lstm(self.dropout(torch.cat([voice, face], dim=-1)))
        arousal_valence, logits = self.heads(self.dropout(hidden))
        return SystemOutput(arousal_valence, logits, no_weight(steps), any_known(steps))

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return the answer: all parts learn together."""
        return [self(steps)]

    def _encode_face(self, crops: Tensor) -> Tensor:
        embeddings: Tensor = self.face(standardise(crops))
        return embeddings


def _waveform_network(width: int) -> nn.Sequential:
    """Return a network from samples [B, 1, N], N >= 128, to vectors [B, D] by way of 5 ms filters at 16 kHz."""
    return nn.Sequential(
        *(nn.Conv1d(1, 16, 80, stride=8, padding=40, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(16, 32, 9, padding=4, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(32, width, 9, padding=4, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    )
