"""A folder of recordings under `emotrace analyze` in processes of its own -> how a run ended, what is against it."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from emotrace.app import failures, ledger
from emotrace.app.inputs import PARTIAL_SUFFIX
from emotrace.app.process_tree import tree
from tests.app import tiny_bundle
from tests.media_factory import Pictures, Sound, flat_images, talking_clip, tone, write_clip

FORMATS = ("csv", "json")
LONGEST_SECONDS = 300.0
Kind = Literal["good", "other", "long", "wide"]


@dataclass(frozen=True)
class Run:
    """How a run ended.

    Attributes:
        status: of the process; minus the number of a signal.
        stdout: what it printed.
        stderr: what it told.
    """

    status: int
    stdout: str
    stderr: str


@dataclass
class Place:
    """A folder of recordings with one of results, and what the results have to be.

    Attributes:
        root: holds everything.
        recordings: are analysed.
        output: of the results.
        contents: of recordings, by kind.
        count: of the recordings; the first is longer.
        expected: sha256 of every result, by the sha256 of the recording and the name of the result.
        touched: stems of the recordings that were changed since the last run came to its end.
    """

    root: Path
    recordings: Path
    output: Path
    contents: Mapping[Kind, bytes]
    count: int = 6
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    def command(self, *more: str) -> list[str]:
        """Return the command line of a run."""
        formats = [word for name in FORMATS for word in ("--format", name)]
        options = ["--bundle", str(self.root / "tiny"), "--output", str(self.output), "--workers", "2", *formats]
        return [sys.executable, "-m", "emotrace", "analyze", str(self.recordings), *options, *more]

    def restore(self) -> None:
        """Give every recording its own content again, where it has another."""
        for number, path in enumerate(self.paths()):
            content = self.contents["long" if number == 0 else "good"]
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)

    def paths(self) -> list[Path]:
        """Return the recordings as they should be."""
        return [self.recordings / f"clip{number:02}.mp4" for number in range(self.count)]

    def results_of(self, path: Path) -> list[Path]:
        """Return the results of a recording."""
        return [self.output / f"{path.stem}.{name}" for name in FORMATS]


def make_place(root: Path, count: int, long_seconds: float = 12.0) -> Place:
    """Write recordings and a tiny bundle, and learn from undisturbed runs what the results are."""
    for name in ("in", "out"):
        (root / name).mkdir(parents=True)
    tiny_bundle.write(root / "tiny")
    contents: dict[Kind, bytes] = {
        "good": talking_clip(root / "good.mp4", seconds=1.0).read_bytes(),
        "other": talking_clip(root / "other.mp4", seconds=1.4).read_bytes(),
        "long": talking_clip(root / "long.mp4", seconds=long_seconds).read_bytes(),
        "wide": _wide_clip(root / "wide.mp4").read_bytes(),
    }
    place = Place(root, root / "in", root / "out", contents, count=count)
    place.restore()
    return place


def _wide_clip(path: Path) -> Path:
    """Write a few pictures that take some hundred megabytes to look at."""
    pictures = Pictures(flat_images([60, 90, 120], 7680, 4320), [0.0, 0.04, 0.08])
    return write_clip(path, pictures=pictures, sounds=[Sound(tone(0.12))])


def learn(place: Place, run: Callable[[Place], Run]) -> None:
    """Have an undisturbed run make every result that is possible, in the folders that they will be compared in."""
    for kind, content in place.contents.items():
        chosen = place.paths()[:1] if kind in ("long", "wide") else place.paths()
        for path in chosen:
            path.write_bytes(content)
        whole = Place(place.root, place.recordings, place.root / "reference", place.contents, count=place.count)
        ended = run(whole)
        if ended.status:
            raise AssertionError(f"an undisturbed run failed: {ended.stderr}")
        digests = {result.name: digest(result) for path in chosen for result in whole.results_of(path)}
        place.expected[hashlib.sha256(content).hexdigest()] = digests
    place.restore()


def digest(path: Path) -> str:
    """Return the sha256 of a file; of a missing one a word."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"


