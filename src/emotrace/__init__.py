"""emotrace: a video of a person speaking goes in, a trace of emotion over media time comes out."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Timeline", "__version__", "analyze", "load_bundle"]

if TYPE_CHECKING:
    from emotrace.bundle import load_bundle
    from emotrace.inference.offline import analyze
    from emotrace.timeline import Timeline

_HOMES = {"analyze": "emotrace.inference.offline", "load_bundle": "emotrace.bundle", "Timeline": "emotrace.timeline"}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import emotrace` stays a fraction of a second.
    if name not in _HOMES:
        raise AttributeError(f"module 'emotrace' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
