"""A clip-level system with the standardisation of its sound."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from emotrace.encoders.descriptor_mlp import standard_scores
from emotrace.layers.clips import ClipAnswer, Clips, ClipSizes, ClipSystem, Explains
from emotrace.training.tracks import Track, voice_moments


class StandardisedClipSystem(nn.Module):
    """A clip-level system whose spectrograms are standardised with the statistics of the training recordings.

    All cells of a spectrogram share one mean and one deviation, as in Zhang et al. 2021.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, system: nn.Module, sizes: ClipSizes) -> None:
        super().__init__()
        self.system = system
        self.sizes = sizes
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("deviation", torch.ones(1))

    @property
    def inner(self) -> ClipSystem:
        """The system itself, as what it is beside a module."""
        return cast(ClipSystem, self.system)

    def forward(self, clips: Clips) -> ClipAnswer:
        """Return the system's answer."""
        return self.inner(self._standardised(clips))

    def explain(self, clips: Clips) -> tuple[Tensor, ...]:
        """Return how the system came to its answer: one tensor for each of its `explanations`."""
        inner = self.system
        assert isinstance(inner, Explains)
        return inner.explain(self._standardised(clips))

    def loss(self, clips: Clips) -> Tensor:
        """Return the system's loss."""
        return self.inner.loss(self._standardised(clips))

    def _standardised(self, clips: Clips) -> Clips:
        if not clips.sound.shape[-1]:
            return clips
        scores = standard_scores(clips.sound, self.mean, self.deviation)
        return clips._replace(sound=torch.where(clips.sound_valid[..., None], scores, 0.0))

    def standardise_as(self, state: Mapping[str, Tensor]) -> None:
        """Take mean and standard deviation of another trained system, by what it saved; nothing where it has none."""
        for name, value in (("mean", self.mean), ("deviation", self.deviation)):
            if name in state:
                value.copy_(state[name])

    def fit_standardiser(self, tracks: Sequence[Track]) -> None:
        """Take mean and standard deviation over the frames with speech of the training recordings."""
        found = voice_moments(tracks, pooled=True)
        if found is not None:
            self.mean.copy_(found[0])
            self.deviation.copy_(found[1])
