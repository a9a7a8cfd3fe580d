"""Voice and the last pictures of the face -> arousal, valence and emotions, by a deep belief network.

Paper: S. Zhang et al., IEEE Transactions on Circuits and Systems for Video Technology (2018), reference 19 of Liu &
Tang 2021. Only its description in section 2 of Liu & Tang was read: a CNN on the voice and a 3D-CNN on pictures are
trained first, each by itself; their features are joined in a deep belief network; what that finds in the segments of a
recording is averaged and given to a linear SVM. Ours is all the rest: networks of a few layers that nothing has trained
before, where the paper fine-tunes large ones; an MLP where the voice comes as descriptors; two Boltzmann machines that
see no labels; and, as our answers are continuous and causal, a mean over the last second instead of the recording, with
support vector regression for arousal and valence beside the classification of emotions.

Axes: B recordings, S steps, N steps of many recordings, P pictures, H and W pixels, D and F widths of the voice's and
the face's embedding, U hidden units, E emotions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from emotrace.encoders.conv3d import Conv3dEncoder, Conv3dEncoderConfig
from emotrace.layers.boltzmann import BoltzmannMachine
from emotrace.layers.heads import AffectHeads
from emotrace.layers.known import encode_known
from emotrace.layers.steps import Need, Sizes, Steps, SystemOutput, any_known, no_weight
from emotrace.layers.support_vectors import fit_classes, fit_regression

_LEAST_SPREAD = 1e-3
"""Under every division by a spread: a feature that never changes must not become a large one."""


@dataclass(frozen=True, kw_only=True)
class DeepBeliefConfig:
    """Sizes of a `DeepBelief`, and how it is fitted in `finish`."""

    sizes: Sizes
    voice_dim: int = 64
    """Width of the voice's embedding."""
    face_width: float = 1 / 4
    """Share of the channels that the 3D-CNN has at full size."""
    face_side: int = 24
    """Crops are averaged down to about this many pixels for the 3D-CNN, by far the slowest part."""
    learn_every: int = 4
    """The two networks learn on every so many steps, as the clips of neighbours share most of their pictures."""
    hidden_dims: tuple[int, ...] = (128, 64)
    """Hidden units of each Boltzmann machine; each sees those of the one before."""
    dropout: float = 0.3
    mean_seconds: float = 1.0
    """Hidden units are averaged over this time before the support vector machines."""
    updates: int = 3000
    """Batches for each Boltzmann machine."""
    batch_size: int = 100
    rate: float = 0.05
    tube: float = 0.05
    """Errors of arousal and valence below this cost nothing."""
    penalty: float = 1e-3
    seed: int = 0


