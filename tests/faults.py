"""Faults that are really done to a run of `emotrace analyze FOLDER`, and taken away again. Linux.

Each takes a place and a source of chance, and returns how the run ended; the moment is drawn.
"""

import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fault_runs import Kind, Place, Process, Run, end_all, ended, is_read, lines, start, wait_until, workers_of

Do = Callable[[Place, random.Random], Run]
_MEGABYTE = 10**6


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        do: it.
        statuses: that a run may end with.
    """

    do: Do
    statuses: frozenset[int] = frozenset({0, 1})


def _moment(place: Place, process: Process, chance: random.Random) -> None:
    """Wait for a drawn moment after the first worker was started."""
    known, more = len(lines(place)), chance.randrange(1 + place.count // 3)
    wait_until(lambda: bool(workers_of(process)), process)
    if more:
        wait_until(lambda: len(lines(place)) >= known + more, process)
    wait_until(lambda: False, process, chance.uniform(0, 0.6))


def _interruptible(act: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # some shells have them ignored
            signal.signal(number, signal.SIG_DFL)
        act()

    return prepare


def _bounded(kind: int, low: float, high: float) -> Do:
    def do(place: Place, chance: random.Random) -> Run:
        bound = round(chance.uniform(low, high))
        return ended(start(place, prepare=_interruptible(lambda: resource.setrlimit(kind, (bound, bound)))))

    return do


def _signalled(number: signal.Signals, whom: str = "parent") -> Do:
    def do(place: Place, chance: random.Random) -> Run:
        process = start(place, prepare=_interruptible(lambda: None))
        _moment(place, process, chance)
        if whom == "all":
            end_all(process, chance)
        elif whom == "parent":
            process.send_signal(number)
        elif workers := workers_of(process):
            with _gone_meanwhile():
                os.kill(chance.choice(workers), number)
        return ended(process)

    return do


@contextmanager
def _gone_meanwhile() -> Iterator[None]:
    with suppress(ProcessLookupError):
        yield


def _stopped(place: Place, chance: random.Random) -> Run:
    """Everything stands still for a while, as on a laptop that is closed."""
    process = start(place)
    _moment(place, process, chance)
    everybody = [process.pid, *workers_of(process)]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in everybody:
            with _gone_meanwhile():
                os.kill(pid, number)
        time.sleep(chance.uniform(0, 0.5))
    return ended(process)


def small_disk_is_possible() -> bool:
    """Return whether this system lets a user make a file system of memory in a namespace of its own."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[tuple[list[str], Path]]:
    """Yield what to put before a command so that it sees a small disk there, and where the disk is seen from here."""
    script = f'mount -t tmpfs -o size={kilobytes}k none "$1" && echo ready && exec sleep 100000'
    holder = subprocess.Popen(["unshare", "-Urm", "sh", "-c", script, "sh", str(folder)], stdout=subprocess.PIPE)
    try:
        if holder.stdout is None or holder.stdout.readline() != b"ready\n":
            raise OSError(errno.EPERM, "no file system can be made here")
        enter = ["nsenter", "--preserve-credentials", "-U", "-m", f"--wd={os.getcwd()}", "-t", str(holder.pid)]
        yield enter, Path(f"/proc/{holder.pid}/root{folder}")
    finally:
        holder.kill()
        holder.communicate()


def _disk_full(place: Place, chance: random.Random) -> Run:
    """The disk of the results is full from a drawn moment on, with a drawn rest; later it is exchanged for a larger."""
    ballast, size = ".ballast", 1500
    with _small_disk(place.output, size) as (enter, seen):
        shutil.copytree(place.output, seen, dirs_exist_ok=True)
        there = replace(place, output=seen)
        process = start(place, before=enter)
        _moment(there, process, chance)
        free = os.statvfs(seen).f_bavail * os.statvfs(seen).f_frsize
        with (seen / ballast).open("wb", buffering=0) as file, _full_at_last():
            file.write(bytes(max(0, free - chance.randrange(40_000))))
        run = ended(process)
        (seen / ballast).unlink()
        larger = Path(shutil.copytree(seen, place.root / "larger"))
    shutil.rmtree(place.output)
    larger.rename(place.output)
    return run


@contextmanager
def _full_at_last() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _full_stdout(place: Place, chance: random.Random) -> Run:
    with open("/dev/full", "wb") as full:
        return ended(start(place, stdout=full))


def _no_stream(number: int) -> Do:
    def do(place: Place, chance: random.Random) -> Run:
        return ended(start(place, prepare=_interruptible(lambda: os.close(number))))

    return do


def _broken_pipe(number: int) -> Do:
    """Who reads the stream goes away after a line, as in `| head -1`."""

    def do(place: Place, chance: random.Random) -> Run:
        process = start(place)
        stream = process.stdout if number == 1 else process.stderr
        assert stream is not None
        if number == 1:
            stream.readline()
        stream.close()
        other = process.stderr if number == 1 else process.stdout
        assert other is not None
        told = other.read().decode(errors="replace")
        other.close()
        return Run(process.wait(), "", told if number == 1 else "")

    return do


def _output_removed(place: Place, chance: random.Random) -> Run:
    process = start(place)
    _moment(place, process, chance)
    doomed = place.root / "doomed"
    place.output.rename(doomed)
    shutil.rmtree(doomed)
    return ended(process)


