"""The report of a soak -> docs/reliability.md: `python -m benchmarks.reliability FILE`; words: reliability.md.j2."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.templates import rendered

from emotrace.writing import write_text

PAGE = Path("docs/reliability.md")
_PARTS = {"faults": "faults", "hostile": "hostile files", "tests": "slow tests", "fuzz": "fuzzing"}
_COUNTED = ("lost", "wrong", "twice", "leftovers", "words")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    report = parser.parse_args().report
    write_text(PAGE, text(json.loads(report.read_text(encoding="utf-8"))))


def text(report: Mapping[str, Any]) -> str:
    """Return the page, Markdown, of what `benchmarks.soak` wrote; what was not reached is told as not measured."""
    kinds = report["faults"]["kinds"].values()
    totals = {name: sum(row[name] for row in kinds) for name in _COUNTED}
    injected = sum(row["injected"] for row in kinds)
    missing = {"hostile": None, "tests": None, "fuzz": None}
    commits = {words: report[name]["commit"] for name, words in _PARTS.items() if report.get(name)}
    shown = {"totals": totals, "injected": injected, "commits": commits}
    return rendered("reliability.md.j2", {**missing, **report, **shown})


if __name__ == "__main__":
    main()
