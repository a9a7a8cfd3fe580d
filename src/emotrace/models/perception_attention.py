"""Pictures of the face and the sound of a clip -> its class: aligned in time, and read once for every emotion.

Paper: L. Chao, J. Tao, M. Yang, Y. Li, Z. Wen, "Audio visual emotion recognition with temporal alignment and perception
attention", arXiv 1603.08321 (2016). Read: its abstract and the opening of its introduction, and no more: an LSTM
classifies; soft attention aligns the streams of sound and pictures so that their features can be joined; one embedding
vector for each of seven emotions locates, by soft attention again, where in the joint stream that emotion is perceived;
EmotiW 2015. No code was found.

So the design is ours, and only agrees with what was read: all equations, sizes, dropout and its place, both encoders,
the embedding of a clip, and how what is missing is left out. Ours too are the two plainer forms that the paper's two
claims are to be measured against: sound resampled evenly instead of aligned, and the mean over time instead of the
emotions' attention.

Axes as in `layers/clips.py`; T groups of four frames of sound, H width of a state, E of the emotions' embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from emotrace.layers.alignment import AlignedLstm
from emotrace.layers.backbones import FrameVectors, own_encoders
from emotrace.layers.clips import (
    Backbone,
    ClipAnswer,
    Clips,
    ClipSizes,
    Modality,
    Sampling,
    Scale,
    clean,
    no_weight_of_clips,
)
from emotrace.layers.pooling import masked_softmax
from emotrace.layers.sequences import grouped
from emotrace.layers.utterances import FRAMES_OF_GROUP

Alignment = Literal["attention", "linear"]
"""How sound comes to the pictures: each looks for the sound that fits it, or gets that of the same time."""

_WIDTHS: dict[Scale, int] = {"small": 64, "published": 128}
_ATTENTION_DIMS: dict[Scale, int] = {"small": 32, "published": 64}
"""Of both attentions and of the emotions' embeddings."""
_DROPOUT = 0.5


@dataclass(frozen=True, kw_only=True)
class PerceptionAttentionConfig:
    """Sizes and variants of a `PerceptionAttention`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    alignment: Alignment = "attention"
    perception: bool = True
    """Every emotion looks for its own moments; otherwise all moments count the same."""


class PerceptionAttention(nn.Module):
    """Sound aligned to the pictures, an LSTM over both, and what each emotion finds among its states.

    With s_t the states, gamma_tk how much step t counts for class k, r_k = sum over t of gamma_tk s_t, and p_k and q_k
    learnt, the logit of class k is p_k^T r_k + q_k. The sums are over the steps known: those that show a face, or to
    which some known sound is aligned; with attention, all steps of a clip with any sound.
    """

    Config = PerceptionAttentionConfig
    paper: ClassVar[str] = "Chao et al. 2016"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(16, 1, 16, 16), "published": Sampling(32, 1, 32, 24)}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})
    explanations: ClassVar[tuple[str, ...]] = ("alignment", "perception")

    def __init__(self, config: PerceptionAttentionConfig) -> None:
        super().__init__()
        self.config = config
        sizes, scale, sampling = config.sizes, config.scale, self.samplings[config.scale]
        width, attention_dim, classes = _WIDTHS[scale], _ATTENTION_DIMS[scale], len(sizes.classes)
        self.hear = nn.LSTM(sizes.bands, width, batch_first=True)
        self.frames = FrameVectors(config.visual, scale, region_dim=sizes.region_dim, crop_side=sizes.crop_side)
        self.see = nn.Linear(self.frames.dim, width)
        self.join = AlignedLstm(
            width,
            attention_dim,
            steps=sampling.snippets * sampling.pictures,
            groups=sampling.segments * sampling.frames // FRAMES_OF_GROUP,
            soft=config.alignment == "attention",
        )
        self.perceive = Perception(width, attention_dim, classes) if config.perception else None
        self.dropout = nn.Dropout(_DROPOUT)
        self.classify = nn.Linear(width, classes)  # a row is p_k

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the embedding is the mean of r_k over the classes."""
        states, _, counts = self._read(clips)
        found = counts.transpose(1, 2) @ states  # r: [B, C, H]
        logits = (self.dropout(found) * self.classify.weight).sum(dim=-1) + self.classify.bias
        return ClipAnswer(logits, found.mean(dim=1), no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy."""
        return nn.functional.cross_entropy(self(clips).logits.float(), clips.label)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        return own_encoders(self.frames.encoder)

    def explain(self, clips: Clips) -> tuple[Tensor, ...]:
        """Return how much of each group of sound each picture takes, and how much each picture counts for each class.

        Returns:
            The alignment alpha [B, V, T], which sums to one over the groups where any sound can be taken, and the
            perception gamma [B, V, C], which sums to one over the pictures where anything of the clip is known; zero
            elsewhere.
        """
        _, shares, counts = self._read(clips)
        return shares, counts

    def _read(self, clips: Clips) -> tuple[Tensor, Tensor, Tensor]:
        """Return s [B, V, H], alpha [B, V, T] and gamma [B, V, C]."""
        clips = clean(clips)
        shown = clips.pictures_valid.flatten(1)
        vectors = self.frames(clips.pictures, clips.regions, clips.pictures_valid).flatten(1, 2)
        seen = torch.where(shown[..., None], self.see(vectors).relu(), 0.0)
        groups, spoken = grouped(clips.sound, clips.sound_valid, FRAMES_OF_GROUP)
        states, shares = self.join(seen, self.hear(groups)[0], spoken)
        known = (shown | (shares > 0).any(dim=-1))[..., None].expand(-1, -1, self.classify.out_features)
        scores = torch.zeros_like(known, dtype=states.dtype) if self.perceive is None else self.perceive(states)
        return states, shares, masked_softmax(scores, known, dim=1)


class Perception(nn.Module):
    """How well a step fits each emotion: u^T tanh(U_s s_t + U_e E_k + d), E_k the embedding of emotion k."""

    def __init__(self, width: int, attention_dim: int, classes: int) -> None:
        """Set the sizes: H, that of the attention and of an embedding, and C."""
        super().__init__()
        self.emotions = nn.Parameter(torch.randn(classes, attention_dim))  # E_k
        self.state = nn.Linear(width, attention_dim)  # U_s, d
        self.emotion = nn.Linear(attention_dim, attention_dim, bias=False)  # U_e
        self.weigh = nn.Linear(attention_dim, 1, bias=False)  # u

    def forward(self, states: Tensor) -> Tensor:
        """Return [B, V, C] of states [B, V, H]."""
        joint = self.state(states)[:, :, None] + self.emotion(self.emotions)
        scores: Tensor = self.weigh(joint.tanh()).squeeze(-1)
        return scores
