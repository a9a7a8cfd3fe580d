"""Snippets of the face and segments of the voice -> the class of a clip, by spatial, channel and temporal attention.

Paper: S. Zhao et al., "An end-to-end visual-audio attention network for emotion recognition in user-generated videos",
AAAI 2020. Read: its abstract, and the authors' code for VideoEmotion-8, from which all of the attention, the fusion,
the loss and the published sizes are. There the 3-D ResNet is frozen after Kinetics; here it starts from nothing and
learns with the rest, unless the settings give it weights and freeze it. The 2-D ResNet starts from nothing as well,
without ImageNet. Ours: grey crops of the face that is followed instead of whole pictures in colour, 12.5 a second at
most where theirs are taken for 30; 16 kHz, 10 ms steps and standardised bands under the 32 cepstral coefficients, where
theirs are librosa's of 44.1 kHz in steps of 512 samples; parts of the sound from all of the clip, where theirs are of
its first 47.55 s; what is missing has no share in the means over time, and behind the 3-D ResNet no say in the batch
normalisation; the small sizes; the frozen face encoder's regions in the place of the 3-D ResNet; and rows of features
of any kind, one layer on each, in the place of the cepstral coefficients and the 2-D ResNet. Left out is their
augmentation: a square cut at the centre or at one of the corners, a flip, a rotation or another brightness.

Axes as in `layers/clips.py`; T snippets or segments, N of them together, Q channels and X positions of a snippet's
map, E width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from emotrace.encoders.classic import scaled
from emotrace.encoders.feature_rows import FeatureRows, FeatureRowsConfig
from emotrace.encoders.residual import ResidualConfig, ResidualNetwork
from emotrace.labels import POLARITY
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
from emotrace.layers.items import ItemNorm, encode_items
from emotrace.layers.mel import Mfcc
from emotrace.losses import polarity_cross_entropy

_COEFFICIENTS = 32
_SOUND_DIM = 512
"""Width of the 2-D ResNet's vector of a segment."""
_FACE_DIMS: dict[Scale, int] = {"small": 64, "published": 512}
_VOICE_DIMS: dict[Scale, int] = {"small": 64, "published": 256}


