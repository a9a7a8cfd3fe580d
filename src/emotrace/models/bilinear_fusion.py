"""A clip's sound and pictures -> one of its classes, by attention and factorised bilinear pooling: four systems.

Papers, of Zhou, Du and others. A0: attention-based fully convolutional network, arXiv 1806.01506 (`FcnAttention`). A1:
deep fusion by attention-guided factorised bilinear pooling, arXiv 1901.04889, with arXiv 2012.13912 of the same group
(`GFbp`). A3: arXiv 2111.08910, global, adaptive and multi-level pooling (`GFbp`, `AgFbp`, `AmFbp`).

Read in the papers' abstracts and openings only: which parts there are and what they are for. Read in re-implementations
and reviews: the layers of the audio network, the attention over its cells, the form of the pooling. Remembered: the
attention over frames, IR-50's 512 values, the place of dropout. Ours: "attention along time" as attention over the
columns of the audio network's map, averaged over frequency; the weights of the adaptive system, which the paper takes
from the attended vectors in a way we could not read; all of the multi-level system but its idea; the rank, the widths,
dropout's rate, the smaller sizes; grey crops of the face that is followed in place of pictures in colour, 12.5 a second
at most, and none of them altered in training; and the masks: a modality of which nothing is valid is a vector of zeros,
so that `GFbp`, which multiplies, says the same of all clips that lack one.

Ours is also how much of a clip is heard: one segment of 3 s, from anywhere in training and from the middle where it is
judged, while papers and re-implementations cut a clip into several segments. `AmFbp` hears one in each third. Ours are
the rows of features, of any kind, that can take the place of the spectrogram: each is a cell.

Axes: B clips, J trunks, D width of a vector, O of a fused vector, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.layers.bilinear import AdaptiveBilinearPooling, FactorizedBilinearPooling
from emotrace.layers.bilinear_streams import BilinearStreams, SoundMap
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
from emotrace.layers.pooling import CellAttention, masked_softmax

_TRUNKS = 3
_TRUNK_LOSS = 0.5
"""Weight of what the trunks say by themselves."""

_WHOLE: Mapping[Scale, Sampling] = MappingProxyType(
    {
        "small": Sampling(snippets=8, pictures=1, segments=1, frames=300),
        "published": Sampling(snippets=16, pictures=1, segments=1, frames=300),
    }
)


@dataclass(frozen=True, kw_only=True)
class FcnAttentionConfig:
    """Sizes of a `FcnAttention`."""

    sizes: ClipSizes
    scale: Scale = "small"
    audio: Backbone = "own"
    """What encodes the voice: AlexNet, or "frozen", one layer on rows of features that were made before."""
    temperature: float = 0.3
    """Of the attention, lambda in 0..1; 0 averages."""
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class BilinearFusionConfig:
    """Sizes of a `GFbp`, an `AgFbp` or an `AmFbp`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    audio: Backbone = "own"
    """What encodes the voice: AlexNet, or "frozen", one layer on rows of features that were made before."""
    output_dim: int = 128
    """O."""
    rank: int = 4
    temperature: float = 0.3
    """Of the attention over sound, lambda in 0..1; 0 averages."""
    dropout: float = 0.1


