"""The program's start: what an analysis needs is imported beside the command line, in the worker that will use it.

Reading options and loading what an analysis needs take a third of a second each; one after the other they are a good
part of the work on a short clip. Nothing is imported here before that worker is on its way.
"""

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack


def main() -> None:
    """Run the command line."""
    # Of numpy's own: on matrices as small as ours they only wait for each other, and take the cores from the decoder.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _stand_in_for_closed_streams()
    with ExitStack() as stack:
        stack.callback(gc.freeze)  # what is alive at the end goes with the process, uncounted
        early = None
        if _wants_worker(sys.argv[1:]):
            from emotrace.app import doing
            from emotrace.app.workers import Worker

            early = Worker(doing.do, prepare=doing.prepare)
            stack.callback(early.end)
        from emotrace.app import cli

        cli.main(early)


def _wants_worker(arguments: Sequence[str]) -> bool:
    """Guess from the look of the arguments; a wrong guess costs time, as who does not want the worker ends it."""
    return arguments[:1] == ["analyze"] and len(arguments) > 1 and not {"--help", "--debug"} & set(arguments)


def _stand_in_for_closed_streams() -> None:
    """Open /dev/null where a stream was closed, as by `2>&-`: else the next file, a ledger, would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
