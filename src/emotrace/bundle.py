"""The bundle: the only checkpoint. A folder with everything that turns a file into a timeline.

`bundle.json`, the manifest, holds the recipe, the class orders, the calibration, the training settings and the sha256
of every other file: `MODEL_CARD.md`, and `face.onnx`, `voice.onnx` and `fusion.onnx`, or in place of these
`system.onnx` of a system that is one graph, with `face.onnx` where that reads its regions and `dialogue.onnx` where it
hears clips in the context of others. Nothing in it is executed but the ONNX graphs.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emotrace.bundle_manifest import (
    CARD,
    DIALOGUE,
    MANIFEST,
    MAX_FILE_BYTES,
    NETWORKS,
    SYSTEM,
    FileRecord,
    Manifest,
    Quantisation,
    check,
    parse,
)
from emotrace.errors import BundleError
from emotrace.recipe import Recipe

__all__ = [
    "CARD",
    "DIALOGUE",
    "MANIFEST",
    "NETWORKS",
    "SHIPPED",
    "SYSTEM",
    "Bundle",
    "Manifest",
    "Quantisation",
    "load_bundle",
    "names",
    "save_bundle",
]

SHIPPED = Path(__file__).parent / "bundles"
MAX_MANIFEST_BYTES = 1_000_000


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
    manifest = parse(text, manifest_path)
    return Bundle(folder, manifest, hashlib.sha256(text).hexdigest()[:16])


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
    check(manifest, folder / MANIFEST)
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
