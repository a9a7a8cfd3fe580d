"""Voice and face vectors -> arousal, valence and emotions, by a Kalman filter over what each says: a comparator.

Paper: M. Glodek, S. Reuter, M. Schels, K. Dietmayer and F. Schwenker, "Kalman filter based classifier fusion for
affective state recognition", Multiple Classifier Systems (2013) 85-94; reference 16 of Liu & Tang 2021. Only its
abstract and its description in section 2 of Liu & Tang were read: decisions in order of time are measurements of a
hidden state, their number may vary, and a sensor that fails is one measurement less. Ours is all the rest: ridge
regressions as the sources of decisions, a random walk as the state, and where the variances come from.

Axes: B recordings, S steps, M modalities (voice, face), C channels (arousal, valence, a score per emotion), W width of
a modality's vector.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known
from emotrace.layers.vectors import face_vectors, voice_vectors, voice_width

_RIDGES = (0.01, 0.1, 1.0, 10.0)
"""Tried on standardised inputs; the training data choose."""
_LEAST_VARIANCE = 1e-8
"""Of anything: labels that never move would give a filter that divides by zero."""
_LEAST_SCORE = 0.01
"""Of an emotion, before the logarithm: a linear score may be negative."""

_Filter = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class KalmanFusionConfig:
    """Sizes of a `KalmanFusion`; all else is estimated."""

    sizes: Sizes


class KalmanFusion(nn.Module):
    """A linear regression per modality and a scalar Kalman filter per channel; causal, fitted in closed form.

    The filter is as unsure of a measurement as the regression errs on recordings that it was not fitted on. The
    audio weight is the voice's part of the gain, averaged over arousal and valence; 0.5 where neither is known.
    """

    Config = KalmanFusionConfig
    paper: ClassVar[str] = "Glodek et al. 2013"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "regions"})
    pictures: ClassVar[int] = 1

    noise: Tensor
    """[M, C] variance of a measurement."""
    drift: Tensor
    """[C] variance that a step adds."""
    start_mean: Tensor
    """[C] of the state before the first measurement."""
    start_variance: Tensor
    """[C] of the state before the first measurement."""

    def __init__(self, config: KalmanFusionConfig) -> None:
        super().__init__()
        self.config = config
        sizes = config.sizes
        channels = 2 + sizes.num_emotions
        self.voice = nn.Linear(voice_width(sizes), channels)
        self.face = nn.Linear(sizes.region_dim, channels)
        self.requires_grad_(False)
        self.register_buffer("noise", torch.ones(2, channels))
        self.register_buffer("drift", torch.ones(channels))
        self.register_buffer("start_mean", torch.zeros(channels))
        self.register_buffer("start_variance", torch.ones(channels))

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the filtered state; the emotion logits are logarithms of its scores, 0 for 1 / E."""
        said = torch.stack([self.voice(voice_vectors(steps)), self.face(face_vectors(steps))], dim=2)
        known = torch.stack([steps.audio_valid, steps.video_valid], dim=2)
        precision = known.unsqueeze(-1) / self.noise
        run = _filter_for_a_graph() if torch.onnx.is_in_onnx_export() else kalman_filter
        state, _ = run(said, precision, self.drift, self.start_mean, self.start_variance)
        scores = state[..., 2:].clamp_min(_LEAST_SCORE)
        share = (precision[:, :, 0] / precision.sum(dim=2))[..., :2].mean(dim=-1)
        return SystemOutput(
            state[..., :2],
            (scores * self.config.sizes.num_emotions).log(),
            torch.where(any_known(steps), share, 0.5),
            any_known(steps),
        )

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return nothing: all is fitted in `begin`."""
        return []

    @torch.no_grad()
    def begin(self, training: Sequence[Steps]) -> None:
        """Fit the regressions and estimate all variances, in one pass; the first half of recordings judges the second.

        Halves are consecutive because recordings of one person tend to stand side by side. A modality that is never
        known says the mean; emotions that are never known all have the score 1 / E.
        """
        sizes = self.config.sizes
        widths = (voice_width(sizes), sizes.region_dim)
        dimensions, emotions = _Sums(2, widths), _Sums(sizes.num_emotions, widths)
        for number, steps in enumerate(training):
            half = int(2 * number >= len(training))
            inputs = ((voice_vectors(steps)[0], steps.audio_valid[0]), (face_vectors(steps)[0], steps.video_valid[0]))
            named = steps.emotion[0] >= 0
            scores = nn.functional.one_hot(steps.emotion[0].clamp_min(0), sizes.num_emotions)
            dimensions.add(half, inputs, steps.arousal_valence[0], torch.ones_like(named))
            emotions.add(half, inputs, scores, named)
        self._fit(slice(0, 2), dimensions, 0.0)
        self._fit(slice(2, 2 + sizes.num_emotions), emotions, 1 / sizes.num_emotions)

    def _fit(self, channels: slice, sums: "_Sums", unlabelled_mean: float) -> None:
        mean, variance, drift = sums.walk.estimate(unlabelled_mean)
        self.start_mean[channels], self.start_variance[channels], self.drift[channels] = mean, variance, drift
        for modality, linear in enumerate((self.voice, self.face)):
            fitted, noise = _fit_halves(sums.products[modality], linear.in_features, mean, variance)
            linear.weight[channels], linear.bias[channels] = fitted[:-1].T, fitted[-1]
            self.noise[modality, channels] = noise


def kalman_filter(
    measured: Tensor, precision: Tensor, drift: Tensor, mean: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean and variance [B, S, C] of random walks after the measurements of each step.

    All measurements of a step enter at once, by their precisions; one of precision 0 is left out.

    Args:
        measured: [B, S, M, C]; finite.
        precision: [B, S, M, C] one over the variance of a measurement.
        drift: [C] variance that a step adds.
        mean: [C] before the first measurement.
        variance: [C] before the first measurement.
    """
    gathered = precision.sum(dim=2)
    weighted = (precision * measured).sum(dim=2)
    mean, variance = mean.expand_as(gathered[:, 0]), variance.expand_as(gathered[:, 0])
    means, variances = [], []
    for step in range(measured.shape[1]):
        predicted = variance + drift if step else variance
        variance = 1 / (1 / predicted + gathered[:, step])
        mean = mean + variance * (weighted[:, step] - gathered[:, step] * mean)
        means.append(mean)
        variances.append(variance)
    return torch.stack(means, dim=1), torch.stack(variances, dim=1)


