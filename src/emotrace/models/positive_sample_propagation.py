"""Segments of a clip, seen and heard -> the class of each and of the clip, by what voice and face have in common.

Paper: J. Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021. Read: its abstract
and the authors' code for AVE, from which all of both networks, their sizes, losses and thresholds are. It is no system
for emotions there: it finds the seconds in which an event is heard and seen, from features that VGGish and VGG-19 made
of sound and whole pictures before. Ours: emotions as events; VGGish trained along, from drawn weights unless the
settings give it others, and statistics of linear frames in its place for small networks and other bands; a picture of
the face for each segment, as regions of the frozen face encoder or the maps of a small 3-D network, in the place of
VGG-19's 7x7 cells of the scene; the masks: what is missing has no share; the threshold of other numbers of segments,
in proportion to the even share; the classes of segments, all as the clip where no more is known; a weak label that is
always one class, where theirs are normalised; the answer for a whole clip, which the full network there does not give;
the small sizes. The authors keep the network that is best on the test set; here the validation set chooses.

Axes as in `layers/clips.py`; T = V = A segments, E width of a fused segment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.encoders.vggish import Vggish, VggishConfig
from emotrace.layers.backbones import SnippetMaps, own_encoders
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
from emotrace.layers.items import encode_items
from emotrace.layers.localiser import Localised, Localiser, Supervision
from emotrace.layers.propagation import pair_similarity_loss
from emotrace.layers.sequences import statistics

_THRESHOLDS: dict[Supervision, float] = {"full": 0.099, "weak": 0.095}
_SEGMENTS = 10
"""Of the paper, for which the thresholds are."""
_VGGISH_BANDS = 64
_VOICE_DIMS: dict[Scale, int] = {"small": 64, "published": 128}


@dataclass(frozen=True, kw_only=True)
class PspNetworkConfig:
    """Sizes and variants of a `PspNetwork`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    audio: Backbone = "own"
    """What encodes the voice: VGGish at the published size, or "frozen", statistics of rows of any features."""
    supervision: Supervision = "full"
    threshold: float | None = None
    """Share of a segment's ties that one must exceed to stay, 0..1; none: the published one, in proportion."""
    pair_weight: float = 100.0
    """Of the pair similarity loss beside the cross-entropy of segments; full supervision only."""


class PspNetwork(nn.Module):
    """What is seen and heard in each segment, related across modalities and classified segment by segment."""

    Config = PspNetworkConfig
    paper: ClassVar[str] = "Zhou et al. 2021 (PSP)"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(8, 1, 8, 24), "published": Sampling(_SEGMENTS, 1, _SEGMENTS, 96)}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})
    explanations: ClassVar[tuple[str, ...]] = ("segments", "propagation")

    def __init__(self, config: PspNetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes, scale = config.sizes, config.scale
        threshold = config.threshold
        if threshold is None:
            threshold = _THRESHOLDS[config.supervision] * _SEGMENTS / self.samplings[scale].snippets
        self.hear = SegmentVectors(scale, sizes.bands, config.audio)
        self.maps = SnippetMaps(config.visual, scale, region_dim=sizes.region_dim)
        self.localise = Localiser(
            scale,
            config.supervision,
            voice_dim=self.hear.dim,
            cell_dim=self.maps.channels,
            num_classes=len(sizes.classes),
            threshold=threshold,
        )

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer: the means over the known segments of their scores and of their fused vectors."""
        found = self._localised(clips)
        known = _known(clips)
        return ClipAnswer(_mean(found.scores, known), _mean(found.fused, known), no_weight_of_clips(clips))

    def segment_logits(self, clips: Clips) -> Tensor:
        """Return the scores of every segment [B, T, C], zero where neither voice nor face is known."""
        return self._localised(clips).scores

    def explain(self, clips: Clips) -> tuple[Tensor, ...]:
        """Return the probabilities of segments, and how much each of the face takes from each of the voice.

        "segments" is [B, T, C], zero where nothing is known; "propagation" [B, T, T] is gamma_va.
        """
        found = self._localised(clips)
        return torch.where(_known(clips)[..., None], found.scores.softmax(dim=-1), 0.0), found.ties

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy of segments and the weighted pair similarity loss; or that of the clip, if weak."""
        if self.config.supervision == "weak":
            return _one_class_entropy(self(clips).logits, clips.label)
        found = self._localised(clips)
        told = (clips.part_label >= 0).any(dim=1, keepdim=True)
        classes = torch.where(told, clips.part_label, clips.label[:, None])
        counted = _known(clips) & (classes >= 0)
        each = functional.cross_entropy(found.scores.float().transpose(1, 2), classes.clamp(min=0), reduction="none")
        entropy = torch.where(counted, each, 0.0).sum() / counted.sum().clamp(min=1)
        both = clips.pictures_valid.any(dim=2) & clips.sound_valid.any(dim=2)
        pairs = pair_similarity_loss(found.face, found.voice, classes == clips.label[:, None], both)
        return entropy + self.config.pair_weight * pairs

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        return own_encoders(self.maps.encoder, self.hear.vggish)

    def _localised(self, clips: Clips) -> Localised:
        clips = clean(clips)
        cells = self.maps(clips).transpose(2, 3)
        voice = self.hear(clips.sound, clips.sound_valid)
        found: Localised = self.localise(cells, voice, clips.pictures_valid.any(dim=2), clips.sound_valid.any(dim=2))
        return found


class SegmentVectors(nn.Module):
    """Segments of sound -> vectors: by VGGish where all fits it, by statistics of linear frames elsewhere.

    Attributes:
        dim: of a vector.
        vggish: none where the statistics are taken.
    """

    def __init__(self, scale: Scale, bands: int, backbone: Backbone) -> None:
        super().__init__()
        self.dim = _VOICE_DIMS[scale]
        self.vggish: Vggish | None = None
        if backbone == "own" and scale == "published" and bands == _VGGISH_BANDS:
            self.vggish = Vggish(VggishConfig())
        else:
            self.enter = nn.Linear(bands, self.dim)
            self.leave = nn.Linear(2 * self.dim, self.dim)

    def forward(self, sound: Tensor, valid: Tensor) -> Tensor:
        """Return [B, T, dim] of clean sound [B, T, F, M] and valid [B, T, F] bool; zero where no frame is valid."""
        spoken = valid.any(dim=2)
        if self.vggish is not None:
            return encode_items(self.vggish, sound.unsqueeze(2), spoken, self.dim)
        spread = statistics(self.enter(sound).relu().flatten(0, 1), valid.flatten(0, 1))
        return torch.where(spoken[..., None], self.leave(spread).reshape(*spoken.shape, self.dim), 0.0)


def _known(clips: Clips) -> Tensor:
    return clips.pictures_valid.any(dim=2) | clips.sound_valid.any(dim=2)


def _mean(items: Tensor, known: Tensor) -> Tensor:
    """Return [B, *] of items [B, T, *], zero where not known."""
    return items.sum(dim=1) / known.sum(dim=1, keepdim=True).clamp(min=1)


def _one_class_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of all classes' probabilities [B, C] to the one class of each clip."""
    logits, count = logits.float(), logits.shape[1]
    own = torch.eye(count, dtype=torch.bool, device=logits.device)
    # log(1 - p) by what the other classes have: exact also where p rounds to one.
    others = logits[:, None].expand(-1, count, -1).masked_fill(own, -torch.inf).logsumexp(dim=-1)
    wrong = others - logits.logsumexp(dim=-1, keepdim=True)
    right = logits.log_softmax(dim=-1)
    return -torch.where(own[label], right, wrong).mean()
