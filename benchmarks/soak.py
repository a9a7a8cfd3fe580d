"""Minutes -> faults done to runs at random moments, the hostile files, the slow tests and the fuzzer, told as JSON.

`python -m benchmarks.soak --minutes 10 --report FILE`; `make soak` writes docs/reliability.md from it. Linux.
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import parts
from tests import fault_runs
from tests.fault_runs import Place, Run
from tests.faults import FAULTS, small_disk_is_possible

from emotrace.training.commit import commit
from emotrace.writing import json_text, write_text

NUM_RECORDINGS = 60
PARTS = ("faults", "hostile", "tests", "fuzz")
_MOST_IN_A_ROW = 4
_SLOW_TESTS = ("tests/test_parsers.py", "tests/app")
_VERSIONS = ("av", "numpy", "onnxruntime", "opencv-python-headless", "hypothesis")
_VERDICTS = ("lost", "wrong", "leftovers", "twice", "words")


def main() -> None:
    """Soak, and end with 1 where anything is against what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="of faults")
    parser.add_argument("--fuzz-seconds", type=int, default=60, help="for each target")
    parser.add_argument("--report", type=Path, default=Path("soak.json"), help="the file of the results")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="measured anew; the others stay as --report has them")
    parser.add_argument("--seed", type=int, help="of all that is drawn; a new one without it")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    report: dict[str, Any] = json.loads(options.report.read_text(encoding="utf-8")) if options.parts else {}
    report["conditions"] = conditions()
    if "faults" in (options.parts or PARTS):
        report |= {"seed": seed, "minutes": options.minutes}
    measures: dict[str, Callable[[], dict[str, Any] | None]] = {
        "faults": lambda: faults(options.minutes, seed),
        "hostile": hostile,
        "tests": slow_tests,
        "fuzz": lambda: fuzz(options.fuzz_seconds),
    }
    for name in options.parts or PARTS:
        found = measures[name]()
        report[name] = None if found is None else {**found, "commit": commit()}
        write_text(options.report, json_text(report) + "\n")  # what is known is kept if the next part fails
    sys.exit(not all_well(report))


def conditions() -> dict[str, Any]:
    """Return when, where and with what the report is made."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": parts.processor(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
    }


def all_well(report: Mapping[str, Any]) -> bool:
    """Return whether nothing in a report is against what is promised."""
    faulty = any(row[name] for row in report["faults"]["kinds"].values() for name in _VERDICTS)
    found = report["fuzz"] is not None and any(each["findings"] for each in report["fuzz"]["targets"])
    return not (faulty or found or report["hostile"]["against"] or report["tests"]["failed"])


def faults(minutes: float, seed: int) -> dict[str, Any]:
    """Do faults to runs over one folder, some in a row, then let a run come to its end; again until the time is up."""
    chance = random.Random(seed)
    names = [name for name in FAULTS if name != "disk full" or small_disk_is_possible()]
    kinds: dict[str, Any] = {name: {"injected": 0, "longest_seconds": 0.0, "statuses": {}} for name in names}
    for row in kinds.values():
        row.update(dict.fromkeys(_VERDICTS, 0))
    whole: Counter[str] = Counter()
    against: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="emotrace-soak-") as scratch:
        place = fault_runs.make_place(Path(scratch) / "place", NUM_RECORDINGS)
        fault_runs.learn(place, _undisturbed)
        until, waiting = time.monotonic() + 60 * minutes, list[str]()
        while time.monotonic() < until:
            _renew(place)
            row = []
            for _ in range(chance.randint(1, _MOST_IN_A_ROW)):
                waiting = waiting or chance.sample(names, len(names))  # each kind as often as the others
                row.append(waiting.pop())
            _cycle(place, row, chance, kinds, whole, against)
    return {"recordings": NUM_RECORDINGS, "kinds": kinds, **whole, "against": against[:50]}


def _cycle(
    place: Place,
    names: list[str],
    chance: random.Random,
    kinds: dict[str, Any],
    whole: Counter[str],
    against: list[dict[str, Any]],
) -> None:
    for name in names:
        if len(fault_runs.told_as_done(place)) == place.count:
            _renew(place)  # else there would be nothing to disturb
        row, begin = kinds[name], time.monotonic()
        kept = fault_runs.times(place)
        run = FAULTS[name].do(place, chance)
        row["injected"] += 1
        row["longest_seconds"] = max(row["longest_seconds"], round(time.monotonic() - begin, 1))
        row["statuses"][str(run.status)] = row["statuses"].get(str(run.status), 0) + 1
        verdict = fault_runs.judge_disturbed(place, run, FAULTS[name].statuses)
        if name != "output folder removed":
            verdict.twice += fault_runs.done_again(place, kept)
        _enter(verdict, name, row, [name], against)
        place.restore()
    before = fault_runs.times(place)
    whole.update(cycles=1, results_expected=place.count * len(fault_runs.FORMATS), told_before_the_end=len(before))
    verdict = fault_runs.judge_end(place, _undisturbed(place), before)
    _enter(verdict, names[-1], kinds[names[-1]], names, against)


def _enter(
    verdict: fault_runs.Verdict, name: str, row: dict[str, Any], after: list[str], against: list[dict[str, Any]]
) -> None:
    for what in _VERDICTS:
        row[what] += len(getattr(verdict, what))
    if found := verdict.all():
        against.append({"after": after, "found": found[:5]})
        print(f"{name}: {json.dumps(against[-1])[:3000]}", file=sys.stderr, flush=True)


def _undisturbed(place: Place) -> Run:
    return fault_runs.ended(fault_runs.start(place))


def _renew(place: Place) -> None:
    shutil.rmtree(place.output, ignore_errors=True)
    place.output.mkdir()
    place.touched.clear()
    place.restore()


def hostile() -> dict[str, Any]:
    """Analyse every hostile file, and return how many became what."""
    with tempfile.TemporaryDirectory(prefix="emotrace-hostile-") as scratch:
        path = Path(scratch) / "hostile.json"
        command = [sys.executable, "-m", "tests.hostile_media", f"{scratch}/files", "--report", str(path)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        found = json.loads(path.read_text(encoding="utf-8"))
    bad = [{name: case[name] for name in ("name", "became", "against")} for case in found["cases"] if case["against"]]
    hung = sum("hangs" in case["reason"] or "--max-minutes" in case["reason"] for case in found["cases"])
    named = ("files", "became", "against", "slowest_seconds", "largest_bytes")
    return {**{name: found[name] for name in named}, "hung": hung, "cases_against": bad}


def slow_tests() -> dict[str, Any]:
    """Run the tests that are too slow for every day, and return how many passed."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", "-p", "no:cacheprovider", *_SLOW_TESTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", done.stdout)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    if done.returncode and not failed:
        failed = 1
    told = done.stdout[-3000:] if failed else ""
    return {
        "passed": counts.get("passed", 0),
        "failed": failed,
        "seconds": round(time.monotonic() - begin),
        "told": told,
    }


def fuzz(seconds: int) -> dict[str, Any] | None:
    """Fuzz every target; None where no fuzzer is installed."""
    if find_spec("atheris") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="emotrace-fuzz-") as scratch:
        path = Path(scratch) / "fuzz.json"
        command = [sys.executable, "-m", "benchmarks.fuzz", "--seconds", str(seconds), "--report", str(path)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
