"""Files that appear whole or not at all, and JSON that every reader takes."""

import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from emotrace.timeline_schema import TimelineError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces `path` when the block ends without error.

    Raises:
        TimelineError: the folder or the disk does not allow it; nothing is left behind, the old file stays.
    """
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise TimelineError(
            f"{path} cannot be written: {error.strerror or error}. Choose another folder or make room."
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong, and that has been told
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, by `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(document: object, *, indent: int = 2) -> str:
    """Return plain data as JSON, null in place of what is no finite number: JSON knows no NaN."""
    return json.dumps(_without_nan(document), indent=indent, allow_nan=False)


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
