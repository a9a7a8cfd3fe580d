"""The experiments behind `docs/results.md` that a bundle alone cannot answer: each trains several networks.

Every experiment writes `results.json` (settings, seeds, figures per run, mean and spread) into its output folder and
resumes: a network whose checkpoint is complete is not trained again.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from emotrace import metrics
from emotrace.corpora import emogator, nemo, ravdess
from emotrace.corpora.base import Utterance
from emotrace.errors import SettingsError
from emotrace.evaluation import (
    COMPOSED_COUNT,
    COMPOSED_SEED,
    CONDITIONS,
    composed_material,
    voice_figures,
)
from emotrace.inference.recordings import Listener, record, speech_corpora
from emotrace.inference.session import Voice
from emotrace.labels import VOICE_CLASSES
from emotrace.training.calibration import held_out_logits
from emotrace.training.default import (
    RECIPE,
    Branch,
    is_training,
    is_validation,
    natural_prior,
    prepare,
    voice_branch,
)
from emotrace.training.face import held_out_source, train_face
from emotrace.training.face_augmentation import nudge
from emotrace.training.fusion import score, train_fusion
from emotrace.training.presets import DefaultSettings
from emotrace.training.settings import FusionSettings
from emotrace.training.voice import VoiceBank, VoiceSource, train_member, voice_bank
from emotrace.training.voice import build as build_voice

Figures = dict[str, object]
SEEDS = (0, 1, 2)
_ALEXNET_EPOCHS = 20
SHARED_LABELS = nemo.LABELS
"""The six labels that RAVDESS and nEMO have in common are all of nEMO's."""


def face_alexnet(data: Path, output: Path, preset: DefaultSettings) -> Figures:
    """The paper's improved AlexNet on FER+, one seed: the bundle's images, optimiser and gentler augmentation.

    The disturbances of the bundle's first epochs are left out: it learns too slowly from them to be judged fairly.
    """
    settings = preset.face.model_copy(
        update={"network": "improved-alexnet", "learning_rate": 1e-3, "polish_epochs": 0}
        | {"epochs": min(_ALEXNET_EPOCHS, preset.face.epochs)}
    )
    network, prior = train_face(data / "ferplus", settings, output, resume=True, disturb=nudge)
    logits, targets = held_out_logits(network, held_out_source(data / "ferplus", "test"))
    informed = logits - torch.tensor(prior).log() + torch.tensor(natural_prior(data)).log()
    truth, said = targets.argmax(dim=1).numpy(), informed.argmax(dim=1).numpy()
    return {
        "settings": settings.model_dump(),
        "parameters": sum(each.numel() for each in network.parameters()),
        "test_accuracy": metrics.accuracy(truth, said),
        "test_unweighted_average_recall": metrics.unweighted_average_recall(truth, said),
    }


def voice_folds(data: Path, output: Path, preset: DefaultSettings) -> Figures:
    """RAVDESS over six folds of four actors: each fold tested once, the next one used for early stopping.

    nEMO's training speakers are trained on in every fold.
    """
    bank = voice_bank(speech_corpora(data), RECIPE.audio, output / "voice-bank.npz")
    figures: dict[str, object] = {}
    for number, fold in enumerate(ravdess.FOLDS):
        tested = {f"ravdess-{actor:02d}" for actor in fold}
        stopping = {f"ravdess-{actor:02d}" for actor in ravdess.FOLDS[(number + 1) % len(ravdess.FOLDS)]}

        def learnt(each: Utterance, left_out: set[str] = tested | stopping) -> bool:
            return each.speaker not in left_out if each.corpus == "ravdess" else is_training(each)

        def watched(each: Utterance, speakers: set[str] = stopping) -> bool:
            return each.speaker in speakers

        branch = voice_branch(bank, learnt, watched, preset.voice, output / f"fold-{number}", resume=True)
        utterances = [each for each in bank.utterances if each.speaker in tested]
        figures[f"actors {fold[0]}-{fold[-1]}"] = _heard(branch, utterances, ravdess.LABELS)
    return {"settings": preset.voice.model_dump(), "folds": figures} | _spread(list(figures.values()))


def voice_transfer(data: Path, output: Path, preset: DefaultSettings) -> Figures:
    """RAVDESS to nEMO and back: trained on one corpus, tested on all of the other, on the six labels they share."""
    bank = voice_bank(speech_corpora(data), RECIPE.audio, output / "voice-bank.npz")
    figures: dict[str, object] = {}
    for source, target in (("ravdess", "nemo"), ("nemo", "ravdess")):

        def learnt(each: Utterance, corpus: str = source) -> bool:
            return each.corpus == corpus and is_training(each)

        def watched(each: Utterance, corpus: str = source) -> bool:
            return each.corpus == corpus and is_validation(each)

        branch = voice_branch(bank, learnt, watched, preset.voice, output / source, resume=True)
        utterances = [each for each in bank.utterances if each.corpus == target and each.label in SHARED_LABELS]
        figures[f"{source} to {target}"] = _heard(branch, utterances, SHARED_LABELS)
    return {"settings": preset.voice.model_dump()} | figures


_BURST_EPOCHS = 30


