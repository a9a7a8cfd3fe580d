"""RAVDESS and nEMO -> a trained voice branch (stage one of the paper, on windows of single utterances)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from emotrace.corpora.base import Utterance
from emotrace.encoders.descriptor_mlp import DescriptorMlp, DescriptorMlpConfig, Ensemble
from emotrace.labels import VOICE_CLASSES
from emotrace.recipe import FEATURES_VERSION, AudioRecipe
from emotrace.training.classifier import train
from emotrace.training.settings import VoiceSettings
from emotrace.training.voice_windows import CLEAN_WINDOWS, DISTURBED_WINDOWS, SPEED_WINDOWS, windows_of
from emotrace.types import FloatArray
from emotrace.writing import atomic_path

_SMOOTHING = 0.1
"""Of the targets: acted emotions are not certain."""
_MIXING = 0.2
"""Both parameters of the beta distribution by which two items of a batch are mixed (mixup, Zhang et al., ICLR 2018)."""


class VoiceBank:
    """Inputs of the voice network for windows of every utterance, made once and shared by several trainings.

    Attributes:
        utterances: U of them.
        windows: [U, V, ...] inputs.
    """

    def __init__(self, utterances: Sequence[Utterance], windows: FloatArray) -> None:
        self.utterances = list(utterances)
        self.windows = windows

    def source(self, chosen: Callable[[Utterance], bool], *, training: bool) -> "VoiceSource":
        """Return the utterances that are chosen, for training or, undisturbed, for validation."""
        places = [place for place, utterance in enumerate(self.utterances) if chosen(utterance)]
        utterances = [self.utterances[place] for place in places]
        return VoiceSource(utterances, torch.from_numpy(self.windows[places]), training=training)


def voice_bank(utterances: Sequence[Utterance], recipe: AudioRecipe, kept: Path, *, seed: int = 0) -> VoiceBank:
    """Make the windows of all utterances on all cores; the same seed gives the same windows.

    They are kept in the file `kept` and read from there if they were made for the same utterances and recipe.
    """
    key = _key(utterances, recipe, seed)
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            if str(stored["key"]) == key:
                return VoiceBank(utterances, stored["windows"])
    jobs = [(utterance.path, recipe, (seed, place)) for place, utterance in enumerate(utterances)]
    # Forked instead, a worker may wait for ever for a lock that a thread of this process held.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        windows = np.stack(list(pool.map(windows_of, jobs, chunksize=16)))
    with atomic_path(kept) as temporary, temporary.open("wb") as file:
        np.savez(file, key=np.array(key), windows=windows)
    return VoiceBank(utterances, windows)


def _key(utterances: Sequence[Utterance], recipe: AudioRecipe, seed: int) -> str:
    content = [f"{each.corpus}/{each.path.name}/{each.path.stat().st_size}" for each in utterances]
    made = (FEATURES_VERSION, seed, CLEAN_WINDOWS, SPEED_WINDOWS, DISTURBED_WINDOWS)
    described = [recipe.model_dump_json(), str(made), *content]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()


class VoiceSource:
    """Windows of utterances with class probabilities; each draw takes another window.

    Attributes:
        windows: [U, V, ...].
        targets: [U, C].
        draw_weight: [U].
    """

    def __init__(self, utterances: Sequence[Utterance], windows: Tensor, *, training: bool) -> None:
        self.windows = windows
        labels = torch.tensor([VOICE_CLASSES.index(utterance.label) for utterance in utterances])
        hard = torch.nn.functional.one_hot(labels, len(VOICE_CLASSES)).float()
        self.targets = hard * (1 - _SMOOTHING) + _SMOOTHING / len(VOICE_CLASSES) if training else hard
        self.draw_weight = _balance(utterances)

    def draw(self, chosen: Tensor, generator: Generator | None) -> Tensor:
        """Return inputs [B, ...]; undisturbed ones end with the speech."""
        if generator is None:
            return self.windows[chosen, 0]
        return self.windows[chosen, torch.randint(self.windows.shape[1], (len(chosen),), generator=generator)]

    def prior(self) -> list[float]:
        """Return the share of each class among what is drawn."""
        share = (self.targets * self.draw_weight.unsqueeze(1)).sum(dim=0)
        return [float(value) for value in share / share.sum()]


def _balance(utterances: Sequence[Utterance]) -> Tensor:
    """Return weights with which every speaker is drawn equally often: voices differ more than utterances do."""
    counts = Counter(utterance.speaker for utterance in utterances)
    return torch.tensor([1 / counts[utterance.speaker] for utterance in utterances])


def train_voice(
    training: VoiceSource, validation: VoiceSource, settings: VoiceSettings, folder: Path, *, resume: bool
) -> nn.Module:
    """Train the voice branch: `settings.members` networks from consecutive seeds, their logits averaged."""
    members = []
    for number in range(settings.members):
        chosen = settings.model_copy(update={"seed": settings.seed + number})
        network = build(training, chosen)
        members.append(train_member(network, training, validation, chosen, folder / f"member-{number}", resume=resume))
    return Ensemble(members).eval()


def build(training: VoiceSource, settings: VoiceSettings) -> nn.Module:
    """Return an untrained network, its weights drawn by the seed, its z-scores fitted on the training windows."""
    torch.manual_seed(settings.seed)
    network = DescriptorMlp(DescriptorMlpConfig(num_descriptors=training.windows.shape[2]))
    network.fit_normaliser(training.windows.flatten(0, 1))
    return network


def train_member(
    network: nn.Module,
    training: VoiceSource,
    validation: VoiceSource,
    settings: VoiceSettings,
    folder: Path,
    *,
    resume: bool,
) -> nn.Module:
    """Train one network and return it with the weights of its best validation epoch."""
    return train(
        network, settings, training, validation, folder, monitor="validation_recall", resume=resume, mixing=_MIXING
    )
