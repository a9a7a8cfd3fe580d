"""The bundle: the only checkpoint. A folder with everything that turns a file into a timeline.

`bundle.json` holds the recipe, the class orders, the calibration, the training settings and the sha256 of every other
file: `MODEL_CARD.md`, and `face.onnx`, `voice.onnx` and `fusion.onnx`, or in place of these `system.onnx` of a system
that is one graph, with `face.onnx` where that reads its regions and `dialogue.onnx` where it hears clips in the context
of others. Nothing in it is executed but the ONNX graphs.
"""

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotrace.bundle_graphs import ClipGraph, FrameGraph, check_graph
from emotrace.errors import BundleError
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.recipe import Recipe

SHIPPED = Path(__file__).parent / "bundles"
MANIFEST = "bundle.json"
CARD = "MODEL_CARD.md"
NETWORKS = ("face.onnx", "voice.onnx", "fusion.onnx")
"""Of a bundle whose fusion network carries its state along."""
SYSTEM = "system.onnx"
DIALOGUE = "dialogue.onnx"
MAX_FILE_BYTES = 2_000_000_000
"""About the limit of ONNX itself for a graph in one file."""
MAX_MANIFEST_BYTES = 1_000_000
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


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
        digest: 16 hex digits of the manifest, which covers every file.
    """

    folder: Path
    manifest: Manifest
    digest: str

    @property
    def recipe(self) -> Recipe:
        """How media becomes features for these networks."""
        return self.manifest.recipe

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return self.read(CARD).decode(errors="replace")

    def read(self, name: str) -> bytes:
        """Return the content of one file after comparing its sha256.

        Raises:
            BundleError: the file is unknown, missing, or not what the manifest says.
        """
        record = self.manifest.files.get(name)
        if record is None:
            raise BundleError(f"Bundle {self.manifest.name} lists no file {name!r}.")
        path = self.folder / name
        if not path.is_file():
            raise BundleError(f"{path} is missing: the bundle is incomplete, install or export it again.")
        size = _size(path)
        if size != record.bytes:
            raise BundleError(f"{path} has {size} bytes, expected {record.bytes}: install it again.")
        content = _read(path)
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise BundleError(f"{path} does not match its sha256 in {MANIFEST}: install or export the bundle again.")
        return content


def names() -> list[str]:
    """List the bundles inside the package."""
    return sorted(manifest.parent.name for manifest in SHIPPED.glob(f"*/{MANIFEST}"))


def load_bundle(name_or_path: str | Path = "default") -> Bundle:
    """Load a bundle by its name in the package, or from a folder.

    Raises:
        BundleError: it is not there, or its manifest is refused.
    """
    folder = _folder(name_or_path)
    try:
        is_there = (folder / MANIFEST).is_file()
    except OSError:  # no file can have such a name
        is_there = False
    if not is_there:
        raise BundleError(
            f"No bundle {str(name_or_path)!r}: expected one of {', '.join(names()) or 'none'}, "
            f"or a folder that holds {MANIFEST}."
        )
    return _load(folder)


def _load(folder: Path) -> Bundle:
    manifest_path = folder / MANIFEST
    if _size(manifest_path) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{manifest_path} is larger than {MAX_MANIFEST_BYTES} bytes: it is no bundle manifest.")
    text = _read(manifest_path)
    try:
        manifest = Manifest.model_validate_json(text)
        json.loads(text, object_pairs_hook=_unrepeated)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part)[:60] for part in first["loc"][:9]) or "(whole file)"
        key = key if key.isprintable() else ascii(key)
        raise BundleError(f"{manifest_path}: {key} is refused: {first['msg'][:300]}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{manifest_path} is refused: {error}. Export the bundle again.") from error
    _check(manifest, manifest_path)
    return Bundle(folder, manifest, hashlib.sha256(text).hexdigest()[:16])


def _unrepeated(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object of JSON that says two things under one key: readers differ in which they believe."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key[:60]!a} stands twice in it")
        seen.add(key)


def _size(path: Path) -> int:
    """Return the bytes of a file, which lies in the folder of the bundle and is no link that leads out of it.

    Raises:
        BundleError: it cannot be told, or the link does.
    """
    try:
        target, folder = path.resolve(strict=True), path.parent.resolve(strict=True)
        size = target.stat().st_size
    except (OSError, RuntimeError) as error:
        raise BundleError(f"{path} cannot be read: {error}. Check its permissions.") from error
    if not target.is_relative_to(folder):
        raise BundleError(f"{path} is a link that leads out of the bundle: copy the file into its folder.")
    return size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _folder(name_or_path: str | Path) -> Path:
    if str(name_or_path) in names():
        return SHIPPED / str(name_or_path)
    path = Path(name_or_path)
    return path.parent if path.name == MANIFEST else path


def _check(manifest: Manifest, path: Path) -> None:
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


def save_bundle(folder: Path, manifest: Manifest, contents: dict[str, bytes]) -> Bundle:
    """Write a bundle; the folder appears whole or not at all, an older one in its place is replaced.

    Args:
        folder: where it goes.
        manifest: its `files` are computed here.
        contents: the networks and the model card by file name.

    Raises:
        BundleError: the bundle would not load again, or something that is no bundle lies in its place.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BundleError(f"{folder} exists and is no bundle: it would be lost. Remove it or choose another folder.")
    for name, content in contents.items():
        if len(content) > MAX_FILE_BYTES:
            raise BundleError(
                f"{name} has {len(content):,} bytes, a bundle's files may have {MAX_FILE_BYTES:,}: "
                "train the system with smaller sizes, such as scale=small."
            )
    records = {
        name: FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(contents.items())
    }
    manifest = manifest.model_copy(update={"files": records})
    _check(manifest, folder / MANIFEST)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        for name, content in contents.items():
            (new / name).write_bytes(content)
        (new / MANIFEST).write_text(text)
        _load(new)
        if folder.exists():
            os.replace(folder, Path(scratch) / "old")
        os.replace(new, folder)
    return _load(folder)
