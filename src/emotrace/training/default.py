"""The corpora in their official layout -> the default bundle: `emotrace train default`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from torch import Tensor, nn

import emotrace
from emotrace import metrics
from emotrace.bundle import Bundle, Manifest, save_bundle
from emotrace.corpora.base import Utterance
from emotrace.corpora.composed import Conditions, Material
from emotrace.features.voice_input import context_samples, voice_input
from emotrace.inference.recordings import Listener, Recording, face_material, record, speech_corpora, voice_material
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.recipe import Recipe
from emotrace.training.calibration import fit_temperature, held_out_logits
from emotrace.training.export import CalibratedFace, CalibratedVoice, export_face, export_fusion, export_voice
from emotrace.training.face import held_out_source, train_face, training_source
from emotrace.training.fusion import HIDDEN_DIM, score, train_fusion
from emotrace.training.model_card import model_card
from emotrace.training.presets import DefaultSettings
from emotrace.training.quantization import quantise_bundle
from emotrace.training.settings import FaceSettings, VoiceSettings
from emotrace.training.voice import VoiceBank, train_voice, voice_bank

RECIPE = Recipe()
LICENCE = "CC-BY-NC-SA-4.0"
TRAINING_CONDITIONS = Conditions(face_disturbed=0.6, voice_disturbed=0.5)
"""Harder than the evaluation's: the bundle should trust neither voice nor face too much."""


@dataclass(frozen=True)
class Branch:
    """A trained branch, ready for a bundle.

    Attributes:
        graph: ONNX.
        temperature: that is in the graph.
        prior: that was taken out.
        metrics: figures on the validation items.
    """

    graph: bytes
    temperature: float
    prior: list[float]
    metrics: dict[str, float]


def train_default(data: Path, output: Path, settings: DefaultSettings, *, resume: bool = False) -> Bundle:
    """Train the default bundle and write it to `output/bundle`; in float, as it was trained, to `output/float`.

    Args:
        data: folder with `ferplus`, `ravdess` and `nemo` in their official layouts.
        output: checkpoints, logs and the bundle.
        settings: of all three trainings.
        resume: go on where an earlier run in `output` stopped.

    Raises:
        CorpusError: a corpus is missing or damaged.
    """
    trained = fuse(prepare(data, output, settings, resume=resume), output, settings, resume=resume)
    return quantise_bundle(trained, data, output / "bundle", recordings=settings.validation_recordings)


@dataclass(frozen=True)
class Prepared:
    """What the fusion is trained on: the branches, and composed recordings as they hear and see them."""

    face: Branch
    voice: Branch
    natural_prior: list[float]
    training: list[Recording]
    validation: list[Recording]


def prepare(data: Path, output: Path, settings: DefaultSettings, *, resume: bool) -> Prepared:
    """Train the branches and compose the recordings."""
    face = face_branch(data, settings.face, output / "face", resume=resume)
    bank = voice_bank(speech_corpora(data), RECIPE.audio, output / "voice-bank.npz")
    voice = voice_branch(bank, is_training, is_validation, settings.voice, output / "voice", resume=resume)
    training = training_recordings(data, face, bank, settings, output, resume=resume)
    validation = held_out_recordings(data, face, voice, settings.validation_recordings)
    return Prepared(face, voice, natural_prior(data), training, validation)


def fuse(prepared: Prepared, output: Path, settings: DefaultSettings, *, resume: bool) -> Bundle:
    """Train the fusion and write the bundle in float to `output/float`."""
    face, voice, training = prepared.face, prepared.voice, prepared.training
    fusion = train_fusion(training, prepared.validation, settings.fusion, output / "fusion", resume=resume)
    graphs = {
        "face.onnx": face.graph,
        "voice.onnx": voice.graph,
        "fusion.onnx": export_fusion(
            fusion, training[0].audio.shape[1], training[0].regions.shape[1], training[0].regions.shape[2]
        ),
    }
    manifest = Manifest(
        name="default",
        emotrace_version=emotrace.__version__,
        model=settings.fusion.system,
        licence=LICENCE,
        recipe=RECIPE,
        recipe_digest=RECIPE.digest(),
        emotions=EMOTIONS,
        voice_classes=VOICE_CLASSES,
        hidden_dim=HIDDEN_DIM,
        face_prior=tuple(prepared.natural_prior),
        voice_prior=tuple(voice.prior),
        temperature={"face": face.temperature, "voice": voice.temperature},
        metrics={
            **{f"face_{name}": value for name, value in face.metrics.items()},
            **{f"voice_{name}": value for name, value in voice.metrics.items()},
            **{f"fused_{name}": value for name, value in score(fusion, prepared.validation, None).items()},
        },
        versions={name: metadata.version(name) for name in ("torch", "onnx", "pytorch-lightning")},
        settings=json.loads(settings.model_dump_json()),
        files={},
    )
    return save_bundle(output / "float", manifest, graphs | {"MODEL_CARD.md": model_card(manifest).encode()})


