"""Snippets of the face and a segment of the voice for each -> the class of a clip, by attention across modalities.

Paper: B. Mocanu, R. Tapu, T. Zaharia, "Multimodal emotion recognition using cross modal audio-video fusion with
attention and deep metric learning", Image and Vision Computing 133 (2023) 104676. Read: its abstract (a 3-D and a 2-D
network; spatial, channel and temporal attention; cross-attention; a triplet loss with learnable relations between the
emotions), and someone else's implementation, from which the order and sizes of all layers and the equation of the
cross-attention are. Ours: a way around every attention and layer normalisation, unless `literal`; the cross-attention
"attend"; the margins and their loss (see `layers/emotion_margins.py`); the embedding between the joined snippets and
the classifier; fewer than eight heads where eight do not divide the number of positions; networks that start from
nothing; what is missing has no share; the small sizes; grey crops of the face that is followed in place of pictures in
colour, 12.5 a second at most; the frozen face encoder's regions in the place of the 3-D ResNet; and rows of features of
any kind, one layer on each, in the place of the 2-D ResNet. Left out is that implementation's augmentation of pictures:
a random cut of 3/4 of both sides, a flip, another brightness.

Axes as in `layers/clips.py`, A = V; Q channels and X positions of a snippet's map, U width of a snippet's vector, E
width of the embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from emotrace.encoders.classic import scaled
from emotrace.encoders.feature_rows import FeatureRows, FeatureRowsConfig
from emotrace.encoders.residual import ResidualConfig, ResidualNetwork
from emotrace.layers.backbones import WIDTHS, SnippetMaps, own_encoders, positions
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
from emotrace.layers.emotion_margins import EmotionMargins
from emotrace.layers.items import encode_items
from emotrace.layers.multihead import AttentionBlock, ChannelBlock
from emotrace.layers.pooling import masked_softmax

Cross = Literal["reweight", "attend"]
"""What the joint scores of voice and face mix: each modality's own snippets (as read), or the other's (ours)."""

_SMALL_CHANNELS = 64
_SOUND_DIM = 512
"""Width of the 2-D ResNet's vector of a segment."""
_EMBEDDING_DIMS: dict[Scale, int] = {"small": 64, "published": 512}


