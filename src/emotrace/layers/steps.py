"""What every compared system reads and says, one row per step of a recording.

Axes: B recordings, S steps of one recording in order of time, K face regions, D width of a region, P pictures,
H and W pixels, N samples, E emotions. A system is causal: a step sees nothing after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from emotrace.labels import EMOTIONS

Need = Literal["voice", "regions", "crops", "waveform"]
"""The inputs that cost memory; a batch holds those that a system asks for, the others have no elements."""


class Steps(NamedTuple):
    """A batch of stretches of recordings. A named tuple, as Lightning refuses frozen dataclasses.

    Inputs are zero where their modality is not valid.

    Attributes:
        voice: [B, S, ...] input of the front end: [D] descriptors, a [120, 120] spectrum, or the newest frames of a
            spectrogram; standardised.
        regions: [B, S, K, D] of the face, from a frozen encoder.
        crops: [B, S, P, H, W] in 0..1, grey: the last P pictures of the face, newest last.
        waveform: [B, S, N] samples in [-1, 1] that end at the step.
        audio_valid: [B, S] bool: there was speech a moment ago.
        video_valid: [B, S] bool, n of eq. 31.
        speech_energy: [B, S] m of eq. 31 in 0..1.
        emotion: [B, S] index into the classes of the corpus; -1 where it does not say.
        arousal_valence: [B, S, 2] labels.
    """

    voice: Tensor
    regions: Tensor
    crops: Tensor
    waveform: Tensor
    audio_valid: Tensor
    video_valid: Tensor
    speech_energy: Tensor
    emotion: Tensor
    arousal_valence: Tensor


class SystemOutput(NamedTuple):
    """What a system says at every step.

    Attributes:
        arousal_valence: [B, S, 2] in this order; not bounded: clipped to [-1, 1] when judged.
        emotion_logits: [B, S, E].
        audio_weight: [B, S] share of the voice in the answer, 0..1; NaN for a system that has no such thing.
        valid: [B, S] bool: the steps on which this output learns; for the whole system where any modality is known.
    """

    arousal_valence: Tensor
    emotion_logits: Tensor
    audio_weight: Tensor
    valid: Tensor


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Shapes that the corpus and the front ends fix; see `Steps`."""

    voice_shape: tuple[int, ...]
    num_regions: int
    region_dim: int
    crop_side: int
    step_samples: int
    steps_per_second: float
    classes: tuple[str, ...] = EMOTIONS

    @property
    def num_emotions(self) -> int:
        """E."""
        return len(self.classes)


class System(Protocol):
    """What a compared system is beside a `torch.nn.Module` whose constructor takes its `Config`.

    `Config` is a frozen dataclass with the field `sizes: Sizes`; all others have defaults. Everything learnt is in
    parameters and buffers, so that `state_dict` is the whole checkpoint.
    """

    paper: ClassVar[str]
    needs: ClassVar[frozenset[Need]]
    pictures: ClassVar[int]
    """P of `Steps.crops`; 1 where crops are not needed."""

    def __call__(self, steps: Steps) -> SystemOutput:
        """Return the answer of the whole system."""

    def outputs_to_train(self, steps: Steps) -> Sequence[SystemOutput]:
        """Return every output that has a loss of its own: [self(steps)] unless parts are trained by themselves.

        A system that is fitted in closed form returns an empty sequence: there are no epochs then.
        """


@runtime_checkable
class Begins(Protocol):
    """A system with something to fit before its epochs, such as statistics or a closed-form solution."""

    def begin(self, training: Sequence[Steps]) -> None:
        """Fit on the training recordings, each whole and by itself (B = 1)."""


@runtime_checkable
class Finishes(Protocol):
    """A system with something to fit after its epochs, on what its parts have learnt by then."""

    def finish(self, training: Sequence[Steps]) -> None:
        """Fit on the training recordings, each whole and by itself (B = 1)."""


def no_weight(steps: Steps) -> Tensor:
    """Return the audio weight [B, S] of a system that has none: NaN."""
    return torch.full(steps.audio_valid.shape, torch.nan, device=steps.audio_valid.device)


def any_known(steps: Steps) -> Tensor:
    """Return [B, S]: voice or face is known."""
    return steps.audio_valid | steps.video_valid
