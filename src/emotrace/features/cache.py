"""A clip, a recipe and a folder -> features, made once and read from disk afterwards, bit for bit the same.

A file of the cache is worth nothing by itself: the clip and the recipe make it anew. One that is damaged, cut off or
foreign is therefore made again instead of refused; nobody need delete it first, and no number depends on it.
"""

import hashlib
import math
import os
import struct
import uuid
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emotrace.errors import EmotraceError, MediaError
from emotrace.features.extract import extract
from emotrace.features.faces import Detector
from emotrace.media import open_clip
from emotrace.recipe import Recipe
from emotrace.types import Features

MAX_BYTES = 2 << 30
"""Of the features of one clip, which are in memory at once: about three hours of the default recipe."""
_VERSION = 1
"""Raised whenever `extract` makes other numbers of the same recipe: older files no longer fit then."""
_ORIGIN = "origin"
_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "times": "float64",
        "voice_inputs": "float32",
        "voice_index": "int64",
        "voice_valid": "bool",
        "speech": "bool",
        "speech_energy": "float32",
        "face_crops": "uint8",
        "face_index": "int64",
        "face_detected": "bool",
        "face_confidence": "float32",
        "face_box": "float32",
        "person": "int64",
    }
)


class _ForeignError(Exception):
    """A file in the cache is not what was written there."""


_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    _ForeignError,
)
"""What reading a damaged file ends in; RuntimeError also where an archive asks for what zipfile cannot do."""


def cached_features(path: Path, recipe: Recipe, detector: Detector | None, folder: Path) -> list[Features]:
    """Return all blocks of `extract(clip, recipe, detector)`, from the cache where it has them.

    Args:
        path: the media file; known again by its whole content, under any name.
        recipe: every choice that changes the numbers.
        detector: finds faces; None leaves the pictures out.
        folder: of the cache; made when needed. Files lie in one subfolder per recipe and detector.

    Raises:
        MediaError: the file cannot be read, or its features are larger than `MAX_BYTES`.
        EmotraceError: the cache cannot be written.
    """
    place = f"{recipe.digest()}-{detector.name if detector else 'none'}"
    clip_id = _content_id(path)
    stored = folder / place / f"{clip_id}.npz"
    origin = f"emotrace {_VERSION} {place} {clip_id}"
    try:
        return _read(stored, origin)
    except _DAMAGED:
        blocks = _extracted(path, recipe, detector)
        _write(stored, origin, blocks)
        return blocks


def _content_id(path: Path) -> str:
    """Return the sha256 of the whole file: an edit can change any part of it and keep its size."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise MediaError(f"{path} cannot be read: {error}. Check the name and the permissions.") from error


def _extracted(path: Path, recipe: Recipe, detector: Detector | None) -> list[Features]:
    blocks: list[Features] = []
    size = 0
    with open_clip(path) as clip:
        for block in extract(clip, recipe, detector):
            size += sum(getattr(block, each.name).nbytes for each in fields(Features))
            if size > MAX_BYTES:
                raise MediaError(f"{path} has more than {MAX_BYTES} bytes of features: too long to keep. Cut it.")
            blocks.append(block)
    return blocks


def _write(stored: Path, origin: str, blocks: list[Features]) -> None:
    arrays = {f"{number}.{name}": getattr(block, name) for number, block in enumerate(blocks) for name in _DTYPES}
    arrays[_ORIGIN] = np.frombuffer(origin.encode(), dtype=np.uint8)
    temporary = stored.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, stored)
    except OSError as error:
        raise EmotraceError(f"{stored} cannot be written: {error.strerror or error}. Choose another folder.") from error
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong, and that has been told
            temporary.unlink(missing_ok=True)


def _read(stored: Path, origin: str) -> list[Features]:
    with zipfile.ZipFile(stored) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise _ForeignError("compressed or encrypted: its true size is unknown")
        if sum(entry.file_size for entry in entries) > MAX_BYTES + 4096 * len(entries):
            raise _ForeignError("too large")
        if _entry(archive, _ORIGIN, "uint8").tobytes() != origin.encode():
            raise _ForeignError("made from something else")
        count, rest = divmod(len(entries) - 1, len(_DTYPES))
        if rest or count == 0:
            raise _ForeignError("incomplete")
        return [
            Features(**{name: _entry(archive, f"{number}.{name}", dtype) for name, dtype in _DTYPES.items()})
            for number in range(count)
        ]


def _entry(archive: zipfile.ZipFile, name: str, dtype: str) -> NDArray[Any]:
    """Return an array after comparing its type and size with what is stored, before memory is taken for it."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        shape = _header(file, dtype)
        content = file.read()  # to the end, where the checksum is compared
    if math.prod(shape) * np.dtype(dtype).itemsize != len(content):
        raise _ForeignError(f"{name} is not of the size that it declares")
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape)  # a bytearray can be written to, as fresh ones


def _header(file: IO[bytes], dtype: str) -> tuple[int, ...]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise _ForeignError("another version of the format")
    shape, column_major, found = np.lib.format.read_array_header_1_0(file)
    if column_major or found != np.dtype(dtype):
        raise _ForeignError(f"holds {found}, expected {dtype}")
    return shape
