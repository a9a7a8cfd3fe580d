"""RAVDESS, nEMO and EmoGator -> a trained voice branch (stage one of the paper, on single utterances)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from emotrace.corpora.base import Utterance
from emotrace.corpora.voice_disturbance import disturb
from emotrace.encoders.voice_cnn import VoiceCnn, VoiceCnnConfig
from emotrace.features.audio_signal import (
    FRAME_LENGTH,
    HOP_LENGTH,
    TICK_LENGTH,
    EndpointState,
    detect_speech,
    pre_emphasise,
)
from emotrace.features.spectrogram import POWER_FLOOR, log_mel
from emotrace.features.voice_input import context_samples
from emotrace.inference.recordings import decode
from emotrace.labels import VOICE_CLASSES
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.training.classifier import train
from emotrace.training.settings import BranchSettings
from emotrace.types import FloatArray

VERSIONS = 3
"""Disturbed versions made of every utterance, beside the recording itself."""
_SMOOTHING = 0.1
"""Of the targets: acted emotions are not certain."""
_EARLIEST_SECONDS = 0.6
"""A window may end this long after speech has begun: the first answers of a recording come from little sound."""
_LATEST_SECONDS = 0.8
"""A window may end this long after speech has ended."""


@dataclass(frozen=True)
class _Version:
    """Log-mel of one version of an utterance, float16 [frames, bands], and the frames between which a window may end."""

    frames: np.ndarray
    first_end: int
    last_end: int


class VoiceBank:
    """Every utterance as recorded and in disturbed versions, made once and shared by several trainings."""

    def __init__(self, utterances: Sequence[Utterance], recipe: AudioRecipe, *, seed: int = 0) -> None:
        self.utterances = list(utterances)
        self.window_frames = 1 + (context_samples(recipe) - FRAME_LENGTH) // HOP_LENGTH
        samples = [decode(utterance.path) for utterance in utterances]
        by_speaker: dict[str, list[FloatArray]] = {}
        for utterance, sound in zip(utterances, samples, strict=True):
            by_speaker.setdefault(utterance.speaker, []).append(sound)
        rng = np.random.default_rng(seed)
        self.versions = [
            # Voices in the background are the speaker's own: no other speaker gets into an utterance.
            [_version(sound, recipe)]
            + [_version(disturb(sound, by_speaker[utterance.speaker], rng), recipe) for _ in range(VERSIONS)]
            for utterance, sound in zip(utterances, samples, strict=True)
        ]

    def source(self, chosen: Callable[[Utterance], bool], *, training: bool) -> "VoiceSource":
        """Return the utterances that are chosen, for training or, undisturbed, for validation."""
        places = [place for place, utterance in enumerate(self.utterances) if chosen(utterance)]
        utterances = [self.utterances[place] for place in places]
        return VoiceSource(utterances, [self.versions[place] for place in places], self.window_frames, training=training)


class VoiceSource:
    """Windows of utterances with class probabilities; each draw takes another version and another place."""

    def __init__(
        self, utterances: Sequence[Utterance], versions: list[list[_Version]], window_frames: int, *, training: bool
    ) -> None:
        self._versions = versions
        self._length = window_frames
        labels = torch.tensor([VOICE_CLASSES.index(utterance.label) for utterance in utterances])
        hard = torch.nn.functional.one_hot(labels, len(VOICE_CLASSES)).float()
        self.targets = hard * (1 - _SMOOTHING) + _SMOOTHING / len(VOICE_CLASSES) if training else hard
        self.draw_weight = _balance(utterances)

    def draw(self, chosen: Tensor, generator: Generator | None) -> Tensor:
        """Return windows [B, frames, bands]; undisturbed ones end with the utterance."""
        windows = np.stack([self._window(int(item), generator) for item in chosen])
        inputs = torch.from_numpy(windows)
        return inputs if generator is None else mask_spectrogram(inputs, generator)

    def _window(self, item: int, generator: Generator | None) -> FloatArray:
        versions = self._versions[item]
        version, end = versions[0], versions[0].last_end
        if generator is not None:
            version = versions[int(torch.randint(len(versions), (), generator=generator))]
            end = int(torch.randint(version.first_end, version.last_end + 1, (), generator=generator))
        window = np.full((self._length, version.frames.shape[1]), np.log(POWER_FLOOR), dtype=np.float32)
        part = version.frames[max(0, end - self._length) : end]
        window[self._length - len(part) :] = part
        return window

    def prior(self) -> list[float]:
        """Return the share of each class among what is drawn."""
        share = (self.targets * self.draw_weight.unsqueeze(1)).sum(dim=0)
        return [float(value) for value in share / share.sum()]


def _version(samples: FloatArray, recipe: AudioRecipe) -> _Version:
    frames = log_mel(pre_emphasise(samples, recipe.pre_emphasis, previous=0.0)[0]).astype(np.float16)
    whole = samples[: len(samples) // TICK_LENGTH * TICK_LENGTH]
    ticks = np.flatnonzero(detect_speech(EndpointState(), whole)[1].speech)
    per_tick = TICK_LENGTH // HOP_LENGTH
    begin, end = (ticks[0] * per_tick, (ticks[-1] + 1) * per_tick) if len(ticks) else (0, len(frames))
    last = min(len(frames), end + round(_LATEST_SECONDS * SAMPLE_RATE / HOP_LENGTH))
    first = min(begin + round(_EARLIEST_SECONDS * SAMPLE_RATE / HOP_LENGTH), last)
    return _Version(frames, int(first), int(last))


def _balance(utterances: Sequence[Utterance]) -> Tensor:
    """Return weights with which every corpus is drawn in proportion to the square root of its size."""
    corpora = [utterance.corpus for utterance in utterances]
    counts = {corpus: corpora.count(corpus) for corpus in set(corpora)}
    return torch.tensor([counts[corpus] ** -0.5 for corpus in corpora])


def mask_spectrogram(spectrograms: Tensor, generator: Generator) -> Tensor:
    """Blank two random bands and two random stretches of each log-mel [B, frames, bands] to its mean.

    After D. S. Park et al., "SpecAugment", Interspeech 2019.
    """
    out = spectrograms
    mean = spectrograms.mean(dim=(1, 2), keepdim=True)
    for axis, widest in ((1, 40), (2, 10), (1, 40), (2, 10)):
        out = torch.where(_stripe(out.shape, axis, widest, generator), mean, out)
    return out


def _stripe(shape: torch.Size, axis: int, widest: int, generator: Generator) -> Tensor:
    count, length = shape[0], shape[axis]
    width = torch.randint(0, widest + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (length - width)).long()
    place = torch.arange(length).view(1, -1)
    inside = (place >= start) & (place < start + width)
    return inside.unsqueeze(2) if axis == 1 else inside.unsqueeze(1)


def train_voice(
    training: VoiceSource, validation: VoiceSource, settings: BranchSettings, folder: Path, *, resume: bool
) -> VoiceCnn:
    """Train the voice branch."""
    torch.manual_seed(settings.seed)
    network = VoiceCnn(VoiceCnnConfig())
    train(network, settings, training, validation, folder, monitor="validation_recall", resume=resume)
    return network
