"""RAVDESS, nEMO and EmoGator -> a trained voice branch (stage one of the paper, on single utterances)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from emotrace.corpora.base import Utterance
from emotrace.corpora.voice_disturbance import disturb
from emotrace.encoders.voice_cnn import VoiceCnn, VoiceCnnConfig
from emotrace.features.audio_signal import HOP_LENGTH, TICK_LENGTH, EndpointState, detect_speech, pre_emphasise
from emotrace.features.spectrogram import POWER_FLOOR, log_mel
from emotrace.features.voice_input import context_samples
from emotrace.labels import VOICE_CLASSES
from emotrace.media import open_clip
from emotrace.recipe import SAMPLE_RATE, AudioRecipe
from emotrace.training.classifier import train
from emotrace.training.settings import BranchSettings
from emotrace.types import AudioChunk, FloatArray

VERSIONS = 3
"""Disturbed versions made of every utterance, beside the recording itself."""
_SMOOTHING = 0.1
"""Of the targets: acted emotions are not certain."""
_EARLIEST_SECONDS = 0.6
"""A window may end this long after speech has begun: the first answers of a recording come from little sound."""
_LATEST_SECONDS = 0.8
"""A window may end this long after speech has ended."""


def decode(path: Path) -> FloatArray:
    """Return the whole sound of a file: [N] mono at 16 kHz."""
    with open_clip(path) as clip:
        chunks = [item.samples for item in clip.read(sample_rate=SAMPLE_RATE) if isinstance(item, AudioChunk)]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class _Version:
    """Log-mel of one version of an utterance, float16 [frames, bands], and the frames between which a window may end."""

    frames: np.ndarray
    first_end: int
    last_end: int


class VoiceSource:
    """Windows of utterances with class probabilities; each draw takes another version and another place."""

    def __init__(self, utterances: Sequence[Utterance], recipe: AudioRecipe, *, disturbed: bool, seed: int = 0) -> None:
        self._length = 1 + (context_samples(recipe) - 400) // HOP_LENGTH
        samples = [decode(utterance.path) for utterance in utterances]
        rng = np.random.default_rng(seed)
        self._versions = [
            [_version(one, recipe)] + [_version(disturb(one, samples, rng), recipe) for _ in range(VERSIONS * disturbed)]
            for one in samples
        ]
        labels = torch.tensor([VOICE_CLASSES.index(utterance.label) for utterance in utterances])
        hard = torch.nn.functional.one_hot(labels, len(VOICE_CLASSES)).float()
        self.targets = hard * (1 - _SMOOTHING) + _SMOOTHING / len(VOICE_CLASSES) if disturbed else hard
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
