"""Seconds -> how often our readers were given damaged files by a fuzzer, and what it found, as JSON.

`python -m benchmarks.fuzz --seconds 60 --report FILE` gives each target a process of its own with limits on time and
memory. A fuzzer keeps what reaches code that nothing reached before, so it goes further than chance. It starts from the
valid files of `tests/parser_table.py`. Anything but a value or one of our errors is a finding, and the file is told.

Atheris (https://github.com/google/atheris) is wanted: pip install atheris.
"""

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from tests.parser_table import PARSERS, Parser, Target

MAX_BYTES = 16_384
"""Of a file that the fuzzer makes."""
_RSS_MEGABYTES = 3000
_TIMEOUT_SECONDS = 25
_RUNS = re.compile(r"Done (\d+) runs|^#(\d+)\s", re.MULTILINE)


def main() -> None:
    """Fuzz all targets, or one of them within this process."""
    options = _options()
    if find_spec("atheris") is None:
        sys.exit("The fuzzer is not installed: run pip install atheris, under Python 3.11 or later on Linux.")
    if options.inside is not None:
        _fuzz(options.inside, options.seconds)
        return
    found = [_run(target, options.seconds) for target in options.target or get_args(Target)]
    text = json.dumps({"max_bytes": MAX_BYTES, "rss_megabytes": _RSS_MEGABYTES, "targets": found}, indent=2)
    options.report.write_text(text + "\n")
    print(text)
    sys.exit(any(each["findings"] for each in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--report", type=Path, default=Path("fuzz.json"), help="the file of the results")
    parser.add_argument("--target", action="append", choices=get_args(Target), help="this one; all without it")
    parser.add_argument("--inside", choices=get_args(Target), help="fuzz in this process; used by the command itself")
    return parser.parse_args()


def _run(target: Target, seconds: int) -> dict[str, Any]:
    """Fuzz a target in a process, and return what became of it."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--inside", target, "--seconds", str(seconds)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"TMPDIR": scratch, "EMOTRACE_FUZZ_FOLDER": scratch}
        try:
            limit = seconds + 4 * _TIMEOUT_SECONDS + 60
            done = subprocess.run(command, env=environment, capture_output=True, timeout=limit, check=False)
            told, hangs = (done.stdout + done.stderr).decode(errors="replace"), False
        except subprocess.TimeoutExpired as late:
            told, hangs, done = (late.stderr or b"").decode(errors="replace"), True, None
        files = sorted(path for path in Path(scratch).glob("found-*"))
        findings = [{"file": base64.b64encode(path.read_bytes()).decode(), "kind": path.name} for path in files]
    runs = [int(first or second) for first, second in _RUNS.findall(told)]
    if done is None or done.returncode != 0 or hangs or findings:
        findings.append(
            {"kind": "hang" if hangs else "error", "told": told[max(0, told.find("Uncaught Python")) :][:3000]}
        )
    return {
        "target": target,
        "executions": max(runs, default=0),
        "seconds": round(time.monotonic() - started, 1),
        "findings": findings,
    }


def _fuzz(target: Target, seconds: int) -> None:
    """Fuzz a target until the time is over; libFuzzer ends the process."""
    import atheris

    folder = Path(os.environ["EMOTRACE_FUZZ_FOLDER"])
    parsers = [parser for parser in PARSERS if parser.target == target]
    paths, seeds = [], folder / "seeds"
    seeds.mkdir()
    for number, parser in enumerate(parsers):
        (folder / str(number)).mkdir()
        paths.append(parser.make(folder / str(number)))
        (seeds / str(number)).write_bytes(bytes([number]) + paths[-1].read_bytes()[: MAX_BYTES - 1])

    def one(data: bytes) -> None:
        if data:
            number = data[0] % len(parsers)
            _read(parsers[number], paths[number], data[1:])

    for module in [each for name, each in sys.modules.items() if name.startswith("emotrace")]:
        _instrument(atheris, module)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={_RSS_MEGABYTES}", f"-timeout={_TIMEOUT_SECONDS}"]
    places = [f"-artifact_prefix={folder}/found-", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *places, str(seeds)], one)
    atheris.Fuzz()


def _read(parser: Parser, path: Path, data: bytes) -> None:
    from emotrace.errors import EmotraceError

    path.write_bytes(data)
    try:
        parser.read(path)
    except EmotraceError as error:
        if not str(error).strip() or not str(error).isprintable():
            raise AssertionError(f"{parser.name}: an error without words: {error!r}") from error
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def _instrument(atheris: Any, module: Any) -> None:
    """Let the fuzzer see which lines of a module's functions are reached; they keep their identity."""
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        functions = [value, *vars(value).values()] if isinstance(value, type) else [value]
        for function in functions:
            function = getattr(function, "__func__", function)
            if hasattr(function, "__code__"):
                function.__code__ = atheris.patch_code(function.__code__, True)


if __name__ == "__main__":
    main()
