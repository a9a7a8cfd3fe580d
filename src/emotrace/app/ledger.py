"""What was done in a folder of results, one line of JSON per job, so that the next run goes on where this one ended."""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotrace.app.content import Content
from emotrace.errors import EmotraceError, SettingsError

try:
    import fcntl
except ImportError:  # Windows: two runs on one folder are not told apart
    fcntl = None  # type: ignore[assignment]

NAME = ".emotrace-ledger.jsonl"
_MAX_LINE_BYTES = 1 << 17
_Text = Annotated[str, Field(max_length=1 << 15)]
_Count = Annotated[int, Field(ge=0)]


class Line(BaseModel):
    """One finished job.

    Attributes:
        format: of the line.
        source: the input, seen from the folder of the results.
        target: its results without the suffix of their format, seen from there; the last line of a target counts.
        content: of the input; None where the job failed or the input changed while it was read.
        bundle: digest of the bundle.
        emotrace: version.
        wishes: digest of everything else that changes the results.
        asked: names of the results that were wanted.
        sizes: bytes of each result that was written, by its name.
        failure: why there is no result, or not every one; None where all went well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    source: _Text
    target: _Text
    content: Content | None
    bundle: _Text
    emotrace: _Text
    wishes: _Text
    asked: tuple[_Text, ...]
    sizes: dict[_Text, _Count]
    failure: str | None = Field(max_length=1 << 15)


class Ledger:
    """The lines of one folder of results. Made by `open_ledger`."""

    def __init__(self, path: Path, file: IO[bytes], targets: Collection[str]) -> None:
        """Use `open_ledger` instead."""
        self._path, self._file = path, file
        self._lines: dict[str, Line] = {}
        self._is_torn = False
        wanted = set(targets)
        with path.open("rb") as stored:
            for raw in self._whole_lines(stored):
                with suppress(ValidationError):  # nobody's line; its job is done again
                    line = Line.model_validate_json(raw)
                    if line.target in wanted:
                        self._lines[line.target] = line

    def last(self, target: str) -> Line | None:
        """Return what was last done for a target."""
        return self._lines.get(target)

    def add(self, line: Line) -> None:
        """Write a line; when this returns, it outlasts a power cut.

        Raises:
            OSError: it cannot be written; the next run will do the job again.
        """
        if not self._is_there():
            raise OSError(errno.ENOENT, "the folder of the results was removed or replaced meanwhile")
        text = (b"\n" if self._is_torn else b"") + line.model_dump_json().encode() + b"\n"
        self._is_torn = True
        if self._file.write(text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())
        self._is_torn = False
        self._lines[line.target] = line

    def _is_there(self) -> bool:
        """Return whether who comes next will find this file, and no other, under its name."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except OSError:
            return False

    def _whole_lines(self, stored: IO[bytes]) -> Iterator[bytes]:
        """Yield lines in bounded memory: of one that is too long its beginning, of a torn one what is there."""
        while piece := stored.readline(_MAX_LINE_BYTES):
            if not self._is_torn:
                yield piece
            self._is_torn = not piece.endswith(b"\n")


@contextmanager
def open_ledger(folder: Path, targets: Collection[str]) -> Iterator[Ledger]:
    """Yield the ledger of a folder of results, which is made where it is not there; nobody else gets it meanwhile.

    Args:
        folder: of the results.
        targets: whose lines are looked for.

    Raises:
        SettingsError: another run works in the folder.
        EmotraceError: the folder cannot be written.
    """
    path = folder / NAME
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("ab", buffering=0))
            _lock(file, folder)
            ledger = Ledger(path, file, targets)
        except OSError as error:
            raise EmotraceError(
                f"{path} cannot be written: {error.strerror or error}. Choose another folder or make room."
            ) from error
        yield ledger


def _lock(file: IO[bytes], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            f"Another run of emotrace writes its results to {folder}: wait for its end, or choose another --output."
        ) from error
    except OSError:
        return  # some network disks know no locks
