"""A trained system -> a bundle that `emotrace analyze --bundle FOLDER` takes, where a bundle can hold the system.

What a system reads must be what a recipe gives: face regions of the default bundle or crops, and a front end that the
recipe names. See `system_export.py` for systems that become one graph.
"""

import hashlib
import json
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

import emotrace
from emotrace.bundle import CARD, DIALOGUE, SYSTEM, Bundle, Manifest, load_bundle, save_bundle
from emotrace.bundle_graphs import ClipGraph, FrameGraph
from emotrace.catalogue import entry_of
from emotrace.features.voice_input import input_shape
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.models.dialogue_attention import DialogueAttention
from emotrace.recipe import Recipe
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.default import RECIPE
from emotrace.training.export import export_fusion, export_voice
from emotrace.training.extraction import audio_recipe
from emotrace.training.fusion_system import FusionSystem
from emotrace.training.settings import SystemSettings
from emotrace.training.system_export import (
    clip_graph,
    export_clips,
    export_frames,
    export_turns,
    frame_graph,
    with_extras,
)
from emotrace.training.systems import (
    SavedSystem,
    StandardisedSystem,
    clip_reading_of,
    is_clip_level,
    reading_of,
    startable,
)

_NAME = "own"
_OWN_LICENCE = "as the training recordings allow"
_COMPOSED_OF = ("ferplus", "ravdess", "nemo")
_FROZEN_FACES = "Its face network is that of the default bundle, so that its licence holds here too: **{licence}**."
_ALL_OWN = "All of it was trained on these recordings: licence **{licence}**."
_STARTED = (
    "The {part} encoder started from weights that were trained elsewhere: `{name}`, {digest}. "
    "What they were trained on and their licence, which holds here too, are not known to emotrace."
)
_AVERAGED = """
The figures are averages of overlapping windows of 300 steps, while the bundle runs with its full context.
"""


class VoiceOfSystem(nn.Module):
    """A front end's inputs -> what the fusion hears. It tells no classes: their logits are all zero."""

    no_class: Tensor

    def __init__(self, system: StandardisedSystem, fusion: FusionSystem) -> None:
        super().__init__()
        self.standardised = system
        self.fusion = fusion
        self.register_buffer("no_class", torch.zeros(len(VOICE_CLASSES)))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [W, A] and logits [W, C] of inputs [W, ...]."""
        scores = self.standardised.scores(inputs)
        features = scores if self.fusion.spectrum is None else self.fusion.spectrum(scores[:, None])[0]
        return features, features.sum(dim=1, keepdim=True) * self.no_class


def fits_a_bundle(settings: SystemSettings) -> bool:
    """Tell whether a bundle can hold a system of these settings: what it reads, a recipe can give."""
    if settings.only is not None or settings.front_end == "descriptors-cut":
        return False
    if is_clip_level(settings):
        how = clip_reading_of(settings, RECIPE.label_rate_hz)
        return settings.faces == "bundle" or how.backbone == "own" or "face" not in how.modalities
    needs = reading_of(settings, RECIPE.label_rate_hz).needs
    return "waveform" not in needs and (settings.faces == "bundle" or "regions" not in needs)


def save_as_bundle(
    folder: Path, saved: SavedSystem, figures: dict[str, float], corpus: str, note: str, *, tells_emotions: bool
) -> Bundle:
    """Write the bundle of a trained system.

    The fusion networks of `models.MODELS` are carried along from block to block; every other system is one graph.

    Args:
        folder: of the bundle.
        saved: the system, see `fits_a_bundle`.
        figures: on recordings that it was not trained on.
        corpus: name of what it was trained on, see `study.CORPORA`.
        note: what to say of that, and of how it was split.
        tells_emotions: whether that has labels of emotions.

    Raises:
        SettingsError: there is no such corpus.
        BundleError: the system is too large for a bundle.
    """
    audio = audio_recipe(RECIPE, saved.settings.front_end)
    fusion = saved.system.system
    if isinstance(fusion, FusionSystem) and fusion.config.sizes.classes == EMOTIONS:
        # The network was trained at its own steps: it answers as often.
        rate_hz = fusion.config.sizes.steps_per_second
        manifest, contents = _three_networks(saved, fusion, RECIPE.model_copy(update={"label_rate_hz": rate_hz}))
    else:
        manifest, contents = _one_graph(saved)
    recipe = Recipe.model_validate(manifest.recipe.model_dump() | {"audio": audio.model_dump()})
    manifest = manifest.model_copy(
        update={
            "recipe": recipe,
            "recipe_digest": recipe.digest(),
            "tells_emotions": tells_emotions,
            "metrics": figures,
        }
    )
    return save_bundle(folder, manifest, contents | {CARD: _card(manifest, saved.settings, corpus, note).encode()})


def _three_networks(saved: SavedSystem, fusion: FusionSystem, recipe: Recipe) -> tuple[Manifest, dict[str, bytes]]:
    default, sizes = load_bundle(), fusion.config.sizes
    assert isinstance(saved.system, StandardisedSystem)
    voice = VoiceOfSystem(saved.system, fusion).eval()
    shape = input_shape(audio_recipe(recipe, saved.settings.front_end))
    with torch.inference_mode():
        audio_dim = voice(torch.zeros(1, *shape))[0].shape[1]
    manifest = _manifest(saved.settings, recipe, default.manifest.licence).model_copy(
        update={
            "voice_classes": VOICE_CLASSES,
            "hidden_dim": fusion.config.hidden_dim,
            "face_prior": default.manifest.face_prior,
            "voice_prior": tuple(1 / len(VOICE_CLASSES) for _ in VOICE_CLASSES),
            "temperature": {"face": default.manifest.temperature["face"], "voice": 1.0},
        }
    )
    return manifest, {
        "face.onnx": default.read("face.onnx"),
        "voice.onnx": export_voice(voice, shape),
        "fusion.onnx": export_fusion(fusion.fusion, audio_dim, sizes.num_regions, sizes.region_dim),
    }


def _one_graph(saved: SavedSystem) -> tuple[Manifest, dict[str, bytes]]:
    system, settings, rate_hz = saved.system, saved.settings, RECIPE.label_rate_hz
    graph: FrameGraph | ClipGraph
    if isinstance(system, StandardisedClipSystem):
        graph = with_extras(clip_graph(settings, system.sizes, rate_hz), system)
        contents = {SYSTEM: export_clips(system, graph)}
        if isinstance(system.system, DialogueAttention):
            contents[DIALOGUE] = export_turns(system.system, graph)
    else:
        context = getattr(system.system, "context_steps", None)  # of those whose memory has an end
        content, graph = export_frames(system, system.sizes, frame_graph(settings, system.sizes, context, rate_hz))
        contents = {SYSTEM: content}
    licence = _OWN_LICENCE
    if "regions" in graph.inputs:
        default = load_bundle()
        contents["face.onnx"], licence = default.read("face.onnx"), default.manifest.licence
    return _manifest(settings, RECIPE, licence).model_copy(update={"system": graph}), contents


def _manifest(settings: SystemSettings, recipe: Recipe, licence: str) -> Manifest:
    return Manifest(
        name=_NAME,
        emotrace_version=emotrace.__version__,
        model=settings.system,
        licence=licence,
        recipe=recipe,
        recipe_digest="",
        emotions=EMOTIONS,
        metrics={},
        versions={name: metadata.version(name) for name in ("torch", "onnx", "pytorch-lightning")},
        settings=json.loads(_without_places(settings).model_dump_json()),
        files={},
    )


def _without_places(settings: SystemSettings) -> SystemSettings:
    """Return the same with the names alone of files that it started from: where they lie is nobody else's business."""
    bare = {
        part: told.model_copy(update={"weights": Path(told.weights.name)})
        for part, told in startable(settings).items()
        if told.weights is not None
    }
    return settings.model_copy(update=bare)