class DeepBelief(nn.Module):
    """Two networks, each trained with heads of its own, and what is fitted on their embeddings afterwards; causal.

    Until `finish` it answers zeros.
    """

    Config = DeepBeliefConfig
    paper: ClassVar[str] = "Zhang et al. 2018, as described by Liu & Tang 2021"
    needs: ClassVar[frozenset[Need]] = frozenset({"voice", "crops"})
    pictures: ClassVar[int] = 8

    mean: Tensor
    spread: Tensor
    weights: Tensor
    biases: Tensor

    def __init__(self, config: DeepBeliefConfig) -> None:
        super().__init__()
        self.config = config
        self.voice = _voice_network(config.sizes.voice_shape, config.voice_dim)
        encoder = Conv3dEncoder(Conv3dEncoderConfig(width=config.face_width))
        self.face = nn.Sequential(nn.AvgPool2d(max(1, config.sizes.crop_side // config.face_side)), encoder)
        self.face_dim = encoder.embedding_dim
        self.dropout = nn.Dropout(config.dropout)
        self.voice_heads = AffectHeads(config.voice_dim, "linear", config.sizes.num_emotions)
        self.face_heads = AffectHeads(self.face_dim, "linear", config.sizes.num_emotions)
        units = (config.voice_dim + self.face_dim, *config.hidden_dims)
        self.machines = nn.ModuleList(BoltzmannMachine(*sides) for sides in pairwise(units))
        self.register_buffer("mean", torch.zeros(units[0]))
        self.register_buffer("spread", torch.ones(units[0]))
        self.register_buffer("weights", torch.zeros(2 + config.sizes.num_emotions, units[-1]))
        self.register_buffer("biases", torch.zeros(2 + config.sizes.num_emotions))

    def forward(self, steps: Steps) -> SystemOutput:
        """Return the answer of the support vector machines; the emotion logits are what they decide by."""
        known = any_known(steps)
        said = self._recent(torch.cat(self._embeddings(steps), dim=-1), known) @ self.weights.T + self.biases
        return SystemOutput(said[..., :2], said[..., 2:], no_weight(steps), known)

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return what the voice network and the face network say through heads of their own."""
        due = torch.arange(steps.video_valid.shape[1], device=steps.video_valid.device) % self.config.learn_every == 0
        steps = steps._replace(audio_valid=steps.audio_valid & due, video_valid=steps.video_valid & due)
        voice, face = self._embeddings(steps)
        heard, voice_logits = self.voice_heads(self.dropout(voice))
        seen, face_logits = self.face_heads(self.dropout(face))
        return [
            SystemOutput(heard, voice_logits, no_weight(steps), steps.audio_valid),
            SystemOutput(seen, face_logits, no_weight(steps), steps.video_valid),
        ]

    @torch.no_grad()
    def finish(self, training: Sequence[Steps]) -> None:
        """Fit the deep belief network on the embeddings, then the support vector machines on what it finds."""
        was_training = self.training
        self.eval()
        joined, known, targets, emotions = [], [], [], []
        for steps in training:
            joined.append(torch.cat(self._embeddings(steps), dim=-1))
            known.append(any_known(steps))
            targets.append(steps.arousal_valence[known[-1]])
            emotions.append(steps.emotion[known[-1]])
        if any(bool(each.any()) for each in known):
            self._believe(torch.cat([values[one] for values, one in zip(joined, known, strict=True)]))
            recent = [self._recent(values, one)[one] for values, one in zip(joined, known, strict=True)]
            self._decide(torch.cat(recent), torch.cat(targets), torch.cat(emotions))
        self.train(was_training)

    def _embeddings(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """Return [B, S, D] of the voice and [B, S, F] of the face, each zero where it is not known."""
        voice = encode_known(self.voice, steps.voice, steps.audio_valid, self.config.voice_dim)
        face = encode_known(self.face, steps.crops, steps.video_valid, self.face_dim)
        return voice, face

    def _recent(self, joined: Tensor, known: Tensor) -> Tensor:
        """Return the mean [B, S, U] of the last hidden units over the last known steps, of joined embeddings."""
        hidden = self._squashed(joined)
        for machine in self.machines:
            hidden = machine(hidden)
        window = max(1, round(self.config.mean_seconds * self.config.sizes.steps_per_second))
        counted = torch.cat([hidden * known.unsqueeze(-1), known.unsqueeze(-1).to(hidden)], dim=-1)
        padded = nn.functional.pad(counted.transpose(1, 2), (window - 1, 0))
        sums = nn.functional.avg_pool1d(padded, window, stride=1).transpose(1, 2)
        return sums[..., :-1] / sums[..., -1:].clamp_min(0.5 / window)

    def _squashed(self, joined: Tensor) -> Tensor:
        """Return embeddings in 0..1, as probabilities of a binary unit."""
        return ((joined - self.mean) / self.spread).sigmoid()

    def _believe(self, joined: Tensor) -> None:
        """Fit the Boltzmann machines on [N, D + F], one after the other (Hinton et al. 2006)."""
        self.mean.copy_(joined.mean(dim=0))
        self.spread.copy_(joined.std(dim=0, correction=0).clamp_min(_LEAST_SPREAD))
        generator = torch.Generator().manual_seed(self.config.seed)
        visible = self._squashed(joined)
        for machine in self.machines:
            assert isinstance(machine, BoltzmannMachine)
            machine.fit(
                visible,
                updates=self.config.updates,
                batch_size=self.config.batch_size,
                rate=self.config.rate,
                generator=generator,
            )
            visible = machine(visible)

    def _decide(self, recent: Tensor, targets: Tensor, emotions: Tensor) -> None:
        """Fit the support vector machines on hidden units [N, U], arousal and valence [N, 2] and emotions [N]."""
        mean = recent.mean(dim=0)
        spread = recent.std(dim=0, correction=0).clamp_min(_LEAST_SPREAD)
        standard = (recent - mean) / spread
        penalty, count = self.config.penalty, self.config.sizes.num_emotions
        weights, biases = self.weights.new_zeros(self.weights.shape), self.biases.new_zeros(self.biases.shape)
        weights[:2], biases[:2] = fit_regression(standard, targets, tube=self.config.tube, penalty=penalty)
        named = emotions >= 0
        if named.any():
            weights[2:], biases[2:] = fit_classes(standard[named], emotions[named], count, penalty=penalty)
        self.weights.copy_(weights / spread)
        self.biases.copy_(biases - (weights / spread) @ mean)


def _voice_network(voice_shape: tuple[int, ...], width: int) -> nn.Module:
    """Return a network from [N, D] or spectra [N, H, W] to embeddings."""
    if len(voice_shape) == 1:
        return nn.Sequential(nn.Linear(voice_shape[0], 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU())
    return nn.Sequential(
        nn.Unflatten(1, (1, voice_shape[0])),
        *(nn.Conv2d(1, 8, 5, stride=3, padding=2), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(32 * 25, width), nn.ReLU()),
    )
