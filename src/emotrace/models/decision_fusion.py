"""Voice and face vectors -> arousal, valence and emotions: each modality decides, a fixed rule combines. A comparator.

Papers: references 12 (support vector machines, product rule), 13 (Dobrisek et al.: matching scores combined by
weights) and 15 (decision rules) of Liu & Tang 2021. Only their descriptions in section 2 of Liu & Tang were read. They
tell emotions apart; the machines and rules for arousal and valence, and all details, are ours.

Axes: B recordings, S steps, M modalities (voice, face), N sampled steps, W width of a modality's vector, E emotions,
C channels (arousal, valence, a score per emotion).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known
from emotrace.layers.support_vectors import fit_classes, fit_regression
from emotrace.layers.vectors import face_vectors, voice_vectors, voice_width

Rule = Literal["product", "weights", "rules"]
"""How two decisions become one. "product": of the emotions' probabilities, and of Gaussians for arousal and valence
(the mean by precision). "weights": a mean, weighted by how well each modality did on recordings that it was not fitted
on (CCC, accuracy). "rules": the mean where both agree (same sign, same emotion), else what has the larger margin."""

_PENALTIES = (1.0, 0.1, 0.01)
"""Of squared weights on standardised inputs, tried in this order; the training data choose."""
_TUBE = 0.1
"""Error that costs nothing, in standard deviations of the label."""
_TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class DecisionFusionConfig:
    """Sizes and rule of a `DecisionFusion`."""

    sizes: Sizes
    rule: Rule = "weights"
    max_steps: int = 8_000
    """Training steps that the machines are fitted on, spread evenly; one of each recording at least."""


class DecisionFusion(nn.Module):
    """A linear max-margin machine per modality and channel; causal, without memory, fitted before any epoch.

    Where one modality is missing the other decides alone; where both are, the answer is the training mean. The audio
    weight is the voice's share, averaged over arousal and valence.
    """

    Config = DecisionFusionConfig
    paper: ClassVar[str] = "references 12, 13 and 15 of Liu & Tang 2021"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    pictures: ClassVar[int] = 1

    merit: Tensor
    """[M, 3] CCC of arousal and of valence, accuracy; on recordings not fitted on."""
    error: Tensor
    """[M, 2] mean squared error of arousal and of valence; on recordings not fitted on."""
    mean: Tensor
    """[2] arousal and valence of the training data."""
    prior: Tensor
    """[E] probabilities of the emotions in the training data."""

    def __init__(self, config: DecisionFusionConfig) -> None:
        super().__init__()
        self.config = config
        sizes = config.sizes
        self.voice = nn.Linear(voice_width(sizes), 2 + sizes.num_emotions)
        self.face = nn.Linear(sizes.region_dim, 2 + sizes.num_emotions)
        self.requires_grad_(False)
        self.register_buffer("merit", torch.ones(2, 3))
        self.register_buffer("error", torch.ones(2, 2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("prior", torch.full((sizes.num_emotions,), 1 / sizes.num_emotions))

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the combined decisions; the emotion logits are logarithms of probabilities, 0 for 1 / E."""
        said = torch.stack([self.voice(voice_vectors(steps)), self.face(face_vectors(steps))], dim=2)
        known = torch.stack([steps.audio_valid, steps.video_valid], dim=2)
        share = _shares(self._strength(said), known)
        some = any_known(steps).unsqueeze(-1)

        arousal_valence = torch.where(some, (share[..., :2] * said[..., :2]).sum(dim=2), self.mean)
        probabilities = said[..., 2:].softmax(dim=-1)
        if self.config.rule == "product":
            mixed = probabilities.where(known.unsqueeze(-1), 1).prod(dim=2)
            mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        else:
            mixed = (share[..., 2:] * probabilities).sum(dim=2)
        mixed = torch.where(some, mixed, self.prior)
        logits = (mixed * self.config.sizes.num_emotions).clamp_min(_TINY).log()
        return SystemOutput(arousal_valence, logits, share[:, :, 0, :2].mean(dim=-1), any_known(steps))

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return nothing: all is fitted in `begin`."""
        return []

    def begin(self, training: Sequence[Steps]) -> None:
        """Fit all machines, and judge each by what it says on the half of the recordings that it was not fitted on.

        Halves are consecutive because recordings of one person tend to stand side by side. A modality that is never
        known says the mean; emotions that are never known all have the score 0.

        Raises:
            SettingsError: fewer than two recordings.
        """
        if len(training) < 2:
            raise SettingsError(f"{len(training)} training recording(s) found, two expected at least: add recordings.")
        sizes = self.config.sizes
        each = max(1, self.config.max_steps // len(training))
        halves: list[list[list[_Sample]]] = [[[], []], [[], []]]
        labels = []
        for number, steps in enumerate(training):
            half = int(2 * number >= len(training))
            halves[0][half].append(_sample(voice_vectors(steps), steps.audio_valid, steps, each))
            halves[1][half].append(_sample(face_vectors(steps), steps.video_valid, steps, each))
            labels.append(_Sample(steps.voice.new_zeros(steps.emotion.shape[1], 0), *_labels(steps)))

        every = _joined(labels)
        self.mean.copy_(every.arousal_valence.mean(dim=0))
        named = every.emotion[every.emotion >= 0]
        if len(named):
            self.prior.copy_(torch.bincount(named, minlength=sizes.num_emotions) / len(named))
        for modality, machine in enumerate((self.voice, self.face)):
            first, second = (_joined(half) for half in halves[modality])
            fitted = _fit(first, second, self.mean, sizes.num_emotions)
            machine.weight.copy_(fitted.machine[:-1].T)
            machine.bias.copy_(fitted.machine[-1])
            self.merit[modality], self.error[modality] = fitted.merit, fitted.error

    def _strength(self, said: Tensor) -> Tensor:
        """Return what each modality's decisions count, [B, S, M, 3] or the same for all steps: [M, 3]."""
        if self.config.rule == "rules":
            return _by_rules(said)
        if self.config.rule == "product":
            return torch.cat([1 / self.error, torch.ones_like(self.error[:, :1])], dim=1)
        return self.merit


