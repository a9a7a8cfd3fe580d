"""A folder by a real Ray cluster of several nodes, whose workers, nodes and files really die."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import emotrace
from emotrace.app import ledger
from emotrace.app.cli import app
from emotrace.app.inputs import Job
from emotrace.app.job import Wishes
from emotrace.app.limits import Limits
from emotrace.app.process_tree import tree
from emotrace.app.ray_seat import Charge, Order, Seat
from emotrace.bundle import load_bundle
from tests.app import tiny_bundle
from tests.media_factory import talking_clip

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

NUM_CLIPS = 6
LONG = 2


class Nodes:
    """Two nodes on this machine, and a third that has no processor and holds the cluster together."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        memory = {"object_store_memory": 80 * 10**6, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
        self.nodes = [self.cluster.add_node(num_cpus=1, object_store_memory=80 * 10**6) for _ in range(2)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def seats(self) -> list[int]:
        """Return the processes that do the work of the nodes."""
        return [process for process in tree(os.getpid()) if b"ray::Seat" in _command(process)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def processes_of(mark: str) -> list[bytes]:
    """Return the commands of all processes with the mark in their environment, whoever their parents are."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in environment.read_bytes():
                found.append(_command(int(environment.parent.name)))
    return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.cluster.shutdown()
    wait_for(lambda: not made.seats())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of several lengths, so that every result is its own; one that takes long enough to be killed."""
    found = tmp_path_factory.mktemp("recordings")
    for number in range(NUM_CLIPS):
        talking_clip(found / f"clip{number}.mp4", seconds=20.0 if number == LONG else 1.0 + 0.2 * number)
    return found


@pytest.fixture(scope="module")
def serial(folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process on one machine makes of it."""
    output = tmp_path_factory.mktemp("serial") / "out"  # as far from the recordings as the others: reports link them
    result = CliRunner().invoke(
        app, ["analyze", str(folder), "--bundle", str(tiny), "--output", str(output), "--debug"]
    )
    assert result.exit_code == 0, result.stderr
    return contents(output)


def contents(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir() if path.name != ledger.NAME}


def done(output: Path) -> Counter[str]:
    """Return how often each result is told as done in the ledger."""
    path = output / ledger.NAME
    lines = path.read_text().splitlines() if path.is_file() else []
    return Counter(str(json.loads(line)["target"]) for line in lines)


def options(folder: Path, tiny: Path, output: Path, *more: str) -> list[str]:
    return ["analyze", str(folder), "--bundle", str(tiny), "--output", str(output), "--engine", "ray", *more]


def start(folder: Path, tiny: Path, output: Path, *more: str, mark: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "emotrace", *options(folder, tiny, output, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_ADDRESS": "", "MARK": mark},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(folder: Path, tiny: Path, output: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    process = start(folder, tiny, output, *more)
    printed, said = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def raylet(node: Any) -> int:
    """Return the process that starts the workers of a node."""
    [found] = node.all_processes["raylet"]
    return int(found.process.pid)


def wait_for_reader(nodes: Nodes, output: Path, but: Collection[int] = ()) -> tuple[int, int]:
    """Return the seat that is at the long recording, and its process that reads it."""
    found: list[tuple[int, int]] = []

    def look() -> bool:
        for seat in set(nodes.seats()) - set(but):
            found.extend(
                (seat, process) for process in tree(seat) if writes(process, output / f"clip{LONG}.csv.partial")
            )
        return bool(found)

    wait_for(look)
    return found[0]


def writes(process: int, path: Path) -> bool:
    with suppress(OSError):
        return any(os.readlink(opened) == str(path) for opened in Path(f"/proc/{process}/fd").iterdir())
    return False


def check_all_there(process: "subprocess.Popen[str]", output: Path, serial: dict[str, bytes], folder: Path) -> None:
    """Wait for the end of a run, and compare with the serial one, byte by byte."""
    printed, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert {Path(line).name for line in printed.splitlines()} == set(serial)
    assert contents(output) == serial
    assert done(output) == Counter(path.stem for path in folder.iterdir())


def test_results_of_a_cluster_on_this_machine_equal_the_serial_ones_and_nothing_stays_behind(
    tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seconds in (1.0, 1.2):
        talking_clip(folder / f"clip{seconds}.mp4", seconds=seconds)
    (folder / "bad.mp4").write_text("Dear video,")
    mark = uuid.uuid4().hex
    process = start(folder, tiny, tmp_path / "out", "--workers", "2", mark=mark)
    wait_for(lambda: any(b"raylet" in command for command in processes_of(mark)))
    _, said = process.communicate(timeout=300)
    wait_for(lambda: processes_of(mark) == [])
    here = ["analyze", str(folder), "--bundle", str(tiny), "--output", str(tmp_path / "here"), "--debug"]
    (folder / "bad.mp4").rename(tmp_path / "bad.mp4")
    assert CliRunner().invoke(app, here).exit_code == 0
    assert process.returncode == 1
    assert f"{folder / 'bad.mp4'}: " in said
    made = contents(tmp_path / "out")
    assert "bad.mp4" in made.pop("failures.csv").decode()
    assert made == contents(tmp_path / "here")
    assert done(tmp_path / "out") == Counter(["bad", "clip1.0", "clip1.2"])


@pytest.mark.slow
def test_a_seat_that_is_killed_loses_nothing_and_nothing_is_done_twice(
    nodes: Nodes, folder: Path, tiny: Path, tmp_path: Path, serial: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output, "--ray-address", nodes.address)
    _, reader = wait_for_reader(nodes, output)
    assert f"clip{LONG}" not in done(output)
    seat = next(each for each in nodes.seats() if reader in tree(each))
    os.kill(seat, signal.SIGKILL)
    check_all_there(process, output, serial, folder)
    wait_for(lambda: not nodes.seats())


@pytest.mark.slow
def test_a_file_whose_seats_die_three_times_fails_and_the_others_do_not(
    nodes: Nodes, folder: Path, tiny: Path, tmp_path: Path, serial: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output, "--ray-address", nodes.address)
    killed: set[int] = set()
    for _ in range(3):
        seat, _ = wait_for_reader(nodes, output, killed)
        os.kill(seat, signal.SIGKILL)
        killed.add(seat)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"clip{LONG}.mp4: the Ray workers that read it died, 3 times" in said
    lost = f"clip{LONG}."
    made = {name: content for name, content in contents(output).items() if not name.startswith((lost, "failures"))}
    assert made == {name: content for name, content in serial.items() if not name.startswith(lost)}
    assert set(done(output).values()) == {1}


@pytest.mark.slow
def test_a_decoder_that_dies_costs_its_file_and_the_next_run_does_it(
    nodes: Nodes, folder: Path, tiny: Path, tmp_path: Path, serial: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output, "--ray-address", nodes.address)
    _, reader = wait_for_reader(nodes, output)
    os.kill(reader, signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "the worker was killed from outside" in said
    with (output / "failures.csv").open(newline="") as file:
        assert [Path(row["input"]).stem for row in csv.DictReader(file)] == [f"clip{LONG}"]
    assert done(output) == Counter(path.stem for path in folder.iterdir())
    assert run(folder, tiny, output, "--ray-address", nodes.address).returncode == 0
    assert contents(output) == serial


@pytest.mark.slow
def test_a_node_that_goes_loses_nothing(
    nodes: Nodes, folder: Path, tiny: Path, tmp_path: Path, serial: dict[str, bytes]
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output, "--ray-address", nodes.address)
    seat, _ = wait_for_reader(nodes, output)
    gone = next(node for node in nodes.nodes if seat in tree(raylet(node)))
    nodes.cluster.remove_node(gone, allow_graceful=False)
    nodes.nodes.remove(gone)
    try:
        check_all_there(process, output, serial, folder)
    finally:
        nodes.nodes.append(nodes.cluster.add_node(num_cpus=1, object_store_memory=80 * 10**6))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_work_on_the_cluster_and_keeps_what_is_done(
    number: signal.Signals,
    status: int,
    nodes: Nodes,
    folder: Path,
    tiny: Path,
    tmp_path: Path,
    serial: dict[str, bytes],
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output, "--ray-address", nodes.address)
    wait_for(lambda: done(output))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said.startswith("Interrupted: ")
    assert said.count("\n") == 1
    wait_for(lambda: not nodes.seats())
    assert [path.name for path in output.glob(".*")] == [ledger.NAME]
    kept = done(output)
    assert 0 < len(kept) < NUM_CLIPS
    result = run(folder, tiny, output, "--ray-address", nodes.address)
    assert result.stderr.count("skipped, its results are there") == len(kept)
    assert contents(output) == serial
    assert set(done(output).values()) == {1}


@pytest.mark.slow
def test_nodes_with_another_version_are_not_used(nodes: Nodes, folder: Path, tiny: Path, tmp_path: Path) -> None:
    script = "import emotrace; emotrace.__version__ = '0.0.9'; from emotrace.app.start import main; main()"
    arguments = options(folder, tiny, tmp_path / "out", "--ray-address", nodes.address)
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("emotrace: No worker of the Ray cluster can be used: node ")
    assert f"has emotrace {emotrace.__version__}, expected 0.0.9" in result.stderr
    assert done(tmp_path / "out") == Counter()


@pytest.mark.slow
def test_an_address_without_a_cluster_is_wrong_usage(folder: Path, tiny: Path, tmp_path: Path) -> None:
    result = run(folder, tiny, tmp_path / "out", "--ray-address", "127.0.0.1:9")
    assert result.returncode == 2
    assert result.stderr.startswith("emotrace: No Ray cluster at 127.0.0.1:9: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--engine", "ray", "--debug"], "leave --engine ray out"),
        (["--ray-address", "127.0.0.1:9"], "needs --engine ray"),
        (["--engine", "ray"], "run pip install 'emotrace[ray]'"),
    ],
)
def test_what_does_not_go_with_the_engine_is_said_before_anything_is_done(
    given: list[str], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(app, ["analyze", str(folder), "--output", str(tmp_path / "out"), *given])
    assert words in str(result.exception) + result.stderr
    assert result.exit_code in (1, 2)
    assert not (tmp_path / "out").exists()


def charge(tiny: Path, output: Path, version: str = emotrace.__version__) -> Charge:
    return Charge(version, Wishes(load_bundle(tiny), ("csv",)), Limits(), output)


def files(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def test_a_node_that_lacks_what_it_needs_says_so(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    output.mkdir()
    assert f"does not see {output}: --output must be on a disk" in str(Seat().prepare(charge(tiny, output), {}))
    (output / ledger.NAME).touch()
    assert "expected 0.0.9" in str(Seat().prepare(charge(tiny, output, "0.0.9"), {}))
    seat = Seat()
    assert seat.prepare(charge(tiny, output), {}) is None
    gone = Order(0, Job(tmp_path / "gone.mp4", output / "gone"), None, is_seen=True)
    assert "gone.mp4: sources must be on a disk" in str(seat.begin([gone]))


def test_a_node_without_the_bundle_gets_it_once_and_checks_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / ledger.NAME).touch()
    sent = files(tiny)
    digest = load_bundle(tiny).digest
    given = charge(tiny, tmp_path)
    elsewhere = replace(
        given, wishes=replace(given.wishes, bundle=replace(given.wishes.bundle, folder=tmp_path / "no"))
    )
    assert Seat().prepare(elsewhere, sent) is None
    assert Seat().prepare(elsewhere, {}) is None
    [kept] = tmp_path.joinpath("cache").rglob(digest)
    assert files(kept) == sent
    (kept / "face.onnx").write_bytes(b"no network")
    assert "cannot use the bundle" in str(Seat().prepare(elsewhere, sent))


def test_help_does_not_load_ray() -> None:
    script = (
        "import sys; from emotrace.app.cli import app; app(['--help'], standalone_mode=False);"
        "print('ray' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[-1] == "False"
