"""Voice and face features -> arousal, valence, emotions and the voice's weight, by attention to face regions.

Paper: Liu & Tang, "Audio and video bimodal emotion recognition in social networks based on improved AlexNet
network and attention mechanism", Journal of Information Processing Systems 17 (2021) 754-771; section 5, eqs.
27-30. The defaults are the paper's where it says something. Unlike the paper: arousal and valence come from
one network instead of two, and an emotion head stands beside them.

Axes: B recordings, T ticks, A voice features, K face regions, D width of a region, H hidden, E emotions.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from emotrace.labels import EMOTIONS
from emotrace.layers.attention import GatedAttention, SentinelAttention
from emotrace.layers.fusion import FusionOutput, Missing, State, VoiceContext
from emotrace.layers.heads import AffectHeads, Output


@dataclass(frozen=True, kw_only=True)
class BimodalAttentionConfig:
    """Sizes and readings of the paper for a `BimodalAttention`."""

    audio_dim: int
    """Voice features per tick."""
    region_dim: int
    """Channels of a face region; mapped linearly to `hidden_dim` where it differs, as eq. 30 adds the two."""
    hidden_dim: int = 512
    attention_dim: int = 256
    beta_form: Literal["sentinel", "gate"] = "sentinel"
    """How the audio weight is computed, which the paper leaves open: see `layers/attention.py`."""
    residual: bool = True
    """Adds the voice state to the mix before the heads. Without it a voice of weight 0 is not in the mix."""
    missing: Missing = "zeros"
    """With "mask" a missing modality has no weight; with "zeros" the modal-scaling loss must teach that."""
    output: Output = "linear"
    num_emotions: int = len(EMOTIONS)
    dropout: float = 0.3


class BimodalAttention(nn.Module):
    """The paper's fusion network, one step per tick of the label clock; causal."""

    Config = BimodalAttentionConfig
    paper = "Liu & Tang 2021"

    def __init__(self, config: BimodalAttentionConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_dim
        attention = {"sentinel": SentinelAttention, "gate": GatedAttention}[config.beta_form]
        self.voice = VoiceContext(config.audio_dim, hidden, missing=config.missing)
        self.face = nn.Linear(config.region_dim, hidden) if config.region_dim != hidden else nn.Identity()
        self.attention = attention(hidden, hidden, config.attention_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(hidden, config.output, config.num_emotions)

    def forward(
        self, audio: Tensor, regions: Tensor, audio_valid: Tensor, video_valid: Tensor, state: State
    ) -> FusionOutput:
        """Fuse a stretch of a recording.

        Args:
            audio: [B, T, A]; never read where audio_valid is false.
            regions: [B, T, K, D]; never read where video_valid is false.
            audio_valid: [B, T] bool.
            video_valid: [B, T] bool.
            state: of the stretch before, or `initial_state`.
        """
        hidden, state = self.voice(audio, audio_valid, state)  # eq. 27
        faces = self.face(regions.masked_fill(~video_valid[..., None, None], 0))
        pooled, audio_weight = self.attention(faces, hidden)  # eqs. 28, 29

        voice, face = self.dropout(hidden), self.dropout(pooled)
        if self.config.missing == "mask":
            audio_weight = _weight_of_known(audio_weight, audio_valid, video_valid)
            mixed = _mix(voice * audio_valid.unsqueeze(-1), face * video_valid.unsqueeze(-1), audio_weight)
        else:
            mixed = _mix(voice, face, audio_weight)
        fused = mixed + voice if self.config.residual else mixed

        arousal_valence, logits = self.heads(fused)
        return FusionOutput(arousal_valence, logits, audio_weight, state)

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first tick."""
        return self.voice.initial_state(batch_size)


def _mix(voice: Tensor, face: Tensor, audio_weight: Tensor) -> Tensor:
    share = audio_weight.unsqueeze(-1)
    return share * voice + (1 - share) * face  # eq. 30


def _weight_of_known(audio_weight: Tensor, audio_valid: Tensor, video_valid: Tensor) -> Tensor:
    """Return beta where both are known, else the minimum of eq. 31: 1 voice, 0 face, 0.5 neither."""
    alone = (1 + audio_valid.to(audio_weight.dtype) - video_valid.to(audio_weight.dtype)) / 2
    return torch.where(audio_valid & video_valid, audio_weight, alone)
