"""A trained system -> a bundle that `emotrace analyze --bundle FOLDER` takes, where a bundle can hold the system.

A bundle holds a voice network, a face network and a fusion network that carries its state along. The fusion networks of
`models.MODELS` fit, on front ends whose recipe a bundle can name and on the face regions of the default bundle.
"""

import json
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

import emotrace
from emotrace.bundle import Bundle, Manifest, load_bundle, save_bundle
from emotrace.features.voice_input import input_shape
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.models import MODELS
from emotrace.training.default import RECIPE
from emotrace.training.export import export_fusion, export_voice
from emotrace.training.extraction import audio_recipe
from emotrace.training.fusion_system import FusionSystem
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import SavedSystem, StandardisedSystem

_NAME = "own"


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
    """Tell whether a bundle can hold a system of these settings."""
    return (
        settings.system in MODELS
        and settings.faces == "bundle"
        and settings.front_end != "descriptors-cut"
        and settings.only is None
    )


def save_as_bundle(
    folder: Path, saved: SavedSystem, figures: dict[str, float], corpus: str, *, tells_emotions: bool
) -> Bundle:
    """Write the bundle of a trained system.

    Args:
        folder: of the bundle.
        saved: the system, see `fits_a_bundle`.
        figures: on recordings that it was not trained on.
        corpus: that it was trained on, in words.
        tells_emotions: whether that has labels of emotions.
    """
    settings, fusion = saved.settings, saved.system.system
    assert isinstance(fusion, FusionSystem)
    default = load_bundle()
    audio = audio_recipe(RECIPE, settings.front_end)
    # The network was trained at its own steps: it answers as often.
    recipe = RECIPE.model_copy(update={"audio": audio, "label_rate_hz": fusion.config.sizes.steps_per_second})
    sizes = fusion.config.sizes
    voice = VoiceOfSystem(saved.system, fusion).eval()
    with torch.inference_mode():
        audio_dim = voice(torch.zeros(1, *input_shape(audio)))[0].shape[1]
    manifest = Manifest(
        name=_NAME,
        emotrace_version=emotrace.__version__,
        model=settings.system,
        licence=default.manifest.licence,
        recipe=recipe,
        recipe_digest=recipe.digest(),
        emotions=EMOTIONS,
        tells_emotions=tells_emotions,
        voice_classes=VOICE_CLASSES,
        hidden_dim=fusion.config.hidden_dim,
        face_prior=default.manifest.face_prior,
        voice_prior=tuple(1 / len(VOICE_CLASSES) for _ in VOICE_CLASSES),
        temperature={"face": default.manifest.temperature["face"], "voice": 1.0},
        metrics=figures,
        versions={name: metadata.version(name) for name in ("torch", "onnx", "pytorch-lightning")},
        settings=json.loads(settings.model_dump_json()),
        files={},
    )
    contents = {
        "face.onnx": default.read("face.onnx"),
        "voice.onnx": export_voice(voice, input_shape(audio)),
        "fusion.onnx": export_fusion(fusion.fusion, audio_dim, sizes.num_regions, sizes.region_dim),
        "MODEL_CARD.md": _card(manifest, corpus).encode(),
    }
    return save_bundle(folder, manifest, contents)


def _card(manifest: Manifest, corpus: str) -> str:
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in manifest.metrics.items())
    emotions = "" if manifest.tells_emotions else "\nIt tells no emotions: the recordings had no labels of them.\n"
    return f"""\
# Model card: {manifest.name}

Made by emotrace {manifest.emotrace_version} with `emotrace train`. System: `{manifest.model}`, trained on: {corpus}

Its face network is that of the default bundle, so that its licence holds here too: **{manifest.licence}**.
{emotions}
## Figures
On recordings that it did not learn from.

| figure | value |
|---|---|
{rows}

## What it is not
It foretells what the raters of the training recordings would say of a face and a voice. It does not measure feelings,
and is not valid for other people, rooms, cameras or languages before it was tested there. Not for decisions about
people. In the European Union the AI Act prohibits inferring emotions at work and in education except for medical or
safety reasons (Article 5) and asks that people are told (Article 50).
"""
