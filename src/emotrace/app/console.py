"""What happens -> lines on stderr and an exit code: progress, problems, and errors without a traceback."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Literal

import typer

from emotrace.app.reasons import reason
from emotrace.errors import SettingsError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class StoppedError(BaseException):
    """A signal asks to end now; no handler of errors should take it for one.

    Attributes:
        exit_code: that says so, 128 and the number of the signal.
    """

    def __init__(self, number: int) -> None:
        """Take the number of the signal."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def signals_raised() -> Iterator[None]:
    """Raise `StoppedError` on SIGINT, SIGTERM and SIGHUP, once: who puts things in order then is not interrupted."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals there
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise StoppedError(number)

    # What is ignored stays so: a shell without job control has its background processes ignore SIGINT.
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    known = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in known.items() if handler != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def note(text: str) -> None:
    """Print one line on stderr; line breaks inside, as third parties like them, become blanks."""
    with suppress(OSError):  # a terminal that is gone, or a full disk: nobody is left to be told
        typer.echo(" ".join(text.split()), err=True)


@contextmanager
def errors_as_lines(debug: bool = False) -> Iterator[None]:
    """Turn what leaves a command into one line and an exit code; with `debug` it passes through."""
    try:
        yield
    except KeyboardInterrupt:
        note("Interrupted.")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of our results has gone, as in `emotrace systems | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except Exception as error:
        if debug or isinstance(error, (typer.Exit, typer.Abort, typer.BadParameter)):
            raise
        note(f"emotrace: {reason(error)}")
        raise typer.Exit(WRONG_USAGE if isinstance(error, SettingsError) else FAILED) from error


@contextmanager
def lab_needed(command: str) -> Iterator[None]:
    """Say what to install where a command of the lab meets an installation without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("emotrace"):
            raise
        raise SettingsError(
            f"`emotrace {command}` needs the lab, and {error.name} is not installed: run pip install 'emotrace[train]'."
        ) from error


@contextmanager
def progress_bar(
    total: int, unit: Literal["seconds", "bytes"] = "seconds"
) -> Iterator[Callable[[str], Callable[[float, float | None], None]]]:
    """Yield a function that starts the bar of one file and returns what to call with how much is done and in all.

    The bar is drawn on stderr, and only where that is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda name: lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[position]}"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, position="", speed="")
        number = 0

        def start(name: str) -> Callable[[float, float | None], None]:
            nonlocal number
            number += 1
            begin = time.monotonic()
            position = f"{number}/{total}" if total > 1 else ""
            bars.reset(task, total=None, description=name, position=position, speed="")

            def advance(done: float, whole: float | None) -> None:
                speed = done / max(time.monotonic() - begin, 1e-3)
                shown = f"{speed:.1f}x real time" if unit == "seconds" else f"{speed / 1e6:.1f} MB/s"
                bars.update(task, completed=done, total=whole, speed=shown)

            return advance

        yield start
