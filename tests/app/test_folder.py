"""A folder of recordings by real processes: killed, stopped, gone on with, and done once."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emotrace.app import ledger
from emotrace.app.cli import app
from tests.app import tiny_bundle
from tests.media_factory import talking_clip

NUM_CLIPS = 6
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", seconds=1.0)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Clips of the same content under several names."""
    found = tmp_path / "recordings"
    found.mkdir()
    for number in range(NUM_CLIPS):
        (found / f"clip{number}.mp4").write_bytes(clip.read_bytes())
    return found


def options(folder: Path, tiny: Path, output: Path, *more: str) -> list[str]:
    return ["analyze", str(folder), "--bundle", str(tiny), "--output", str(output), "--format", "csv", *more]


def run(folder: Path, tiny: Path, output: Path, *more: str) -> Result:
    return CliRunner().invoke(app, options(folder, tiny, output, *more))


def skipped(folder: Path, tiny: Path, output: Path, *more: str) -> set[str]:
    """Return the names of the inputs that a run leaves alone; it does the others."""
    result = run(folder, tiny, output, "--json", "--debug", *more)  # in this process, as that is all the same here
    assert result.exit_code == 0, result.stderr
    return {Path(source).name for source in json.loads(result.stdout)["skipped"]}


def start(folder: Path, tiny: Path, output: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "emotrace", *options(folder, tiny, output, "--workers", "2", *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def done(output: Path) -> Counter[str]:
    """Return how often each result is told as done in the ledger."""
    path = output / ledger.NAME
    lines = path.read_text().splitlines() if path.is_file() else []
    return Counter(str(json.loads(line)["target"]) for line in lines)


def children(process: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for_done(output: Path, count: int, process: "subprocess.Popen[str]") -> None:
    while len(done(output)) < count and process.poll() is None:
        time.sleep(0.02)


def wait_for_end(processes: list[int]) -> None:
    end = time.monotonic() + 60
    while any(Path(f"/proc/{process}").exists() for process in processes) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


def kill_again_and_again(folder: Path, tiny: Path, output: Path, moments: list[tuple[int, float]]) -> None:
    """Kill a run at each moment: so many more results there, so many seconds later; then let one come to its end."""
    before: dict[str, int] = {}
    for more, seconds in moments:
        process = start(folder, tiny, output)
        wait_for_done(output, len(done(output)) + more, process)
        time.sleep(seconds)
        workers = children(process.pid)
        process.kill()
        process.communicate()
        wait_for_end(workers)
        kept = {name: (output / f"{name}.csv").stat().st_mtime_ns for name in done(output)}
        assert {name: kept[name] for name in before} == before
        before = kept
    result = run(folder, tiny, output)
    assert result.exit_code == 0, result.stderr
    assert {name: (output / f"{name}.csv").stat().st_mtime_ns for name in before} == before
    assert done(output) == Counter(path.stem for path in folder.iterdir())
    assert {path.name for path in output.iterdir()} == {ledger.NAME, *(f"{path.stem}.csv" for path in folder.iterdir())}
    assert len({path.read_bytes() for path in output.glob("*.csv")}) == 1


@linux
def test_a_run_that_is_killed_at_any_moment_is_gone_on_with_and_nothing_is_done_twice(
    folder: Path, tiny: Path, tmp_path: Path
) -> None:
    kill_again_and_again(folder, tiny, tmp_path / "out", [(0, 0.4), (1, 0.0), (2, 0.05)])


@linux
@pytest.mark.slow
def test_thirty_kills_lose_nothing(clip: Path, folder: Path, tiny: Path, tmp_path: Path) -> None:
    for number in range(NUM_CLIPS, 40):
        (folder / f"clip{number}.mp4").write_bytes(clip.read_bytes())
    kill_again_and_again(folder, tiny, tmp_path / "out", [(number % 3, 0.037 * number) for number in range(30)])


def test_what_killed_processes_left_of_these_results_is_removed_and_nothing_else(
    folder: Path, tiny: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    script = (
        "import os, sys; from pathlib import Path; from emotrace.writing import atomic_path\n"
        "paths = [atomic_path(Path(name)) for name in sys.argv[1:]]\n"
        "for path in paths: path.__enter__().write_text('half')\n"
        "os.kill(os.getpid(), 9)"
    )
    names = [str(output / "clip0.csv"), str(output / "another.csv")]
    assert subprocess.run([sys.executable, "-c", script, *names], check=False).returncode == -signal.SIGKILL
    (output / ".clip0.annotated.mp4.123.part").touch()
    assert len(list(output.glob(".*"))) == 3
    assert run(folder, tiny, output, "--annotate", "--debug").exit_code == 0
    [left] = [path for path in output.glob(".*") if path.name != ledger.NAME]
    assert left.read_text() == "half"


@linux
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_and_keeps_what_is_done(
    number: signal.Signals, status: int, folder: Path, tiny: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = start(folder, tiny, output)
    wait_for_done(output, 1, process)
    workers = children(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said.startswith("Interrupted: ")
    assert f"of {NUM_CLIPS} inputs are done" in said
    assert "Traceback" not in said
    wait_for_end(workers)
    kept = {f"{name}.mp4" for name in done(output)}
    assert [path.name for path in output.glob(".*")] == [ledger.NAME]
    assert skipped(folder, tiny, output) == kept


def test_a_second_run_on_the_same_results_ends_with_2(folder: Path, tiny: Path, tmp_path: Path) -> None:
    with ledger.open_ledger(tmp_path / "out", ()):
        result = run(folder, tiny, tmp_path / "out")
    assert result.exit_code == 2
    assert "Another run of emotrace" in result.stderr
    assert done(tmp_path / "out") == Counter()


def test_only_what_is_new_is_done(folder: Path, clip: Path, tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    names = {f"clip{number}.mp4" for number in range(NUM_CLIPS)}
    assert skipped(folder, tiny, output) == set()
    os.utime(folder / "clip0.mp4")  # touched: the same content
    (folder / "clip1.mp4").write_bytes(clip.read_bytes()[:-1] + b"!")  # one byte
    (folder / "clip2.mp4").rename(folder / "moved.mp4")
    (output / "clip3.csv").unlink()
    (output / "clip4.csv").write_text("shorter")
    assert skipped(folder, tiny, output) == {"clip0.mp4", "clip5.mp4"}
    assert done(output)["clip0"] == 2  # noted with its new time
    now = names - {"clip2.mp4"} | {"moved.mp4"}
    assert skipped(folder, tiny, output) == now
    assert done(output)["clip0"] == 2
    assert skipped(folder, tiny, output, "--again") == set()


def test_other_networks_and_other_wishes_do_it_anew(clip: Path, tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    other = tiny_bundle.write_for_turns(tmp_path / "other")
    assert skipped(clip, tiny, output, "--format", "json") == set()
    assert skipped(clip, tiny, output) == {"talk.mp4"}  # fewer formats are there already
    assert skipped(clip, tiny, output, "--format", "html") == set()
    assert skipped(clip, tiny, output) == {"talk.mp4"}
    assert skipped(clip, tiny, output, "--only", "voice") == set()
    assert skipped(clip, other, output) == set()
    assert skipped(clip, other, output) == {"talk.mp4"}


def test_failures_are_tried_again_and_their_table_goes_when_there_are_none(
    folder: Path, clip: Path, tiny: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    bad = folder / "bad.mp4"
    bad.write_text("Dear video,")
    result = run(folder, tiny, output)
    assert result.exit_code == 1
    with (output / "failures.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["input"] == str(bad)
    assert row["reason"] in result.stderr.splitlines()[-1]
    bad.write_bytes(clip.read_bytes())
    assert len(skipped(folder, tiny, output)) == NUM_CLIPS
    assert not (output / "failures.csv").exists()


def test_a_result_called_failures_is_no_table_of_ours(folder: Path, tiny: Path, tmp_path: Path) -> None:
    (folder / "clip0.mp4").rename(folder / "failures.mp4")
    (folder / "bad.mp4").write_text("Dear video,")
    assert run(folder, tiny, tmp_path / "out").exit_code == 1
    assert (tmp_path / "out" / "failures.csv").read_text().startswith("time,")


def test_results_do_not_depend_on_the_number_of_workers(folder: Path, tiny: Path, tmp_path: Path) -> None:
    for number in range(2, NUM_CLIPS):
        (folder / f"clip{number}.mp4").unlink()
    more = ("--format", "json", "--format", "html", "--annotate")
    for workers in ("1", "2"):
        result = run(folder, tiny, tmp_path / workers, *more, "--workers", workers)
        assert result.exit_code == 0, result.stderr
    assert run(folder, tiny, tmp_path / "here", *more, "--debug").exit_code == 0
    names = {path.name for path in (tmp_path / "1").iterdir()} - {ledger.NAME}
    assert len(names) == 2 * 4
    for name in names:
        contents = {(tmp_path / place / name).read_bytes() for place in ("1", "2", "here")}
        assert len(contents) == 1, name


@linux
def test_a_recording_that_takes_too_much_time_or_memory_says_so(tiny: Path, tmp_path: Path) -> None:
    long = talking_clip(tmp_path / "long.mp4", seconds=60.0)
    result = run(long, tiny, tmp_path / "out", "--max-minutes", "0.01")
    assert result.exit_code == 1
    assert "it took more than the 0.01 minutes that --max-minutes allows" in result.stderr


def test_the_process_that_hands_out_the_work_loads_no_numbers(clip: Path, tiny: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from emotrace.app.cli import app; app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'numpy', 'cv2', 'av', 'onnxruntime'} & set(sys.modules)))"
    )
    arguments = options(clip, tiny, tmp_path / "out")
    printed = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[-1] == "[]"
