"""Files that appear whole or not at all, and JSON that every reader takes."""

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\.emotrace-(?P<mark>[0-9a-f]{16})-[0-9a-f]{16}\.tmp|\.(?P<name>.+)\.[0-9]+\.part", re.DOTALL)
"""Of `atomic_path`, and of `media_writer.ClipWriter`."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces `path` when the block ends without error.

    Raises:
        TimelineError: the folder or the disk does not allow it; nothing is left behind, the old file stays.
    """
    temporary = path.parent / f".emotrace-{_mark(path.name)}-{uuid.uuid4().hex[:16]}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        from emotrace.timeline_schema import TimelineError  # brings numpy, which who only writes text does without

        raise TimelineError(
            f"{path} cannot be written: {error.strerror or error}. Choose another folder or make room."
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong, and that has been told
            temporary.unlink(missing_ok=True)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what was left behind of these results when the process that wrote them was killed.

    Call it only where nobody else writes them.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).update((path.name, _mark(path.name)))
    for folder, known in names.items():
        with suppress(OSError):  # a folder that is not there yet holds nothing
            for name in os.listdir(folder):
                found = _TEMPORARY.fullmatch(name)
                if found is not None and (found["mark"] or found["name"]) in known:
                    folder.joinpath(name).unlink(missing_ok=True)


def _mark(name: str) -> str:
    """Return what tells whose temporary file it is; the name itself may be as long as a disk allows."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


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