def _input_gone(place: Place, chance: random.Random) -> Run:
    process = start(place)
    _moment(place, process, chance)
    away = place.recordings.rename(place.root / "away")
    try:
        return ended(process)
    finally:
        away.rename(place.recordings)


def _changed(change: Callable[[Path, Place], None]) -> Do:
    """Something happens to a recording while it is read: to the first, which takes the longest, or to any."""

    def do(place: Place, chance: random.Random) -> Run:
        path = place.paths()[0] if chance.random() < 0.5 else chance.choice(place.paths())
        process = start(place)
        if chance.random() < 0.8:
            wait_until(lambda: is_read(path, process), process)
        place.touched.add(path.stem)
        change(path, place)
        return ended(process)

    return do


def _replace(path: Path, place: Place, kind: Kind = "other") -> None:
    beside = place.root / "beside.mp4"
    beside.write_bytes(place.contents[kind])
    beside.replace(path)


def _overwrite(path: Path, place: Place) -> None:
    path.write_bytes(place.contents["other"])


def _truncate(path: Path, place: Place) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _grow(path: Path, place: Place) -> None:
    for _ in range(10):
        with path.open("ab") as file:
            file.write(bytes(5000))
        time.sleep(0.02)


def _permissions_bind() -> None:
    """Take from root what lets it pass over permissions."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                os._exit(99)


def _no_permission(which: str, mode: int) -> Do:
    def do(place: Place, chance: random.Random) -> Run:
        folder: Path = getattr(place, which)
        process = start(place, prepare=_interruptible(_permissions_bind))
        _moment(place, process, chance)
        before = folder.stat().st_mode
        folder.chmod(mode)
        try:
            return ended(process)
        finally:
            folder.chmod(before)

    return do


_JUMPS = """
import random, time
_real, _chance = time.time, random.Random({seed})
def _jumping():
    return max(0.0, _real() + _chance.uniform(-3e9, 3e9))
time.time = _jumping
time.time_ns = lambda: int(_jumping() * 1e9)
"""


def _clock_jumps(place: Place, chance: random.Random) -> Run:
    """Every look at the clock gives another year; the monotonic clock goes on, as it does when a clock is set."""
    folder = place.root / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_JUMPS.format(seed=chance.randrange(2**32)))
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return ended(start(place, environment={"PYTHONPATH": paths}))


def _file_times(place: Place, chance: random.Random) -> Run:
    """Recordings and results are from before 1970 and from the next century."""
    for path in [*place.paths(), *(path for path in place.output.glob("clip*") if chance.random() < 0.2)]:
        when = chance.randrange(-2 * 10**9, 4 * 10**9)
        os.utime(path, (when, when))
    return ended(start(place))


def _little_memory(place: Place, chance: random.Random) -> Run:
    """One recording needs more than there is, or just so much."""
    path = place.paths()[0]
    place.touched.add(path.stem)
    path.write_bytes(place.contents["wide"])
    return ended(start(place, "--max-memory", str(chance.randrange(256, 700))))


FAULTS: dict[str, Fault] = {
    "disk full": Fault(_disk_full),
    "files may not grow": Fault(_bounded(resource.RLIMIT_FSIZE, 200, 20_000)),
    "output folder removed": Fault(_output_removed),
    "input folder removed": Fault(_input_gone),
    "recording replaced": Fault(_changed(_replace)),
    "recording overwritten": Fault(_changed(_overwrite)),
    "recording truncated": Fault(_changed(_truncate)),
    "recording grows": Fault(_changed(_grow)),
    "permission to write lost": Fault(_no_permission("output", 0o500)),
    "permission to read lost": Fault(_no_permission("recordings", 0o000)),
    "clock jumps": Fault(_clock_jumps, frozenset({0})),
    "files from other centuries": Fault(_file_times, frozenset({0})),
    "SIGTERM": Fault(_signalled(signal.SIGTERM), frozenset({0, 143})),
    "SIGINT": Fault(_signalled(signal.SIGINT), frozenset({0, 130})),
    "SIGHUP": Fault(_signalled(signal.SIGHUP), frozenset({0, 129})),
    "SIGKILL of the run": Fault(_signalled(signal.SIGKILL), frozenset({0, -9})),
    "SIGKILL of a worker": Fault(_signalled(signal.SIGKILL, "worker")),
    "SIGKILL of all": Fault(_signalled(signal.SIGKILL, "all"), frozenset({0, 1, -9})),
    "stopped and continued": Fault(_stopped, frozenset({0})),
    "little memory for a recording": Fault(_little_memory),
    "little memory for all": Fault(_bounded(resource.RLIMIT_AS, 300 * _MEGABYTE, 2500 * _MEGABYTE)),
    "few open files": Fault(_bounded(resource.RLIMIT_NOFILE, 8, 36)),
    "stdout full": Fault(_full_stdout),
    "stdout broken": Fault(_broken_pipe(1)),
    "stderr broken": Fault(_broken_pipe(2)),
    "stdin closed": Fault(_no_stream(0), frozenset({0})),
    "stdout closed": Fault(_no_stream(1), frozenset({0})),
    "stderr closed": Fault(_no_stream(2), frozenset({0})),
}
"""Every kind of fault by its name."""