class FcnAttention(nn.Module):
    """Attends to the cells of the audio network's map, along time and frequency; hears only, 3 s of a clip."""

    Config = FcnAttentionConfig
    paper: ClassVar[str] = "Zhang et al. 2018 (arXiv 1806.01506)"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        dict.fromkeys(("small", "published"), Sampling(snippets=1, pictures=1, segments=1, frames=300))
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice"})

    def __init__(self, config: FcnAttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.map = SoundMap(config.sizes, config.scale, config.audio)
        self.attention = CellAttention(self.map.dim, self.map.dim, config.temperature)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(self.map.dim, len(config.sizes.classes))

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer."""
        clips = clean(clips)
        cells, valid = self.map(clips.sound, clips.sound_valid)
        valid = valid.unsqueeze(-1).expand(cells.shape[:-1])
        embedding = self.attention(cells.flatten(1, 3), valid.flatten(1))
        return ClipAnswer(self.classify(self.dropout(embedding)), embedding, no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(self(clips).logits, clips.label)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that weights trained elsewhere can be given to."""
        return self.map.encoders()


class GFbp(nn.Module):
    """Global: attends to sound along time and to pictures, and pools the two vectors of a clip."""

    Config = BilinearFusionConfig
    paper: ClassVar[str] = "Zhang, Wang and Du 2019 (arXiv 1901.04889); Zhou et al. 2019 (arXiv 2012.13912)"
    samplings: ClassVar[Mapping[Scale, Sampling]] = _WHOLE
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    def __init__(self, config: BilinearFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.streams = BilinearStreams(config.sizes, config.scale, config.visual, config.temperature, config.audio)
        self.fuse = FactorizedBilinearPooling(*self.streams.dims, config.output_dim, config.rank, config.dropout)
        self.classify = nn.Linear(config.output_dim, len(config.sizes.classes))

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer."""
        attended = self.streams.attend(self.streams(clean(clips)))
        embedding = self.fuse(attended.sound, attended.face).squeeze(1)
        return ClipAnswer(self.classify(embedding), embedding, no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(self(clips).logits, clips.label)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that weights trained elsewhere can be given to."""
        return self.streams.encoders()


class AgFbp(nn.Module):
    """Adaptive: as `GFbp`, with weights that are taken from the two vectors; the voice's is the audio weight."""

    Config = BilinearFusionConfig
    paper: ClassVar[str] = "Zhou et al. 2021 (arXiv 2111.08910), AG-FBP"
    samplings: ClassVar[Mapping[Scale, Sampling]] = _WHOLE
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    def __init__(self, config: BilinearFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.streams = BilinearStreams(config.sizes, config.scale, config.visual, config.temperature, config.audio)
        self.fuse = AdaptiveBilinearPooling(*self.streams.dims, config.output_dim, config.rank, config.dropout)
        self.classify = nn.Linear(config.output_dim, len(config.sizes.classes))

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the audio weight is 0 also where neither modality is known."""
        fused, weight = self.fuse(*self.streams.attend(self.streams(clean(clips))))
        embedding = fused.squeeze(1)
        return ClipAnswer(self.classify(embedding), embedding, weight.squeeze(1))

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(self(clips).logits, clips.label)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that weights trained elsewhere can be given to."""
        return self.streams.encoders()


class AmFbp(nn.Module):
    """Multi-level: joins what `AgFbp` makes of a clip with the weighted mean of what it makes of its trunks.

    A trunk is the j-th third of the snippets and of the segments; z = [z_g; sum_j gamma_j z_j], gamma = softmax(w^T
    z_j) over the trunks of which anything is known. All trunks and the whole share their weights (ours). The audio
    weight is that of the whole.
    """

    Config = BilinearFusionConfig
    paper: ClassVar[str] = "Zhou et al. 2021 (arXiv 2111.08910), AM-FBP"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {
            "small": Sampling(snippets=9, pictures=1, segments=_TRUNKS, frames=100),
            "published": Sampling(snippets=15, pictures=1, segments=_TRUNKS, frames=300),
        }
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    def __init__(self, config: BilinearFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.streams = BilinearStreams(config.sizes, config.scale, config.visual, config.temperature, config.audio)
        self.fuse = AdaptiveBilinearPooling(*self.streams.dims, config.output_dim, config.rank, config.dropout)
        self.weigh = nn.Linear(config.output_dim, 1, bias=False)  # w
        self.classify = nn.Linear(2 * config.output_dim, len(config.sizes.classes))
        self.classify_trunk = nn.Linear(config.output_dim, len(config.sizes.classes))

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the audio weight is 0 also where neither modality is known."""
        return self._answer(clips)[0]

    def trunk_weights(self, trunks: Tensor, known: Tensor) -> Tensor:
        """Return gamma [B, J] of fused trunks [B, J, O], zero for those of which nothing is known, by known [B, J]."""
        return masked_softmax(self.weigh(trunks).squeeze(-1), known)

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy, and half the mean of the known trunks' own."""
        answer, trunks, known = self._answer(clips)
        labels = clips.label.unsqueeze(1).expand(known.shape)
        each = functional.cross_entropy(self.classify_trunk(trunks).transpose(1, 2), labels, reduction="none")
        of_trunks = (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
        return functional.cross_entropy(answer.logits, clips.label) + _TRUNK_LOSS * of_trunks.mean()

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that weights trained elsewhere can be given to."""
        return self.streams.encoders()

    def _answer(self, clips: Clips) -> tuple[ClipAnswer, Tensor, Tensor]:
        """Return the answer, the fused trunks [B, J, O], and [B, J]: anything is known of the trunk."""
        streams = self.streams(clean(clips))
        whole, weight = self.fuse(*self.streams.attend(streams))
        parts = self.streams.attend(streams, parts=_TRUNKS)
        trunks, _ = self.fuse(*parts)
        known = parts.heard | parts.seen
        of_trunks = self.trunk_weights(trunks, known).unsqueeze(1) @ trunks
        embedding = torch.cat([whole, of_trunks], dim=-1).squeeze(1)
        return ClipAnswer(self.classify(embedding), embedding, weight.squeeze(1)), trunks, known