@dataclass(frozen=True, kw_only=True)
class CrossModalMetricConfig:
    """Sizes and variants of a `CrossModalMetric`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    audio: Backbone = "own"
    """What encodes the voice: the 2-D ResNet, or "frozen", one layer on rows of features that were made before."""
    literal: bool = False
    """Attention as it was read, with no way around it and no normalisation."""
    cross: Cross = "reweight"
    metric_weight: float = 0.5
    """Weight of the triplet loss beside the cross-entropy."""


class CrossModalMetric(nn.Module):
    """Attention within each modality, then between them; trained so that emotions keep their distance."""

    Config = CrossModalMetricConfig
    paper: ClassVar[str] = "Mocanu et al. 2023"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(6, 4, 6, 48), "published": Sampling(6, 16, 6, 96)}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    def __init__(self, config: CrossModalMetricConfig) -> None:
        super().__init__()
        self.config = config
        sizes, scale, sampling = config.sizes, config.scale, self.samplings[config.scale]
        width = scaled(_SOUND_DIM, WIDTHS[scale])
        self.sound: ResidualNetwork | FeatureRows
        if config.audio == "own":
            self.sound = ResidualNetwork(ResidualConfig(depth=18, in_channels=1, width=WIDTHS[scale], stem="7x7"))
        else:
            self.sound = FeatureRows(FeatureRowsConfig(num_features=sizes.bands, embedding_dim=width))
        self.maps = SnippetMaps(config.visual, scale, region_dim=sizes.region_dim)
        cells = positions(
            config.visual,
            scale,
            num_regions=sizes.num_regions,
            crop_side=sizes.crop_side,
            pictures=sampling.pictures,
        )
        channels = _SMALL_CHANNELS if scale == "small" else self.maps.channels
        self.narrow = nn.Linear(self.maps.channels, channels, bias=False) if scale == "small" else nn.Identity()
        self.spatial = AttentionBlock(channels, channels, literal=config.literal)
        self.channel = ChannelBlock(cells, channels, literal=config.literal)
        self.watch = AttentionBlock(channels, width, literal=config.literal)
        self.listen = AttentionBlock(width, width, literal=config.literal)
        self.cross = CrossAttention(width, config.cross)
        self.embed = nn.Linear(sampling.snippets * 2 * width, _EMBEDDING_DIMS[scale])
        self.classify = nn.Linear(_EMBEDDING_DIMS[scale], len(sizes.classes))
        self.margins = EmotionMargins(sizes.classes)

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the embedding is what the triplet loss sees."""
        clips = clean(clips)
        shown, spoken = clips.pictures_valid.any(dim=2), clips.sound_valid.any(dim=2)
        seen = self.watch(self._look(clips, shown), shown)
        heard = self.listen(self._heard(clips, spoken), spoken)
        # With nothing between the two matrices the classifier says what theirs can, which reads the joined snippets.
        embedding = self.embed(self.cross(heard, spoken, seen, shown).flatten(1))
        return ClipAnswer(self.classify(embedding), embedding, no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy and the weighted triplet loss."""
        answer = self(clips)
        entropy = nn.functional.cross_entropy(answer.logits.float(), clips.label)
        return entropy + self.config.metric_weight * self.margins.metric_loss(answer.embedding, clips.label)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        return own_encoders(self.maps.encoder, self.sound)

    def _heard(self, clips: Clips, spoken: Tensor) -> Tensor:
        """Return a vector of every segment [B, A, U], zero where `spoken` [B, A] is false."""
        if isinstance(self.sound, FeatureRows):
            vectors: Tensor = self.sound(clips.sound, clips.sound_valid)
            return vectors
        return encode_items(self.sound, clips.sound[:, :, None], spoken, self.sound.embedding_dim)

    def _look(self, clips: Clips, shown: Tensor) -> Tensor:
        """Return a vector of every snippet [B, V, channels], zero where none is shown."""
        cells = self.narrow(self.maps(clips).transpose(2, 3))  # [B, V, X, channels]
        cells = self.spatial(cells, shown[..., None].expand(cells.shape[:3]))
        return torch.where(shown[..., None], self.channel(cells).mean(dim=2), 0.0)


class CrossAttention(nn.Module):
    """Voice and face, mixed by how well the snippets of one fit those of the other.

    With A and V the snippets [T, U] of voice and face, C = A W V^T. "reweight" is as read: S_a = softmax(C) and S_v =
    softmax(C^T), both along the first axis, give S_a A and S_v V. "attend" is ours: S_a V and S_v A, each softmax along
    the axis that it sums over. Either is added to its modality, squashed by tanh and joined.
    """

    def __init__(self, width: int, variant: Cross) -> None:
        super().__init__()
        self.variant = variant
        self.joint = nn.Linear(width, width, bias=False)

    def forward(self, heard: Tensor, spoken: Tensor, seen: Tensor, shown: Tensor) -> Tensor:
        """Return [B, V, 2 U], the face's half first, zero where a modality is not known.

        Args:
            heard: [B, V, U], zero where not known.
            spoken: [B, V] bool: where the voice is known.
            seen: [B, V, U], zero where not known.
            shown: [B, V] bool: where the face is known.
        """
        scores = self.joint(heard) @ seen.transpose(1, 2)  # [B, of the voice, of the face]
        if self.variant == "reweight":
            voice = masked_softmax(scores, spoken[..., None], dim=1) @ heard
            face = masked_softmax(scores.transpose(1, 2), shown[..., None], dim=1) @ seen
        else:
            voice = masked_softmax(scores, shown[:, None], dim=2) @ seen
            face = masked_softmax(scores.transpose(1, 2), spoken[:, None], dim=2) @ heard
        face = torch.where(shown[..., None], (face + seen).tanh(), 0.0)
        voice = torch.where(spoken[..., None], (voice + heard).tanh(), 0.0)
        return torch.cat([face, voice], dim=-1)
