"""Transfer features of voice and face -> arousal, valence and emotions, by an ensemble of three LSTM networks.

Paper: Huang et al., on multimodal emotion recognition by transfer learning of deep networks, reference 18 of Liu &
Tang 2021. Only its description in section 2 of Liu & Tang was read: audio and visual features of networks trained
elsewhere, LSTM networks on them, and ensemble learning at the level of decisions. Ours is all the rest: the face
feature is the mean region of the frozen encoder, the voice feature what the front end gives (descriptors, or a
spectrum averaged down to 12x12, neither learnt elsewhere); the members are voice, face and both together; and the
decisions are combined by the weights of least squared error (J. M. Bates & C. W. J. Granger, "The combination of
forecasts", Operational Research Quarterly 20 (1969) 451-468), none of them negative.

Axes: B recordings, S steps, D descriptors, F features, E emotions, M members.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn

from emotrace.layers.heads import AffectHeads
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight
from emotrace.layers.vectors import face_vectors, voice_vectors, voice_width

MEMBERS = ("voice", "face", "both")
"""M in this order."""
DECISIONS = ("arousal", "valence", "emotion")
"""What has combination weights of its own, in this order."""

_RIDGE = 1e-3
"""Share of the mean squared error that is added to each member's own, so that equal members share their weight."""


@dataclass(frozen=True, kw_only=True)
class LstmEnsembleConfig:
    """Sizes of a `LstmEnsemble`."""

    sizes: Sizes
    hidden_dim: int = 96
    dropout: float = 0.3


class LstmEnsemble(nn.Module):
    """Three LSTM networks, each trained by itself, and their combination, fitted after that; causal.

    A member speaks where its input is known, "both" where voice and face are; the weights of those that speak are
    scaled to sum to 1. Where none speaks all do, from what they remember. The audio weight is the weight of "voice"
    and half of that of "both", averaged over arousal and valence. Combination weights are fitted on what the members
    were trained on, and so trust a member that overfits too much.
    """

    Config = LstmEnsembleConfig
    paper: ClassVar[str] = "Huang et al., as described by Liu & Tang 2021"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    pictures: ClassVar[int] = 1

    weights: Tensor
    """[3, M] of each decision, each row summing to 1 over the members."""

    def __init__(self, config: LstmEnsembleConfig) -> None:
        super().__init__()
        self.config = config
        voice = voice_width(config.sizes)
        face = config.sizes.region_dim
        self.members = nn.ModuleList(_Member(width, config) for width in (voice, face, voice + face))
        self.register_buffer("weights", torch.full((len(DECISIONS), len(MEMBERS)), 1 / len(MEMBERS)))

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the combined decisions; the emotion logits are logarithms of the mean probabilities."""
        said = self.outputs_to_train(steps)
        share = self.shares(steps)
        arousal_valence = torch.stack([each.arousal_valence for each in said], dim=-1)
        probabilities = torch.stack([each.emotion_logits.softmax(dim=-1) for each in said], dim=-1)
        mixed = (probabilities * share[..., 2:, :]).sum(dim=-1)
        voice, _, both = share[..., :2, :].mean(dim=-2).unbind(dim=-1)
        return SystemOutput(
            (arousal_valence * share[..., :2, :]).sum(dim=-1),
            mixed.clamp_min(1e-6).log(),
            voice + both / 2,
            any_known(steps),
        )

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return what each of `MEMBERS` says, valid where its own input is known."""
        voice, face = voice_vectors(steps), face_vectors(steps)
        features = (voice, face, torch.cat([voice, face], dim=-1))
        decided = [member(inputs) for member, inputs in zip(self.members, features, strict=True)]
        speaks = _speaks(steps).unbind(dim=-1)
        return [
            SystemOutput(arousal_valence, logits, no_weight(steps), valid)
            for (arousal_valence, logits), valid in zip(decided, speaks, strict=True)
        ]

    def shares(self, steps: Steps) -> Tensor:
        """Return the weights [B, S, 3, M] that the members have at every step; they sum to 1 over the members."""
        speaks = _speaks(steps)
        heard = (speaks | ~speaks.any(dim=-1, keepdim=True)).unsqueeze(-2)
        # A member that speaks alone has all the weight, even where the fit gave it none.
        share = (self.weights + 1e-6) * heard
        return share / share.sum(dim=-1, keepdim=True)

    @torch.no_grad()
    def finish(self, training: Sequence[Steps]) -> None:
        """Fit the combination weights on the steps where all members speak; equal weights where there are none."""
        was_training = self.training
        self.eval()
        errors = [torch.zeros(len(MEMBERS), len(MEMBERS), dtype=torch.float64) for _ in DECISIONS]
        for steps in training:
            for total, error in zip(errors, self._errors(steps), strict=True):
                total += error.double().T.cpu() @ error.double().cpu()
        self.weights.copy_(torch.stack([combination_weights(total) for total in errors]))
        self.train(was_training)

    def _errors(self, steps: Steps) -> list[Tensor]:
        """Return the members' errors [N, M] in each decision; an emotion has one of each probability."""
        said = self.outputs_to_train(steps)
        known = _speaks(steps).all(dim=-1)
        named = known & (steps.emotion >= 0)
        off = torch.stack([each.arousal_valence - steps.arousal_valence for each in said], dim=-1)[known]
        truth = nn.functional.one_hot(steps.emotion[named], self.config.sizes.num_emotions)
        astray = torch.stack([each.emotion_logits[named].softmax(dim=-1) - truth for each in said], dim=-1)
        return [off[:, 0], off[:, 1], astray.flatten(0, 1)]


def combination_weights(products: Tensor) -> Tensor:
    """Return the weights [M] >= 0 with sum 1 of the combination of least squared error.

    Bates & Granger 1969: w is proportional to C^-1 1 where none is negative; else the best of those that leave some
    members out, of which there are few enough to try all.

    Args:
        products: [M, M] sums of products of the members' errors, C; all zero gives equal weights.
    """
    members = len(products)
    scale = products.diagonal().mean()
    if scale == 0:
        return torch.full((members,), 1 / members, dtype=products.dtype)
    covariance = products / scale + _RIDGE * torch.eye(members, dtype=products.dtype)
    best, least = torch.zeros(members, dtype=products.dtype), torch.inf
    for count in range(1, members + 1):
        for chosen in combinations(range(members), count):
            index = torch.tensor(chosen)
            found = torch.linalg.solve(covariance[index][:, index], torch.ones(count, dtype=products.dtype))
            weights = torch.zeros_like(best).index_put((index,), found / found.sum())
            error = float(weights @ covariance @ weights)
            if bool((weights >= 0).all()) and error < least:
                best, least = weights, error
    return best


class _Member(nn.Module):
    """Features [B, S, F] -> arousal and valence [B, S, 2] and emotion logits [B, S, E]."""

    def __init__(self, width: int, config: LstmEnsembleConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.project = nn.Linear(width, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = AffectHeads(hidden, "linear", config.sizes.num_emotions)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden, _ = self.lstm(self.dropout(self.project(features).relu()))
        arousal_valence, logits = self.heads(self.dropout(hidden))
        return arousal_valence, logits


def _speaks(steps: Steps) -> Tensor:
    """Return [B, S, M]."""
    return torch.stack([steps.audio_valid, steps.video_valid, steps.audio_valid & steps.video_valid], dim=-1)
