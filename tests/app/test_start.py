"""The program's start: a worker begins before the command line is read, and is gone when it is not wanted."""

import subprocess
import sys
from pathlib import Path

import pytest

from emotrace.app import start

COUNTED = """
import sys
from emotrace.app import start, workers

begun = []
whole = workers.Worker.__init__

def noting(self, *arguments, **named):
    whole(self, *arguments, **named)
    begun.append(self)

workers.Worker.__init__ = noting
if __name__ == "__main__":
    try:
        start.main()
    except SystemExit as end:
        left = [each for each in begun if each._process.is_alive()]
        print(f"status {end.code}, {len(begun)} begun, {len(left)} left")
"""


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["analyze", "talk.mp4"], True),
        (["analyze", "talk.mp4", "--debug"], False),
        (["analyze", "--help"], False),
        (["analyze"], False),
        (["demo"], False),
        ([], False),
    ],
)
def test_only_an_analysis_has_a_worker_begin(arguments: list[str], wanted: bool) -> None:
    assert start._wants_worker(arguments) is wanted


def test_the_worker_of_a_wrong_command_line_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "counted.py"
    script.write_text(COUNTED)
    for status, arguments in ((2, ["analyze", "talk.mp4", "--nonsense"]), (1, ["analyze", str(tmp_path / "no.mp4")])):
        done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == f"status {status}, 1 begun, 0 left", done.stderr


def test_nothing_that_takes_time_is_imported_before_the_worker_begins() -> None:
    script = (
        "import sys; from emotrace.app import start, doing, workers;"
        "print(sorted({'typer', 'numpy', 'pydantic', 'rich', 'json'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]"]