@dataclass(frozen=True, kw_only=True)
class VaanetConfig:
    """Sizes of a `Vaanet`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    audio: Backbone = "own"
    """What encodes the voice: the 2-D ResNet, or "frozen", one layer on rows of features that were made before."""
    polarity_weight: float = 0.5
    """Extra cost of a mistake in polarity; 0 is plain cross-entropy."""


class Vaanet(nn.Module):
    """Two streams with attention, joined before one linear layer."""

    Config = VaanetConfig
    paper: ClassVar[str] = "Zhao et al. 2020 (VAANet)"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(6, 4, 4, 96, "clip"), "published": Sampling(12, 16, 16, 256, "clip")}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    polarity: Tensor

    def __init__(self, config: VaanetConfig) -> None:
        super().__init__()
        self.config = config
        sizes, scale, sampling = config.sizes, config.scale, self.samplings[config.scale]
        self.maps = SnippetMaps(config.visual, scale, region_dim=sizes.region_dim)
        cells = positions(
            config.visual,
            scale,
            num_regions=sizes.num_regions,
            crop_side=sizes.crop_side,
            pictures=sampling.pictures,
        )
        self.look = SnippetAttention(self.maps.channels, cells, _FACE_DIMS[scale])
        self.watch = TemporalAttention(_FACE_DIMS[scale], sampling.snippets)
        self.sound: ResidualNetwork | FeatureRows
        if config.audio == "own":
            self.cepstrum = Mfcc(sizes.bands, min(_COEFFICIENTS, sizes.bands))
            self.sound = ResidualNetwork(ResidualConfig(depth=18, in_channels=1, width=WIDTHS[scale], stem="7x1"))
        else:
            width = scaled(_SOUND_DIM, WIDTHS[scale])
            self.sound = FeatureRows(FeatureRowsConfig(num_features=sizes.bands, embedding_dim=width))
        self.hear = nn.Sequential(
            nn.Linear(self.sound.embedding_dim, _VOICE_DIMS[scale]),
            ItemNorm(_VOICE_DIMS[scale]),
            nn.Tanh(),
        )
        self.listen = TemporalAttention(_VOICE_DIMS[scale], sampling.segments)
        self.classify = nn.Linear(_FACE_DIMS[scale] + _VOICE_DIMS[scale], len(sizes.classes))
        polarity = torch.tensor([POLARITY.get(name, 0) for name in sizes.classes])
        self.register_buffer("polarity", polarity, persistent=False)
        for part in self.modules():
            if isinstance(part, nn.Conv1d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the embedding is the face's vector and then the voice's, 768 at the published sizes."""
        clips = clean(clips)
        shown = clips.pictures_valid.any(dim=2)
        seen = encode_items(self.look, self.maps(clips), shown, self.look.width)
        spoken = clips.sound_valid.any(dim=2)
        heard = encode_items(self.hear, self._heard(clips, spoken), spoken, self.listen.width)
        embedding = torch.cat([self.watch(seen, shown), self.listen(heard, spoken)], dim=-1)
        return ClipAnswer(self.classify(embedding), embedding, no_weight_of_clips(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the polarity-consistent cross-entropy."""
        weight = self.config.polarity_weight
        return polarity_cross_entropy(self(clips).logits, clips.label, self.polarity, weight)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        return own_encoders(self.maps.encoder, self.sound)

    def _heard(self, clips: Clips, spoken: Tensor) -> Tensor:
        """Return a vector of every segment [B, A, E], zero where `spoken` [B, A] is false."""
        if isinstance(self.sound, FeatureRows):
            vectors: Tensor = self.sound(clips.sound, clips.sound_valid)
            return vectors
        cepstra = self.cepstrum(clips.sound)[:, :, None]
        return encode_items(self.sound, cepstra, spoken, self.sound.embedding_dim)


class SnippetAttention(nn.Module):
    """Maps [N, Q, X] -> vectors [N, E]: where in the picture to look, and then at which channels.

    Attributes:
        width: E.
    """

    def __init__(self, channels: int, cells: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.narrow = nn.Sequential(nn.Conv1d(channels, width, 1), ItemNorm(width), nn.ReLU())
        self.spatial = _Scores(width, cells)
        self.channel = _Scores(cells, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Return [N, E]."""
        maps = self.narrow(maps)
        # Times the number of those that share: a map that is looked at evenly stays as it is.
        maps = maps * (self.spatial(maps).softmax(dim=-1) * maps.shape[2])[:, None]
        maps = maps * (self.channel(maps.transpose(1, 2)).softmax(dim=-1) * maps.shape[1])[..., None]
        return maps.mean(dim=-1)


class _Scores(nn.Module):
    """[N, channels, length] -> a score for each place [N, length], from all channels and then from all places."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.score = nn.Conv1d(channels, 1, 1, bias=False)
        self.squash = nn.Sequential(ItemNorm(1), nn.Tanh(), nn.Flatten())
        self.mix = nn.Linear(length, length, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        scores: Tensor = self.mix(self.squash(self.score(values)))
        return scores


class TemporalAttention(nn.Module):
    """Snippets or segments [B, T, E] -> [B, E]: the mean of those known, each times its weight.

    The weights are not negative and start near one; they need not sum to anything.

    Attributes:
        width: E.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Conv1d(width, 1, 1, bias=False)
        self.squash = nn.Sequential(ItemNorm(1), nn.Tanh())
        self.mix = nn.Linear(steps, steps)
        nn.init.ones_(self.mix.bias)

    def forward(self, items: Tensor, known: Tensor) -> Tensor:
        """Return [B, E] of items [B, T, E], which must be zero where `known` [B, T] is false."""
        scores = self.score(items.transpose(1, 2)).transpose(1, 2)  # [B, T, 1]
        weights = self.mix(encode_items(self.squash, scores, known, 1).squeeze(-1)).relu()
        total: Tensor = (items * weights[..., None]).sum(dim=1)
        return total / known.sum(dim=1, keepdim=True).clamp(min=1)