def natural_prior(data: Path) -> list[float]:
    """Return the share of each emotion among the votes of FER+'s training images."""
    share = training_source(data / "ferplus").targets.mean(dim=0)
    return [float(value) for value in share / share.sum()]


def face_branch(data: Path, settings: FaceSettings, folder: Path, *, resume: bool) -> Branch:
    """Train and export the face branch."""
    network, prior = train_face(data / "ferplus", settings, folder, resume=resume)
    logits, targets = held_out_logits(network, held_out_source(data / "ferplus", "validation"))
    temperature = fit_temperature(logits, targets)
    graph = export_face(CalibratedFace(network, prior, temperature), RECIPE.video.crop_size)
    return Branch(graph, temperature, prior, _class_metrics(logits, targets))


def _class_metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Return figures of logits that still have the prior of the training draws in them."""
    truth, said = targets.argmax(dim=1).numpy(), logits.argmax(dim=1).numpy()
    return {
        "accuracy": metrics.accuracy(truth, said),
        "unweighted_average_recall": metrics.unweighted_average_recall(truth, said),
    }


def is_training(utterance: Utterance) -> bool:
    """Tell whether an utterance is of the training split."""
    return utterance.split == "train"


def is_validation(utterance: Utterance) -> bool:
    """Tell whether an utterance is of the validation split."""
    return utterance.split == "validation"


def voice_branch(
    bank: VoiceBank,
    training: Callable[[Utterance], bool],
    validation: Callable[[Utterance], bool],
    settings: VoiceSettings,
    folder: Path,
    *,
    resume: bool,
) -> Branch:
    """Train and export a voice branch on the utterances of a bank that are chosen for training."""
    source = bank.source(training, training=True)
    held_out = bank.source(validation, training=False)
    network = train_voice(source, held_out, settings, folder, resume=resume)
    logits, targets = held_out_logits(network, held_out)
    temperature = fit_temperature(logits, targets)
    graph = _voice_graph(network, source.prior(), temperature)
    return Branch(graph, temperature, source.prior(), _class_metrics(logits, targets))


def _voice_graph(network: nn.Module, prior: list[float], temperature: float) -> bytes:
    silence = np.zeros(context_samples(RECIPE.audio), dtype=np.float32)
    return export_voice(CalibratedVoice(network, prior, temperature), voice_input(silence, RECIPE.audio).shape)


def _is_training_without(unheard: frozenset[str], utterance: Utterance) -> bool:
    return is_training(utterance) and utterance.speaker not in unheard


def training_recordings(
    data: Path, face: Branch, bank: VoiceBank, settings: DefaultSettings, output: Path, *, resume: bool
) -> list[Recording]:
    """Return recordings of the training speakers and images, heard by voice branches that never met the speaker.

    A branch is far too sure of the voices it was trained on. A fusion that learnt from that would trust every voice too
    much, so the speakers are cut into parts, and each part is heard by a branch trained on the others only.
    """
    speech = [each for each in bank.utterances if is_training(each)]
    speakers = sorted({each.speaker for each in speech})
    faces = face_material(data, "train")
    recordings: list[Recording] = []
    for part in range(settings.voice_parts):
        unheard = frozenset(speakers[part :: settings.voice_parts])
        branch = voice_branch(
            bank,
            partial(_is_training_without, unheard),
            is_validation,
            settings.voice,
            output / f"voice-without-part-{part}",
            resume=resume,
        )
        material = Material(voice_material([each for each in speech if each.speaker in unheard]), faces)
        recordings += record(
            material,
            Listener(RECIPE, face.graph, branch.graph),
            TRAINING_CONDITIONS,
            count=settings.training_recordings // settings.voice_parts,
            seed=part,
        )
    return recordings


def held_out_recordings(data: Path, face: Branch, voice: Branch, count: int) -> list[Recording]:
    """Return recordings of the validation speakers and images."""
    speech = [each for each in speech_corpora(data) if is_validation(each)]
    material = Material(voice_material(speech), face_material(data, "validation"))
    return record(material, Listener(RECIPE, face.graph, voice.graph), Conditions(), count=count, seed=10_000)
