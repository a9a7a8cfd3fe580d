"""Voice and face of a clip -> its class, from an embedding that is to say little about who the person is.

Paper: R. Peri, S. Parthasarathy, C. Bradshaw, S. Sundaram, "Disentanglement for audio-visual emotion recognition using
multitask setup", ICASSP 2021 (arXiv 2102.06269). Read: its abstract alone (emotion first, the person's identity second;
embeddings of few dimensions; three techniques of disentangling compared). Remembered, not read: that the three are
gradient reversal, confusion, and alternate training of the two tasks. Ours: all else, that is the encoder, the sizes,
the equations of the losses and their weights; that the two steps of "confusion" are taken at once; that
"alternating" takes batches in turn, and pulls the encoder towards confusion, which has a bound, and not up the
identity's cross-entropy, which has none; that a modality may be missing.

Axes as in `layers/clips.py`; N persons that are learnt.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotrace.layers.backbones import own_encoders
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
from emotrace.layers.gradient_reversal import reverse_gradient
from emotrace.layers.utterances import UtteranceEncoder

Disentangling = Literal["single", "multitask", "gradient-reversal", "confusion", "alternating"]
"""How the identity is learnt beside the emotion: not at all, as well (both of these are what the others are compared
with), against reversed gradients, by confusing its head, or so in turns."""

_JOINED_DIMS: dict[Scale, int] = {"small": 96, "published": 256}
_EMBEDDING_DIMS: dict[Scale, int] = {"small": 64, "published": 128}
_IDENTITY_DIMS: dict[Scale, int] = {"small": 256, "published": 512}
"""Of the hidden layer that reads the identity. Wide, as it must keep up with the encoder that hides from it: on
constructed clips a probe told 46 % of six persons after reversal against 64 of them, and 25 % against 256."""
_STRONGEST_REVERSAL = 1.0
"""lambda at the end of training."""
_CONFUSION_WEIGHT = 1.0
"""alpha."""


@dataclass(frozen=True, kw_only=True)
class DisentangledConfig:
    """Sizes and variants of a `Disentangled`."""

    sizes: ClipSizes
    scale: Scale = "small"
    visual: Backbone = "frozen"
    disentangling: Disentangling = "gradient-reversal"
    identity_weight: float = 0.5
    """Weight of the identity beside the emotion in "multitask"; the others do not use it."""


class Disentangled(nn.Module):
    """One embedding, a linear layer that reads the emotion from it, and a small network that reads the identity.

    Where nobody's identity is learnt, or by "single", there is no such network, and the emotion is learnt alone.
    """

    Config = DisentangledConfig
    paper: ClassVar[str] = "Peri et al. 2021"
    samplings: ClassVar[Mapping[Scale, Sampling]] = MappingProxyType(
        {"small": Sampling(8, 1, 8, 24), "published": Sampling(16, 1, 16, 48)}
    )
    modalities: ClassVar[frozenset[Modality]] = frozenset({"voice", "face"})

    def __init__(self, config: DisentangledConfig) -> None:
        super().__init__()
        self.config = config
        sizes, scale = config.sizes, config.scale
        joined, width, hidden = _JOINED_DIMS[scale], _EMBEDDING_DIMS[scale], _IDENTITY_DIMS[scale]
        self.encode = UtteranceEncoder(sizes, scale, config.visual)
        # Without a norm at the end: with one, reversal left persons legible on constructed clips (73 % of six told).
        self.embed = nn.Sequential(nn.Linear(self.encode.dim, joined), nn.ReLU(), nn.Linear(joined, width))
        self.classify = nn.Linear(width, len(sizes.classes))
        self.identify: nn.Sequential | None = None
        if sizes.num_persons and config.disentangling != "single":
            self.identify = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, sizes.num_persons))
        self._step: int | None = None
        self._progress = 1.0

    def pace(self, step: int, total: int) -> None:
        """Be told before every batch how many batches there were, of how many.

        Until then "gradient-reversal" is at full strength, and "alternating" does both of its parts at once.
        """
        self._step, self._progress = step, step / max(total, 1)

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the answer; the embedding is the one that is disentangled."""
        embedding = self.embed(self.encode(clean(clips)))
        return ClipAnswer(self.classify(embedding), embedding, no_weight_of_clips(clips))

    def identity_logits(self, clips: Clips) -> Tensor:
        """Return [B, N]: who it is, by the network that reads the identity; there must be one."""
        assert self.identify is not None
        logits: Tensor = self.identify(self(clips).embedding)
        return logits

    def loss(self, clips: Clips) -> Tensor:
        """Return the cross-entropy of the emotion, with what the variant adds of the identity.

        Clips of unknown persons count for the emotion alone.
        """
        answer = self(clips)
        emotion = functional.cross_entropy(answer.logits.float(), clips.label)
        if self.identify is None:
            return emotion
        known = clips.person >= 0
        embedding, person = answer.embedding[known], clips.person[known]
        match self.config.disentangling:
            case "multitask":
                return emotion + self.config.identity_weight * _identity_loss(self.identify(embedding), person)
            case "gradient-reversal":
                strength = _STRONGEST_REVERSAL * (2 / (1 + math.exp(-10 * self._progress)) - 1)
                return emotion + _identity_loss(self.identify(reverse_gradient(embedding, strength)), person)
            case "alternating" if self._step is not None and self._step % 2 == 0:
                return emotion
            case "alternating" if self._step is not None:
                return _adversarial_loss(self.identify, embedding, person)
            case _:  # "confusion", and "alternating" before it is told its pace
                return emotion + _adversarial_loss(self.identify, embedding, person)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the networks that can begin with weights learnt elsewhere."""
        return own_encoders(self.encode.frames.encoder)


def _adversarial_loss(head: nn.Module, embedding: Tensor, person: Tensor) -> Tensor:
    """Both steps of the design in one: the head learns who it is, and the encoder that the head shall not know."""
    frozen = {name: value.detach() for name, value in head.named_parameters()}
    fooled = torch.func.functional_call(head, frozen, (embedding,))
    return _identity_loss(head(embedding.detach()), person) + _CONFUSION_WEIGHT * confusion(fooled)


def _identity_loss(logits: Tensor, person: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits [n, N]; of no clip, zero, not NaN."""
    return functional.cross_entropy(logits.float(), person, reduction="sum") / max(len(person), 1)


def confusion(logits: Tensor) -> Tensor:
    """Return L_conf = -(1/N) sum_p log q_p, averaged over clips: log N where q is uniform, more anywhere else.

    Args:
        logits: [n, N] whose softmax is q; with n = 0 the result is zero.
    """
    return -logits.float().log_softmax(dim=1).mean(dim=1).sum() / max(len(logits), 1)
