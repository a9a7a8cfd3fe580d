"""This installation -> what it consists of and what is wrong with it."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

import emotrace
from emotrace.errors import EmotraceError

_RUNTIME = ("numpy", "av", "opencv-python-headless", "soxr", "onnxruntime", "pydantic", "typer", "rich", "jinja2")
_OPTIONAL = ("pandas", "pyarrow", "opensmile", "torch", "pytorch-lightning", "onnx")
_CODECS = ("h264", "hevc", "vp9", "av1", "aac", "mp3", "opus", "pcm_s16le")


@dataclass(frozen=True)
class Finding:
    """One line of the examination; `ok` is false where something has to be done."""

    name: str
    found: str
    ok: bool = True


def examine() -> list[Finding]:
    """Return versions, codecs, detector, bundle and threads."""
    return [
        Finding("emotrace", emotrace.__version__),
        Finding("python", f"{platform.python_version()} ({sys.platform}, {platform.machine()})"),
        Finding("threads", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())),
        *(_package(name, required=True) for name in _RUNTIME),
        *(_package(name, required=False) for name in _OPTIONAL),
        _codecs(),
        _detector(),
        _bundle(),
    ]


def _package(name: str, required: bool) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed" + ("" if required else " (optional)"), ok=not required)


def _codecs() -> Finding:
    # Asked of the library itself: which codecs are inside differs from build to build.
    from av.codec import codecs_available

    missing = [name for name in _CODECS if name not in codecs_available]
    return Finding("codecs", f"missing: {', '.join(missing)}" if missing else ", ".join(_CODECS), ok=not missing)


def _detector() -> Finding:
    from emotrace.features.faces import make_detector

    try:
        found = make_detector("auto").name
    except EmotraceError as error:
        return Finding("face detector", str(error), ok=False)
    advice = "; `emotrace models fetch yunet` gets a better one" if found == "haar" else ""
    return Finding("face detector", found + advice)


def _bundle() -> Finding:
    from emotrace.bundle import load_bundle

    try:
        bundle = load_bundle("default")
        for name in bundle.manifest.files:
            bundle.read(name)
    except EmotraceError as error:
        return Finding("bundle default", str(error), ok=False)
    return Finding("bundle default", f"digest {bundle.digest}, all files as it says")
