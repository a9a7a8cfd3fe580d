"""What a clip-level system reads and says: one answer for a clip, or for a window of a longer recording.

Axes: B clips, V snippets of pictures, P pictures of a snippet, H and W pixels, K face regions, D width of a region, A
segments of sound, F frames of a segment (10 ms apart), M bands, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from emotrace.windows import Sampling as Sampling  # systems take it from here

Scale = Literal["small", "published"]
"""Sizes that a machine without a GPU can train, or those of the paper."""

Backbone = Literal["frozen", "own"]
"""What encodes pictures: the frozen face encoder of the default bundle, or the paper's own network, trained here."""

Modality = Literal["voice", "face"]


class Clips(NamedTuple):
    """A batch of clips. A named tuple, as Lightning refuses frozen dataclasses.

    What a system does not ask for has no elements in its last axis. Invalid items hold zeros.

    Attributes:
        pictures: [B, V, P, H, W] in 0..1, grey face crops.
        regions: [B, V, P, K, D] of the same crops, from a frozen encoder.
        pictures_valid: [B, V, P] bool: there was a face.
        sound: [B, A, F, M] frames of a log spectrogram; standardised.
        sound_valid: [B, A, F] bool: there was speech a moment ago.
        label: [B] index of the class; -1 where unknown.
        part_label: [B, V] index of the class in the middle of each of V equal parts of the clip; -1 where unknown.
        person: [B] who is seen and heard, an index among the persons that are learnt; -1 where unknown.
        dialogue: [B] number of the dialogue; the clips of one are its turns in order of time, and stand together. -1
            for a clip by itself.
        speaker: [B] who of a dialogue speaks, numbered as they begin; -1 where unknown.
    """

    pictures: Tensor
    regions: Tensor
    pictures_valid: Tensor
    sound: Tensor
    sound_valid: Tensor
    label: Tensor
    part_label: Tensor
    person: Tensor
    dialogue: Tensor
    speaker: Tensor


class ClipAnswer(NamedTuple):
    """What a system says of every clip.

    Attributes:
        logits: [B, C].
        embedding: [B, E] the vector before the last layer.
        audio_weight: [B] share of the voice in the answer, 0..1; NaN for a system that has no such thing.
    """

    logits: Tensor
    embedding: Tensor
    audio_weight: Tensor


@dataclass(frozen=True, kw_only=True)
class ClipSizes:
    """Shapes that the corpus and the front ends fix; see `Clips`.

    Attributes:
        classes: names of the classes, in order.
        bands: M.
        crop_side: H and W.
        num_regions: K.
        region_dim: D.
        num_persons: that are learnt; 0 where the corpus does not say who speaks.
    """

    classes: tuple[str, ...]
    bands: int
    crop_side: int
    num_regions: int
    region_dim: int
    num_persons: int = 0


class ClipSystem(Protocol):
    """What a clip-level system is beside a `torch.nn.Module` whose constructor takes its `Config`.

    `Config` is a frozen dataclass with the fields `sizes: ClipSizes` and `scale: Scale`, where pictures are read also
    `visual: Backbone`; all but `sizes` have defaults.
    """

    paper: ClassVar[str]
    samplings: ClassVar[Mapping[Scale, Sampling]]
    modalities: ClassVar[frozenset[Modality]]

    def __call__(self, clips: Clips) -> ClipAnswer:
        """Return the answer."""

    def loss(self, clips: Clips) -> Tensor:
        """Return the loss of a batch, all of whose labels are known."""


@runtime_checkable
class Paced(Protocol):
    """A system whose loss changes as training goes on."""

    def pace(self, step: int, total: int) -> None:
        """Be told before every batch how many batches there were, of how many."""


@runtime_checkable
class Explains(Protocol):
    """A system that can show how it came to its answer."""

    explanations: ClassVar[tuple[str, ...]]
    """Names of what `explain` returns, in this order; see `emotrace.explanation` for the axes of each."""

    def explain(self, clips: Clips) -> tuple[Tensor, ...]:
        """Return one tensor [B, ...] for each name."""


def clean(clips: Clips) -> Clips:
    """Return the clips with zeros wherever they are not valid, whatever stood there."""
    pictures = clips.pictures_valid[..., None, None]
    return clips._replace(
        pictures=torch.where(pictures, clips.pictures, 0.0),
        regions=torch.where(pictures, clips.regions, 0.0),
        sound=torch.where(clips.sound_valid[..., None], clips.sound, 0.0),
    )


def no_weight_of_clips(clips: Clips) -> Tensor:
    """Return the audio weight [B] of a system that has none: NaN."""
    return torch.full(clips.label.shape, torch.nan, device=clips.label.device)
