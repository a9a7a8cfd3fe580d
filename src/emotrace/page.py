"""A template, style and script of this package and what they show -> one HTML page that needs nothing else.

Its Content-Security-Policy names style and script by hash: nothing else can run, whatever a file's name smuggles in.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from emotrace.writing import atomic_path


def write_page(
    path: Path, template: str, styles: Sequence[str], values: Mapping[str, Any], *, script: str | None = None
) -> None:
    """Write a page, whole or not at all.

    Args:
        path: of the HTML file.
        template: name of a file of this package, as the others; it is given `policy`, `style` and, where there is one,
            `script` beside the values, and escapes all values that are no `Markup`.
        styles: joined in this order.
        values: what the template shows.
        script: the one that the page runs, which may also play a file; None for a page without any.

    Raises:
        TimelineError: the page cannot be written.
    """
    style = "".join(_part(name) for name in styles)
    parts = {"style": Markup(style)}  # files of this package
    allowed = [f"style-src 'sha256-{_hash(style)}'"]
    if script is None:
        allowed.append("img-src data:")
    else:
        text = _part(script)
        parts["script"] = Markup(text)
        allowed += [f"script-src 'sha256-{_hash(text)}'", "img-src data:", "media-src 'self' file:"]
    policy = "; ".join(["default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"])
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(_part(template)).render({**values, **parts, "policy": policy})
    with atomic_path(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))  # names of files need not be Unicode


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(name: str) -> str:
    return files("emotrace").joinpath(name).read_text(encoding="utf-8")
