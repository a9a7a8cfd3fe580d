"""A file -> what tells its content from another: a digest, and the size and time that it was computed at."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_READ_AT_ONCE = 1 << 24
Stamp = tuple[int, int]
"""Bytes, and when the content was last changed, in nanoseconds, as the folder says."""


class Content(BaseModel):
    """What was in a file.

    Attributes:
        sha256: of all of it, 64 hex digits.
        bytes: its size.
        mtime_ns: when it was last changed, as its folder says. Where size and time are still these, the digest is
            taken for granted, as it was computed from what the file held at that time; else it is computed again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Annotated[int, Field(ge=0)]
    mtime_ns: int

    @property
    def stamp(self) -> Stamp:
        """Size and time."""
        return self.bytes, self.mtime_ns


def stamp(path: Path) -> Stamp | None:
    """Return size and time of a file; None where none can be seen."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return None
    return found.st_size, found.st_mtime_ns


def read_content(path: Path, alive: Callable[[], None]) -> Content | None:
    """Read a file and return what is in it; None where it cannot be read or changes meanwhile.

    Args:
        path: of a regular file.
        alive: called after every part of it.
    """
    before = stamp(path)
    digest = hashlib.sha256()
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            while part := file.read(_READ_AT_ONCE):
                digest.update(part)
                alive()
    except (OSError, ValueError):
        return None
    if before is None or stamp(path) != before:
        return None
    return Content(sha256=digest.hexdigest(), bytes=before[0], mtime_ns=before[1])
