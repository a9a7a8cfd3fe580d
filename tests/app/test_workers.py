"""The supervisor: real workers that really die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from emotrace.app import workers
from emotrace.app.limits import Limits
from emotrace.app.workers import Begun, Ended, Told, supervise
from tests.app.crashing_jobs import act

ROOT = Path(__file__).parents[2]


def done(tasks: Sequence[str], num_workers: int = 1, limits: Limits | None = None) -> dict[str, Ended[str]]:
    """Return how each task ended."""
    events = supervise(act, tasks, num_workers, limits or Limits())
    return {tasks[event.number]: event for event in events if isinstance(event, Ended)}


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.05)


def test_every_death_costs_one_task_and_says_why() -> None:
    tasks = ["fine", "segfault", "abort", "exit 3", "kill", "throw", "raise no face", "good"]
    ended = done(tasks, 2)
    assert set(ended) == set(tasks)
    told = {task: event.failure for task, event in ended.items()}
    assert (told["fine"], told["good"]) == (None, None)
    for task, words in {
        "segfault": "the worker died of SIGSEGV while reading it: the file is damaged",
        "abort": "the worker died of SIGABRT while reading it: the file is damaged",
        "exit 3": "the worker ended with status 3",
        "kill": "killed from outside, as happens where the machine has no memory left",
        "throw": "more than 4096 MB of memory were needed",
        "raise no face": "unexpected: RuntimeError: no face",
    }.items():
        assert words in str(told[task])


def test_a_worker_takes_one_task_after_the_other_and_an_error_does_not_end_it() -> None:
    ended = done(["one", "raise two", "three"])
    first, last = str(ended["one"].answer), str(ended["three"].answer)
    assert first.split()[-1] == last.split()[-1] != str(os.getpid())


def test_a_worker_is_replaced_after_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_TASKS_PER_WORKER", 2)
    ended = done(["a", "b", "c"])
    processes = [str(ended[task].answer).split()[-1] for task in ("a", "b", "c")]
    assert processes[0] == processes[1] != processes[2]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_memory_is_bounded_and_the_next_task_has_all_of_it() -> None:
    ended = done(["allocate 3000000000", "allocate 300000000"], limits=Limits(memory_megabytes=1000))
    assert "--max-memory" in str(ended["allocate 3000000000"].failure)
    assert ended["allocate 300000000"].failure is None


def test_a_hang_and_a_task_that_takes_too_long_are_ended_and_patience_is_given_where_asked_for() -> None:
    ended = done(["sleep 600", "patient 3"], limits=Limits(silence_seconds=2.0))
    assert "the decoder hangs" in str(ended["sleep 600"].failure)
    assert ended["patient 3"].failure is None
    ended = done(["sleep 600"], limits=Limits(minutes=2 / 60))
    assert "--max-minutes" in str(ended["sleep 600"].failure)


def test_a_task_begins_tells_and_ends_in_this_order() -> None:
    kinds = [(type(event), event.number) for event in supervise(act, ["a", "b"], 1, Limits())]
    assert kinds == [(kind, number) for number in (0, 1) for kind in (Begun, Told, Ended)]


def test_stopping_early_leaves_no_process(tmp_path: Path) -> None:
    noted = tmp_path / "process"
    events = supervise(act, [f"note {noted}"], 1, Limits())
    assert isinstance(next(events), Begun)
    assert isinstance(next(events), Told)
    wait_for(lambda: noted.exists() and noted.read_text())
    process = int(noted.read_text())
    assert is_alive(process)
    events.close()
    assert not is_alive(process)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    noted = [tmp_path / "first", tmp_path / "second"]
    script = (
        "from tests.app.crashing_jobs import act; from emotrace.app.limits import Limits;"
        "from emotrace.app.workers import supervise; import sys;"
        "list(supervise(act, [f'note {path}' for path in sys.argv[1:]], 2, Limits()))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, *map(str, noted)], cwd=ROOT)
    wait_for(lambda: all(path.exists() and path.read_text() for path in noted))
    processes = [int(path.read_text()) for path in noted]
    assert all(is_alive(process) for process in processes)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(is_alive(process) for process in processes))
    assert not any(is_alive(process) for process in processes)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_a_worker_that_was_started_before_the_limits_were_known_keeps_to_them() -> None:
    early = workers.Worker(act)
    events = supervise(act, ["allocate 3000000000"], 1, Limits(memory_megabytes=1000), early)
    [ended] = [event for event in events if isinstance(event, Ended)]
    assert "--max-memory" in str(ended.failure)
    assert early.is_over
