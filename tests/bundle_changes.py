"""A bundle -> the same with one thing changed, to be refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emotrace.bundle import MANIFEST, load_bundle, save_bundle


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def replace_network(folder: Path, name: str, content: bytes) -> None:
    """Save the bundle again with another network, so that its checksums are right."""
    bundle = load_bundle(folder)
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    save_bundle(folder, bundle.manifest, contents | {name: content})
