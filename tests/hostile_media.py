"""Some 700 damaged and odd media files, the same ones every time, and what `analyze` makes of them.

python -m tests.hostile_media FOLDER                   writes the files
python -m tests.hostile_media FOLDER --report FILE     analyses them too, and writes a table in JSON
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tests.hostile.bombs import bomb_cases
from tests.hostile.case import Case
from tests.hostile.damaged import damaged_cases
from tests.hostile.foreign import foreign_cases
from tests.hostile.odd import odd_cases
from tests.hostile.odd_sounds import odd_sound_cases
from tests.hostile.runner import Finding, Task, judge, try_all


@cache
def corpus() -> dict[str, Case]:
    """Return every case by its name.

    Raises:
        ValueError: two cases have one name.
    """
    cases = [*damaged_cases(), *odd_cases(), *odd_sound_cases(), *foreign_cases(), *bomb_cases()]
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise ValueError(f"two cases are called {twice}")
    return {case.name: case for case in cases}


def tried(names: Sequence[str], folder: Path) -> dict[str, tuple[Finding, list[str]]]:
    """Analyse cases in worker processes; return by name what became of each, and what there is against it."""
    tasks = [Task(name, folder, __name__ if __name__ != "__main__" else "tests.hostile_media") for name in names]
    return {finding.name: (finding, judge(corpus()[finding.name], finding)) for finding in try_all(tasks)}


def main() -> int:
    """Write the corpus, and the report where one is asked for; return 1 where a file is against the expectations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path)
    chosen = parser.parse_args()
    if chosen.report is None:
        for case in corpus().values():
            case.put(chosen.folder)
        print(f"{len(corpus())} files in {chosen.folder}")
        return 0
    found = tried(list(corpus()), chosen.folder)
    rows = [{**asdict(finding), "against": against} for finding, against in found.values()]
    became = Counter(finding.became for finding, _ in found.values())
    numbers = {
        "files": len(rows),
        "became": dict(became),
        "against": sum(bool(row["against"]) for row in rows),
        "slowest_seconds": max(finding.seconds for finding, _ in found.values()),
        "largest_bytes": max(finding.peak_bytes for finding, _ in found.values()),
    }
    chosen.report.write_text(json.dumps({**numbers, "cases": rows}, indent=1), encoding="utf-8")
    print(json.dumps(numbers))
    return 1 if numbers["against"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
