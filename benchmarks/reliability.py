"""The report of a soak -> docs/reliability.md: `python -m benchmarks.reliability FILE`; words: reliability.md.j2."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from emotrace.writing import write_text

PAGE = Path("docs/reliability.md")
_COUNTED = ("lost", "wrong", "twice", "leftovers", "words")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    report = parser.parse_args().report
    write_text(PAGE, text(json.loads(report.read_text(encoding="utf-8"))))


def text(report: Mapping[str, Any]) -> str:
    """Return the page, Markdown, of what `benchmarks.soak` wrote; what was not reached is told as not measured."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    kinds = report["faults"]["kinds"].values()
    totals = {name: sum(row[name] for row in kinds) for name in _COUNTED}
    shown = {"hostile": None, "tests": None, "fuzz": None, **report}
    template = environment.get_template("reliability.md.j2")
    return template.render(shown, totals=totals, injected=sum(row["injected"] for row in kinds))


if __name__ == "__main__":
    main()
