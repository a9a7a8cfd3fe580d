"""The text of `bundle.json` -> what a bundle says of itself, or why this version refuses it.

The text may come from a stranger, with the bundle. What is said of a graph is checked in `bundle_graphs`.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotrace.bundle_graphs import ClipGraph, FrameGraph, check_graph
from emotrace.errors import BundleError
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.recipe import Recipe

MANIFEST = "bundle.json"
CARD = "MODEL_CARD.md"
NETWORKS = ("face.onnx", "voice.onnx", "fusion.onnx")
"""Of a bundle whose fusion network carries its state along."""
SYSTEM = "system.onnx"
DIALOGUE = "dialogue.onnx"
MAX_FILE_BYTES = 2_000_000_000
"""About the limit of ONNX itself for a graph in one file."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Part):
    """Size and digest of one file of the bundle."""

    bytes: int = Field(ge=0, le=MAX_FILE_BYTES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Quantisation(_Part):
    """How the face network came to compute with 8-bit integers, and what it cost.

    Attributes:
        calibration_crops: how many training crops the range of the activations was taken from.
        recordings: how many were composed of validation data for the fused figures.
        before: figures on validation data, in float.
        after: the same figures with integers.
    """

    calibration_crops: int = Field(gt=0)
    recordings: int = Field(gt=0)
    before: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    after: dict[str, Annotated[float, Field(allow_inf_nan=False)]]


class Manifest(_Part):
    """What `bundle.json` says.

    Attributes:
        format: of this file.
        name: of the bundle.
        emotrace_version: that made it.
        model: the fusion system's key.
        licence: of the weights, SPDX where there is an identifier.
        recipe: how media becomes features.
        recipe_digest: of the recipe, with the version of the feature code that the networks were trained on.
        emotions: order of the fusion's and the face branch's logits.
        tells_emotions: whether the fusion learnt emotions; where not, their columns stay empty.
        voice_classes: order of the voice branch's logits.
        hidden_dim: width of the fusion's carried state.
        face_prior: how often each emotion stands in the face branch's corpus; the graph's logits are without it.
        voice_prior: how often each class stood in the voice branch's training draws; the graph's logits are without it.
        temperature: "face" and "voice": by which the graph divides the branch's logits, fitted on validation data.
        metrics: figures on validation data, at the time of training.
        face_quantised: how the face network came to compute with 8-bit integers; none where it was taken as it is.
        versions: of the packages that trained and exported it.
        settings: of the training run that made it.
        files: every other file of the bundle.
        system: of a bundle that holds one graph in place of three; what is said above of voice classes, priors,
            temperatures and the carried state is empty then.
    """

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    emotrace_version: str
    model: str
    licence: str
    recipe: Recipe
    recipe_digest: str
    emotions: tuple[str, ...]
    tells_emotions: bool = True
    voice_classes: tuple[str, ...] = ()
    hidden_dim: int = Field(0, ge=0, le=8192)
    face_prior: tuple[_Share, ...] = ()
    voice_prior: tuple[_Share, ...] = ()
    temperature: dict[Literal["face", "voice"], Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    face_quantised: Quantisation | None = None
    versions: dict[str, str]
    settings: dict[str, Any]
    files: dict[str, FileRecord]
    system: Annotated[FrameGraph | ClipGraph, Field(discriminator="level")] | None = None

    @property
    def level(self) -> Literal["frame", "clip"]:
        """Whether the bundle answers at every step, or for a clip."""
        return "frame" if self.system is None else self.system.level

    @property
    def networks(self) -> tuple[str, ...]:
        """The graphs that the bundle must hold."""
        if self.system is None:
            return NETWORKS
        faces = ("face.onnx",) if "regions" in self.system.inputs else ()
        talks = isinstance(self.system, ClipGraph) and self.system.turns > 0
        return (SYSTEM, *faces, *((DIALOGUE,) if talks else ()))


def parse(text: bytes, path: Path) -> Manifest:
    """Read a manifest.

    Args:
        text: JSON.
        path: of the file, for messages.

    Raises:
        BundleError: it is no manifest, or one that `check` refuses.
    """
    try:
        manifest = Manifest.model_validate_json(text)
        json.loads(text, object_pairs_hook=_unrepeated)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part)[:60] for part in first["loc"][:9]) or "(whole file)"
        key = key if key.isprintable() else ascii(key)
        raise BundleError(f"{path}: {key} is refused: {first['msg'][:300]}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is refused: {error}. Export the bundle again.") from error
    check(manifest, path)
    return manifest


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object of JSON that says two things under one key: readers differ in which they believe."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key[:60]!a} stands twice in it")
        seen.add(key)


def check(manifest: Manifest, path: Path) -> None:
    """Refuse what is incomplete, or made for another version.

    Raises:
        BundleError: the message says what was found and what was expected.
    """
    for name in (*manifest.networks, CARD):
        if name not in manifest.files:
            raise BundleError(f"{path} lists no file {name!r}: the bundle is incomplete, export it again.")
    for name in manifest.files:
        if not _PLAIN_NAME.fullmatch(name):
            raise BundleError(f"{path} lists the file {name!r}: only plain names inside the bundle are allowed.")
    if manifest.recipe_digest != manifest.recipe.digest():
        raise BundleError(
            f"{path} was trained on features {manifest.recipe_digest}, this version makes {manifest.recipe.digest()}: "
            f"use emotrace {manifest.emotrace_version} or train the bundle again."
        )
    # The columns of a timeline are fixed: other classes, or another order, would stand under wrong names.
    if manifest.emotions != EMOTIONS:
        raise BundleError(
            f"{path}: emotions are {', '.join(manifest.emotions)}; this version reads {', '.join(EMOTIONS)}."
        )
    if manifest.system is None:
        _check_branches(manifest, path)
    else:
        check_graph(manifest.system, manifest.recipe, path)


def _check_branches(manifest: Manifest, path: Path) -> None:
    if not manifest.hidden_dim:
        raise BundleError(
            f"{path}: hidden_dim is 0, expected the width of the fusion's state: export the bundle again."
        )
    if manifest.voice_classes != VOICE_CLASSES:
        raise BundleError(
            f"{path}: voice_classes are {', '.join(manifest.voice_classes)}; "
            f"this version reads {', '.join(VOICE_CLASSES)}."
        )
    for key, prior, classes in (
        ("face_prior", manifest.face_prior, EMOTIONS),
        ("voice_prior", manifest.voice_prior, VOICE_CLASSES),
    ):
        if len(prior) != len(classes):
            raise BundleError(f"{path}: {key} has {len(prior)} entries, expected {len(classes)}, one per class.")
