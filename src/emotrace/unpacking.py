"""A zip archive -> its files in a folder, none of them outside it, within bounds on size and number."""

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from emotrace.errors import EmotraceError

MAX_BYTES = 4 << 30
MAX_FILES = 20_000
_BLOCK_BYTES = 1 << 20
_ENCRYPTED = 0x1
_FORBIDDEN = frozenset('\\:*?"<>|')
"""What another system could take for a separator, a drive or a pattern."""

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    ValueError,
    RuntimeError,
)
"""What `zipfile` raises on archives that are broken, or packed in a way that it does not know."""


class UnpackError(EmotraceError):
    """An archive is damaged, too large, or would write where it should not."""


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> dict[str, int]:
    """Write the files of a zip archive into a folder and return their sizes in bytes by their names in it.

    All entries are looked at before the first is written. A file that is there is replaced; each appears whole or not
    at all. Folders appear as far as there are files in them.

    Args:
        archive: the zip file.
        folder: made where it is not there.
        max_bytes: of all files together.
        max_files: in the archive.

    Raises:
        UnpackError: the archive is damaged or encrypted; it has too many or too large files, a link, a name that leads
            out of the folder or stands twice; or the folder cannot be written to.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _refuse_size(archive, entries, max_bytes, max_files)
            _refuse_entries(archive, entries)
            for entry in entries:
                _write(opened, entry, _target(archive, folder, entry.filename))
    except _DAMAGED as error:
        raise UnpackError(f"{archive} is damaged or no zip archive ({error}): remove it and fetch it again.") from error
    except OSError as error:
        raise UnpackError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}.") from error
    return {entry.filename: entry.file_size for entry in entries}


def _refuse_size(archive: Path, entries: Sequence[zipfile.ZipInfo], max_bytes: int, max_files: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > max_files or total > max_bytes:
        raise UnpackError(
            f"{archive} holds {len(entries)} files of {total} bytes, expected at most {max_files} of {max_bytes}: "
            "nothing was unpacked."
        )


def _refuse_entries(archive: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        parts = name.split("/")
        if not name.isprintable() or _FORBIDDEN & set(name) or any(part.strip(" .") == "" for part in parts):
            raise UnpackError(f"{archive} holds {name!r}, which is no name inside a folder: nothing was unpacked.")
        if name.casefold() in names:
            raise UnpackError(f"{archive} holds {name!r} twice: nothing was unpacked.")
        names.add(name.casefold())
        # Zero: made on a system without such modes.
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UnpackError(f"{archive} holds {name!r}, a link or a device: nothing was unpacked.")
        if entry.flag_bits & _ENCRYPTED:
            raise UnpackError(f"{archive} holds {name!r}, which is encrypted: nothing was unpacked.")


def _target(archive: Path, folder: Path, name: str) -> Path:
    """Return the path of a file, its folder made; no link that is there already leads out."""
    target = folder / PurePosixPath(name)
    root = folder.resolve()
    if not target.parent.resolve().is_relative_to(root):
        raise UnpackError(f"{archive}: {target.parent} leads out of {folder} through a link: remove the link.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # The reader stops at the size that the entry declares, and checks the content at its end.
        with opened.open(entry) as source, temporary.open("xb") as file:
            while block := source.read(_BLOCK_BYTES):
                file.write(block)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
