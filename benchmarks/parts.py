"""The parts of docs/performance.md: figures with their conditions, kept as JSON, each measured again by itself.

They lie beside the page under version control: what an older commit reached cannot be measured again at any time.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import emotrace
from emotrace.app import measuring
from emotrace.training.commit import commit
from emotrace.writing import json_text, write_text

FOLDER = Path("docs/performance")
NAMES = ("speed", "stages", "peer", "steps", "lengths", "following")
Figures = Mapping[str, Any]
_VERSIONS = ("av", "numpy", "onnxruntime", "opencv-python-headless", "soxr")
_ASK = f"""
import json, platform, hashlib; from importlib.metadata import version; from pathlib import Path
import av, emotrace; from emotrace.features.faces import make_detector
from emotrace.bundle import load_bundle
print(json.dumps(dict(package=str(Path(emotrace.__file__).parent), detector=make_detector("auto").name,
    bundle=load_bundle("default").digest[:12], versions=dict(Python=platform.python_version(),
    FFmpeg=av.ffmpeg_version_info, **{{name: version(name) for name in {_VERSIONS!r}}}))))
"""


def conditions(python: str) -> dict[str, Any]:
    """Return when, where and of what figures are made.

    Args:
        python: the interpreter with the runtime that is measured.

    Raises:
        SystemExit: it has another emotrace than this working copy.
    """
    found = json.loads(measuring.cost(["-c", _ASK], python).printed)
    package = Path(found.pop("package"))
    if digest(package) != digest(Path(emotrace.__file__).parent):
        raise SystemExit(f"{package} is not the package of this working copy: install it again (make bench does).")
    machine = {"cores": len(os.sched_getaffinity(0)), "processor": processor(), "system": platform.system()}
    return {"commit": commit(), "date": time.strftime("%Y-%m-%d"), **machine, **found}


def digest(package: Path) -> str:
    """Return the sha256 of a package's Python files, with their names."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def processor() -> str:
    """Return the model of the processor, or its kind where the system does not tell the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {platform.machine()}" if names else platform.machine()


def keep(name: str, figures: Figures, folder: Path = FOLDER) -> None:
    """Write a part."""
    write_text(folder / f"{name}.json", json_text(figures) + "\n")


def kept(folder: Path = FOLDER) -> dict[str, Figures]:
    """Return the parts that were measured, by their names."""
    paths = {name: folder / f"{name}.json" for name in NAMES}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}
