"""A template of this folder and what it shows -> a page; a figure that is missing is an error, never an empty cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2


def rendered(name: str, values: Mapping[str, Any], filters: Mapping[str, Any] | None = None) -> str:
    """Return the page, Markdown.

    Args:
        name: of the template.
        values: that it shows.
        filters: by which it writes figures.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(name).render(values)