def _by_rules(said: Tensor) -> Tensor:
    """Return [B, S, M, 3]: 1 for both where they agree, else for the one with the larger margin and 0 for the other."""
    dimensions, scores = said[..., :2], said[..., 2:]
    chosen = scores.argmax(dim=-1, keepdim=True)
    highest = scores.topk(2, dim=-1).values
    side = torch.cat([dimensions.sign(), chosen], dim=-1)
    margin = torch.cat([dimensions.abs(), highest[..., :1] - highest[..., 1:]], dim=-1)
    agree = (side[:, :, :1] == side[:, :, 1:]).expand_as(side)
    return (agree | (margin == margin.amax(dim=2, keepdim=True))).to(said.dtype)


def _shares(strength: Tensor, known: Tensor) -> Tensor:
    """Return shares [B, S, M, 3] that sum to 1 over the modalities; a missing one has none, two missing have halves."""
    known = known.unsqueeze(-1)
    counted = (strength + _TINY) * known  # one that is known alone decides, whatever its strength
    counted = counted.where(known.any(dim=2, keepdim=True), 1)
    return counted / counted.sum(dim=2, keepdim=True)


class _Sample(NamedTuple):
    """Steps of which the labels, and one modality, are known.

    Attributes:
        vectors: [N, W].
        arousal_valence: [N, 2].
        emotion: [N], -1 where not labelled.
    """

    vectors: Tensor
    arousal_valence: Tensor
    emotion: Tensor


class _Fitted(NamedTuple):
    machine: Tensor
    merit: Tensor
    error: Tensor


def _labels(steps: Steps) -> tuple[Tensor, Tensor]:
    return steps.arousal_valence[0], steps.emotion[0]


