"""What a hostile file is: a name, how to write it, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Expected = Literal["read", "refused", "either"]
Write = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        name: unique, in ASCII, as in "cut-mp4-50".
        file_name: of the file; it may be as odd as a file system allows.
        write: puts the file at a path, the same bytes every time.
        expected: whether it must be read, must be refused, or may be either as long as a reason is given.
        told: a regular expression that the refusal, or the problems together, must match; "" matches all.
        longest_seconds: of media time that the timeline may have.
    """

    name: str
    file_name: str
    write: Write
    expected: Expected = "either"
    told: str = ""
    longest_seconds: float = 30.0

    def put(self, folder: Path) -> Path:
        """Write the file into a folder of its own below `folder` and return its path."""
        own = folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        path = own / self.file_name
        self.write(path)
        return path


def holding(content: bytes | Callable[[], bytes]) -> Write:
    """Return what writes these bytes; a function is asked for them only when the file is written."""
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content())