def start(
    place: Place,
    *more: str,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    prepare: Callable[[], None] | None = None,
) -> "Process":
    """Start a run.

    Args:
        place: of it.
        more: options of the command.
        before: words before the command.
        environment: beside that of this process.
        stdout: of the run.
        prepare: called in its process.
    """
    return subprocess.Popen(
        [*before, *place.command(*more)],
        env={**os.environ, **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
    )


Process = subprocess.Popen[bytes]


def ended(process: Process) -> Run:
    """Wait for the end of a run and of all that it has started.

    Raises:
        AssertionError: it hangs.
    """
    begun = set(tree(process.pid)) - {process.pid}
    try:
        printed, told = process.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.communicate()
        raise AssertionError(f"the run did not end within {LONGEST_SECONDS:.0f} s") from late
    until = time.monotonic() + 60
    while any(is_alive(each) for each in begun) and time.monotonic() < until:
        time.sleep(0.01)
    return Run(process.returncode, (printed or b"").decode(errors="replace"), (told or b"").decode(errors="replace"))


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], process: Process, seconds: float = 60.0) -> bool:
    """Wait for a moment of a run; return whether it came before the run ended."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.005)
    return False


def workers_of(process: Process) -> list[int]:
    """Return the workers of a run; Python has a process beside them that does nothing here."""
    found = []
    for pid in tree(process.pid):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def is_read(path: Path, process: Process) -> bool:
    """Return whether a worker of a run has the file open."""
    for pid in workers_of(process):
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(link) == str(path):
                        return True
    return False


def lines(place: Place) -> list[ledger.Line]:
    """Return what the ledger tells, in its order; a torn last line tells nothing."""
    path = place.output / ledger.NAME
    if not path.is_file():
        return []
    found = []
    for raw in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            found.append(ledger.Line.model_validate_json(raw))
    return found


def told_as_done(place: Place) -> dict[str, ledger.Line]:
    """Return the last line of each recording whose results are told as done."""
    last = {line.target: line for line in lines(place)}
    return {name: line for name, line in last.items() if line.failure is None and line.content is not None}


Written = tuple[int, int]
"""What tells a file from one that was written in its place: its number and its time, of which a copy keeps one."""


def times(place: Place) -> dict[str, Written]:
    """Return what tells the results that are told as done from others in their place."""
    found = {}
    for name in told_as_done(place):
        with suppress(FileNotFoundError):
            seen = (place.output / f"{name}.{FORMATS[0]}").stat()
            found[name] = (seen.st_ino, seen.st_mtime_ns)
    return found


def done_again(place: Place, before: Mapping[str, Written]) -> list[str]:
    """Return the recordings that were done anew although they had been told as done, and were as they had been.

    Args:
        place: after a run.
        before: `times` before it.
    """
    after, now = times(place), {path.stem for path in place.paths()} - place.touched
    same = {name for name, written in before.items() if set(written) & set(after.get(name, written))}
    return sorted((set(before) & now) - same)


@dataclass
class Verdict:
    """What is against a run.

    Attributes:
        lost: results that were told as done and are not there.
        wrong: files under the name of a result that are not what it has to be.
        leftovers: files that nobody should find.
        twice: recordings that were told as done and were done again.
        words: what else is wrong, such as a traceback.
    """

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Return everything in one list."""
        named = {name: getattr(self, name) for name in ("lost", "wrong", "leftovers", "twice", "words")}
        return [f"{name}: {each}" for name, found in named.items() for each in found]


def judge_disturbed(place: Place, run: Run, statuses: frozenset[int]) -> Verdict:
    """Judge a run with a fault: what it told as done has to be there, and nothing half under the name of a result."""
    verdict = Verdict()
    if run.status not in statuses:
        verdict.words.append(f"status {run.status} instead of {sorted(statuses)}: {run.stderr[-300:]}")
    verdict.words += [f"{word} on stderr: {run.stderr[-600:]}" for word in _UNTOLD if word in run.stderr]
    for name, line in told_as_done(place).items():
        assert line.content is not None
        wanted = place.expected.get(line.content.sha256)
        for suffix in FORMATS:
            found = digest(place.output / f"{name}.{suffix}")
            if found == "missing":
                verdict.lost.append(f"{name}.{suffix}")
            elif wanted is not None and found != wanted[f"{name}.{suffix}"]:
                verdict.wrong.append(f"{name}.{suffix}")
    for path in _results(place):
        known = {digests.get(path.name) for digests in place.expected.values()}
        if path.stem not in place.touched and digest(path) not in known:
            verdict.wrong.append(path.name)
    return verdict


def judge_end(place: Place, run: Run, before: Mapping[str, Written]) -> Verdict:
    """Judge the run after a fault, whose folder has to be that of a run that nothing disturbed.

    Args:
        place: with its recordings as they should be.
        run: that came to its end.
        before: `times` before it.
    """
    verdict = Verdict()
    if run.status:
        verdict.words.append(f"status {run.status}: {run.stderr[-600:]}")
    for path in place.paths():
        wanted = place.expected[digest(path)]
        for result in place.results_of(path):
            found = digest(result)
            if found == "missing":
                verdict.lost.append(result.name)
            elif found != wanted[result.name]:
                verdict.wrong.append(result.name)
    names = {result.name for path in place.paths() for result in place.results_of(path)} | {ledger.NAME}
    verdict.leftovers += sorted({path.name for path in place.output.iterdir()} - names)
    after = times(place)
    verdict.twice += done_again(place, before)
    place.touched.clear()
    if set(after) != {path.stem for path in place.paths()}:
        verdict.words.append(f"the ledger tells of {sorted(after)} only")
    return verdict


_UNTOLD = ("Traceback", "unexpected:", "Exception ignored", "Fatal Python")


def _results(place: Place) -> list[Path]:
    found = list(place.output.iterdir()) if place.output.is_dir() else []
    ours = (ledger.NAME, failures.NAME)
    return [
        path for path in found if path.name not in ours and not path.name.endswith((PARTIAL_SUFFIX, ".tmp", ".part"))
    ]


def end_all(process: Process, chance: random.Random | None = None) -> None:
    """Kill a run and its workers in any order."""
    victims = list(tree(process.pid))
    if chance is not None:
        chance.shuffle(victims)
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