def _card(manifest: Manifest, settings: SystemSettings, corpus: str, note: str) -> str:
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in manifest.metrics.items())
    emotions = "" if manifest.tells_emotions else "\nIt tells no emotions: the recordings had no labels of them.\n"
    if manifest.level == "clip":
        assert manifest.system is not None
        classes = ", ".join(manifest.system.classes)
        emotions += (
            f"\nIt is clip-level: it tells one of {classes} of a recording, and slides a window over it for a trace.\n"
            "Arousal and valence are the mean of the classes' circumplex coordinates by their probabilities.\n"
        )
    averaged = _AVERAGED if settings.prediction == "windows" and manifest.level == "frame" else ""
    return f"""\
# Model card: {manifest.name}

Made by emotrace {manifest.emotrace_version} with `emotrace train`. System: `{manifest.model}`
{emotions}
## Trained on
{note}

| corpus | licence | citation |
|---|---|---|
{_corpus_rows(corpus)}

The licence of the recordings goes with what was learnt from them.

{_parts(manifest, settings)}

## Figures
On recordings that it did not learn from.
{averaged}
| figure | value |
|---|---|
{rows}

## What it is not
It foretells what the raters of the training recordings would say of a face and a voice. It does not measure feelings,
and is not valid for other people, rooms, cameras or languages before it was tested there. Not for decisions about
people. In the European Union the AI Act prohibits inferring emotions at work and in education except for medical or
safety reasons (Article 5) and asks that people are told (Article 50).
"""


def _corpus_rows(corpus: str) -> str:
    if corpus == "synthetic":
        return "| synthetic: generated faces and voices | none | none |"
    entries = [entry_of(name) for name in (_COMPOSED_OF if corpus == "composed" else (corpus,))]
    return "\n".join(f"| {each.title} | {each.licence} | {each.citation} |" for each in entries)


def _parts(manifest: Manifest, settings: SystemSettings) -> str:
    """Return where each part of the system is from, and whose licence holds for it."""
    started = [
        _STARTED.format(part=part, name=told.weights.name, digest=_digest(told.weights))
        for part, told in startable(settings).items()
        if told.weights is not None
    ]
    if "face.onnx" in manifest.networks:
        return "\n\n".join([_FROZEN_FACES.format(licence=manifest.licence), *started])
    return "\n\n".join(started) or _ALL_OWN.format(licence=manifest.licence)


def _digest(weights: Path) -> str:
    try:
        with weights.open("rb") as file:
            return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:  # training may go on where it stopped long after it started
        return "sha256 not known, as the file was gone when training had ended"