def _filter_for_a_graph() -> _Filter:
    """Return `kalman_filter` with a loop that export keeps; as Python it would fix the number of steps."""
    with warnings.catch_warnings():
        # What is to replace scripts is for the exporter that fixes the number of an LSTM's steps.
        warnings.simplefilter("ignore", DeprecationWarning)
        return cast(_Filter, torch.jit.script(kalman_filter))


class _Walk:
    """Sums over labels [S, C] -> their mean, their variance and how far they move in a step."""

    def __init__(self, channels: int) -> None:
        self._counts = torch.zeros(2, dtype=torch.float64)
        self._sums = torch.zeros(3, channels, dtype=torch.float64)

    def add(self, labels: Tensor, labelled: Tensor) -> None:
        values = labels[labelled].double()
        moves = (labels[1:] - labels[:-1])[labelled[1:] & labelled[:-1]].double()
        self._counts += torch.tensor([len(values), len(moves)])
        self._sums += torch.stack([values.sum(dim=0), values.square().sum(dim=0), moves.square().sum(dim=0)]).cpu()

    def estimate(self, unlabelled_mean: float) -> tuple[Tensor, Tensor, Tensor]:
        if not self._counts[0]:
            nothing = torch.full_like(self._sums[0], _LEAST_VARIANCE)
            return torch.full_like(nothing, unlabelled_mean), nothing, nothing
        mean, square = self._sums[:2] / self._counts[0]
        drift = self._sums[2] / self._counts[1].clamp_min(1)
        return mean, (square - mean.square()).clamp_min(_LEAST_VARIANCE), drift.clamp_min(_LEAST_VARIANCE)


class _Sums:
    """All that is kept of the training data for some channels: of each modality the products, a half at a time."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        self.walk = _Walk(channels)
        sides = [width + channels + 1 for width in widths]
        self.products = [torch.zeros(2, side, side, dtype=torch.float64) for side in sides]

    def add(self, half: int, inputs: Sequence[tuple[Tensor, Tensor]], targets: Tensor, labelled: Tensor) -> None:
        """Add a recording: vectors [S, W] of each modality and where it is known, targets [S, C] and where they are."""
        self.walk.add(targets, labelled)
        for products, (vectors, valid) in zip(self.products, inputs, strict=True):
            use = valid & labelled
            products[half] += _products(vectors[use], targets[use])


def _products(inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the sums of products of inputs, targets and 1: all that a regression and its error need of the data."""
    rows = torch.cat([inputs, targets, torch.ones_like(inputs[:, :1])], dim=1).double()
    return (rows.T @ rows).cpu()


def _fit_halves(halves: Tensor, width: int, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients [W + 1, C] of both halves, and the mean squared error [C] of each half's on the other."""
    count = halves[:, -1, -1].sum()
    if not count:
        return _regression(halves[0], width, 1.0, mean), variance
    errors = []
    for ridge in _RIDGES:
        first, second = (_regression(half, width, ridge, mean) for half in halves)
        errors.append((_squared_error(halves[1], first) + _squared_error(halves[0], second)) / count)
    best = int(torch.stack([(error / variance).mean() for error in errors]).argmin())
    return _regression(halves.sum(dim=0), width, _RIDGES[best], mean), errors[best].clamp_min(_LEAST_VARIANCE)


def _regression(products: Tensor, width: int, ridge: float, mean: Tensor) -> Tensor:
    """Return [W + 1, C], the constants last; the given mean where there are no data."""
    count = products[-1, -1]
    if not count:
        return torch.cat([mean.new_zeros(width, len(mean)), mean.unsqueeze(0)])
    means = products[:-1, -1] / count
    covariance = products[:-1, :-1] / count - means.outer(means)
    spread = covariance.diagonal()[:width].clamp_min(0).sqrt()
    scale = torch.where(spread > 1e-6, 1 / spread, 0)  # an input that never moves gets no weight
    penalised = covariance[:width, :width] * scale.outer(scale) + ridge * torch.eye(width, dtype=scale.dtype)
    scale = scale.unsqueeze(1)
    weight = torch.linalg.solve(penalised, covariance[:width, width:] * scale) * scale
    return torch.cat([weight, (means[width:] - means[:width] @ weight).unsqueeze(0)])


def _squared_error(products: Tensor, coefficients: Tensor) -> Tensor:
    """Return the sum of squared errors [C], which needs no second look at the data."""
    channels = torch.eye(coefficients.shape[1], dtype=coefficients.dtype)
    error = torch.cat([-coefficients[:-1], channels, -coefficients[-1:]])
    return (error * (products @ error)).sum(dim=0).clamp_min(0)
