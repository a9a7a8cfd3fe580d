"""What commands of several files share: options, and how figures are printed."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Branch(StrEnum):
    """One modality alone."""

    voice = "voice"
    face = "face"


def print_figures(figures: dict[str, Any], as_json: bool) -> None:
    """Print one line for each figure, or one JSON document."""
    if as_json:
        from emotrace.writing import json_text

        typer.echo(json_text(figures))
        return
    for name, value in figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, dict) else value
        typer.echo(f"{name}: {shown}")
