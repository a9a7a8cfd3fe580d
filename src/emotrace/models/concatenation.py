"""Voice and face features -> arousal, valence and emotions, by plain concatenation: a comparator.

Ours, not a published system: the same voice branch and heads as `bimodal_attention.py`, but the face regions
are averaged without attention and the two modalities joined without a weight.

Axes: B recordings, T ticks, A voice features, K face regions, D width of a region, H hidden, E emotions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emotrace.labels import EMOTIONS
from emotrace.layers.fusion import FusionOutput, Missing, State, VoiceContext
from emotrace.layers.heads import AffectHeads, Output


@dataclass(frozen=True, kw_only=True)
class ConcatenationConfig:
    """Sizes of a `Concatenation`."""

    audio_dim: int
    region_dim: int
    hidden_dim: int = 512
    missing: Missing = "zeros"
    """With "mask" zeros are joined in place of a missing modality; with "zeros" its branch sees zeros."""
    output: Output = "linear"
    num_emotions: int = len(EMOTIONS)
    dropout: float = 0.3


class Concatenation(nn.Module):
    """Joins the voice state and the mean face region; causal. It has no audio weight and returns 0.5."""

    Config = ConcatenationConfig
    paper = "none: comparator"

    def __init__(self, config: ConcatenationConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_dim
        self.voice = VoiceContext(config.audio_dim, hidden, missing=config.missing)
        self.face = nn.Linear(config.region_dim, hidden)
        self.join = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(hidden, config.output, config.num_emotions)

    def forward(
        self, audio: Tensor, regions: Tensor, audio_valid: Tensor, video_valid: Tensor, state: State
    ) -> FusionOutput:
        """Fuse a stretch of a recording; arguments as of `BimodalAttention.forward`."""
        voice, state = self.voice(audio, audio_valid, state)
        mean_region = regions.masked_fill(~video_valid[..., None, None], 0).mean(dim=-2)
        face = self.face(mean_region).relu()
        if self.config.missing == "mask":
            voice = voice * audio_valid.unsqueeze(-1)
            face = face * video_valid.unsqueeze(-1)
        joint = self.join(self.dropout(torch.cat([voice, face], dim=-1))).relu()
        no_weight = torch.full_like(joint[..., 0], 0.5)
        arousal_valence, logits = self.heads(joint)
        return FusionOutput(arousal_valence, logits, no_weight, state)

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first tick."""
        return self.voice.initial_state(batch_size)