def voice_pretraining(data: Path, output: Path, preset: DefaultSettings) -> Figures:
    """The voice network with and without training on EmoGator's vocal bursts before; recall on validation speakers.

    A question of choice, so the test speakers stay unheard.
    """
    speech = voice_bank(speech_corpora(data), RECIPE.audio, output / "voice-bank.npz")
    bursts = voice_bank(emogator.read(data / "emogator"), RECIPE.audio, output / "burst-bank.npz")
    training, watched = speech.source(is_training, training=True), speech.source(is_validation, training=False)
    runs: dict[str, list[Figures]] = {"speech alone": [], "bursts before": []}
    for seed in SEEDS:
        settings = preset.voice.model_copy(update={"seed": seed})
        for name, found in runs.items():
            folder = output / name.replace(" ", "-") / f"seed-{seed}"
            network = build_voice(training, settings)
            if name == "bursts before":
                first = settings.model_copy(update={"epochs": _BURST_EPOCHS})
                heard = bursts.source(is_training, training=True)
                held_out = bursts.source(is_validation, training=False)
                train_member(network, heard, held_out, first, folder / "bursts", resume=True)
            train_member(network, training, watched, settings, folder, resume=True)
            found.append(_recalls(network, watched, speech))
    return {"settings": preset.voice.model_dump(), "burst_epochs": _BURST_EPOCHS, "seeds": list(SEEDS)} | {
        name: _spread(found) for name, found in runs.items()
    }


def _recalls(network: nn.Module, watched: VoiceSource, bank: VoiceBank) -> Figures:
    """Return the unweighted average recall of single windows, by corpus, choosing among the corpus's labels."""
    logits, targets = (each.numpy() for each in held_out_logits(network, watched))
    corpora = np.array([each.corpus for each in bank.utterances if is_validation(each)])
    figures: Figures = {}
    for corpus, labels in (("ravdess", ravdess.LABELS), ("nemo", nemo.LABELS)):
        columns = [VOICE_CLASSES.index(label) for label in labels]
        here = corpora == corpus
        truth, said = targets[here][:, columns].argmax(axis=1), logits[here][:, columns].argmax(axis=1)
        figures[corpus] = metrics.unweighted_average_recall(truth, said)
    return figures


def _heard(branch: Branch, utterances: Sequence[Utterance], labels: tuple[str, ...]) -> Figures:
    return voice_figures(Voice(branch.graph), RECIPE, utterances, labels)


def systems(base: FusionSettings) -> dict[str, FusionSettings]:
    """Return what the fusion is compared with, by name. "zeros" is the paper's way with a missing modality."""
    variants: dict[str, dict[str, object]] = {
        "attention, mask, modal scaling (shipped)": {},
        "attention, mask, no modal scaling": {"modal_scaling": "none"},
        "attention, zeros, modal scaling literal": {"missing": "zeros", "modal_scaling": "literal"},
        "attention, zeros, modal scaling gated": {"missing": "zeros"},
        "attention, zeros, no modal scaling": {"missing": "zeros", "modal_scaling": "none"},
        "concatenation": {"system": "concatenation", "modal_scaling": "none"},
        "voice only": {"only": "voice", "modal_scaling": "none"},
        "face only": {"only": "face", "modal_scaling": "none"},
    }
    return {name: base.model_copy(update=changes) for name, changes in variants.items()}


def fusion(data: Path, output: Path, preset: DefaultSettings) -> Figures:
    """Every one of `systems` on the composed test recordings, three seeds, under each of `CONDITIONS`.

    The branches are those of `emotrace train default`, which is run first if its checkpoints are not in `output`.
    """
    prepared = prepare(data, output, preset, resume=True)
    material = composed_material(data, "test")
    listener = Listener(RECIPE, prepared.face.graph, prepared.voice.graph)
    tests = {
        name: record(material, listener, conditions, count=COMPOSED_COUNT, seed=COMPOSED_SEED)
        for name, conditions in CONDITIONS.items()
    }
    figures: dict[str, object] = {}
    for name, system in systems(preset.fusion).items():
        runs = []
        for seed in SEEDS:
            chosen = system.model_copy(update={"seed": seed})
            folder = output / "systems" / name.replace(", ", "-").replace(" ", "-") / f"seed-{seed}"
            network = train_fusion(prepared.training, prepared.validation, chosen, folder, resume=True)
            runs.append({condition: score(network, tests[condition], chosen.only) for condition in tests})
        figures[name] = {condition: _spread([run[condition] for run in runs]) for condition in tests}
    return {"settings": preset.model_dump(), "seeds": list(SEEDS), "systems": figures}


def _spread(runs: Sequence[object]) -> Figures:
    """Return mean and standard deviation (divided by n - 1) of every number that all runs have."""
    tables = [run for run in runs if isinstance(run, dict)]
    names = [name for name, value in tables[0].items() if isinstance(value, float)]
    columns = {name: [float(table[name]) for table in tables] for name in names}
    return {
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
        "standard_deviation": {name: float(np.std(values, ddof=1)) for name, values in columns.items()},
    }


EXPERIMENTS: Mapping[str, Callable[[Path, Path, DefaultSettings], Figures]] = MappingProxyType(
    {
        "face-alexnet": face_alexnet,
        "voice-folds": voice_folds,
        "voice-transfer": voice_transfer,
        "voice-pretraining": voice_pretraining,
        "fusion": fusion,
    }
)


def run(name: str, data: Path, output: Path, preset: DefaultSettings | None = None) -> Figures:
    """Run an experiment and write its figures to `output/results.json`.

    Args:
        name: one of `EXPERIMENTS`.
        data: folder with the corpora in their official layouts.
        output: checkpoints and figures.
        preset: how branches and fusion are trained; None for those of the default bundle.

    Raises:
        SettingsError: there is no experiment of this name.
        CorpusError: a corpus is missing or damaged.
    """
    if name not in EXPERIMENTS:
        raise SettingsError(f"There is no experiment {name!r}: expected one of {', '.join(EXPERIMENTS)}.")
    found = EXPERIMENTS[name](data, output, preset or DefaultSettings())
    figures = {"experiment": name, "hardware": _hardware()} | found
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _hardware() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {'with' if torch.cuda.is_available() else 'no'} GPU"