def _sample(vectors: Tensor, valid: Tensor, steps: Steps, most: int) -> _Sample:
    """Return `most` steps at most of one recording, spread evenly over those where the modality is known."""
    known = valid[0].nonzero().squeeze(1)
    picked = known[torch.linspace(0, len(known) - 1, min(most, len(known))).round().long()]
    arousal_valence, emotion = _labels(steps)
    return _Sample(vectors[0, picked], arousal_valence[picked], emotion[picked])


def _joined(samples: Sequence[_Sample]) -> _Sample:
    return _Sample(*(torch.cat(parts) for parts in zip(*samples, strict=True)))


def _fit(first: _Sample, second: _Sample, mean: Tensor, num_emotions: int) -> _Fitted:
    """Fit on all, with the penalty that does best where each half is told by machines fitted on the other."""
    both = _joined([second, first])
    if not len(both.emotion):
        return _Fitted(_machine(both, 1.0, mean, num_emotions), mean.new_zeros(3), mean.new_ones(2))
    tried = []
    for penalty in _PENALTIES:
        machines = [_machine(half, penalty, mean, num_emotions) for half in (first, second)]
        said = torch.cat([_said(second.vectors, machines[0]), _said(first.vectors, machines[1])])
        error = (said[:, :2] - both.arousal_valence).square().mean(dim=0).clamp_min(_TINY)
        tried.append((_merit(said, both), error, penalty))
    merit, error, penalty = max(tried, key=lambda each: float(each[0].sum()))
    return _Fitted(_machine(both, penalty, mean, num_emotions), merit, error)


def _machine(sample: _Sample, penalty: float, mean: Tensor, num_emotions: int) -> Tensor:
    """Return coefficients [W + 1, C], the constants last; the mean, and scores of 0, where there are no data."""
    machine = mean.new_zeros(sample.vectors.shape[1] + 1, 2 + num_emotions)
    machine[-1, :2] = mean
    if not len(sample.vectors):
        return machine
    vectors, values = sample.vectors.double(), sample.arousal_valence.double()
    centre, spread = vectors.mean(dim=0), vectors.std(dim=0, correction=0)
    scale = torch.where(spread > _TINY, 1 / spread, 0)  # an input that never moves gets no weight
    standard = (vectors - centre) * scale
    middle, unit = values.mean(dim=0), values.std(dim=0, correction=0).clamp_min(_TINY)

    weights, constants = fit_regression(standard, (values - middle) / unit, tube=_TUBE, penalty=penalty)
    _write(machine[:, :2], weights * unit.unsqueeze(1) * scale, constants * unit + middle, centre)
    named = sample.emotion >= 0
    if named.any():
        weights, constants = fit_classes(standard[named], sample.emotion[named], num_emotions, penalty=penalty)
        _write(machine[:, 2:], weights * scale, constants, centre)
    return machine


def _write(columns: Tensor, weights: Tensor, constants: Tensor, centre: Tensor) -> None:
    columns[:-1] = weights.T
    columns[-1] = constants - weights @ centre


def _said(vectors: Tensor, machine: Tensor) -> Tensor:
    return vectors @ machine[:-1] + machine[-1]


def _merit(said: Tensor, truth: _Sample) -> Tensor:
    """Return [3]: CCC of arousal and of valence, none below 0, and the accuracy; 0 where no emotion is labelled."""
    found, wanted = said[:, :2], truth.arousal_valence
    off_found, off_wanted = found - found.mean(dim=0), wanted - wanted.mean(dim=0)
    spread = (off_found.square() + off_wanted.square()).mean(dim=0)
    distance = (found.mean(dim=0) - wanted.mean(dim=0)).square()
    ccc = 2 * (off_found * off_wanted).mean(dim=0) / (spread + distance).clamp_min(_TINY)
    named = truth.emotion >= 0
    hits = (said[:, 2:].argmax(dim=-1) == truth.emotion)[named]
    return torch.cat([ccc.clamp_min(0), (hits.sum() / named.sum().clamp_min(1)).unsqueeze(0)])
