"""Named arrays in a file with a note of where they come from. The one file that imports safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from emotrace.errors import EmotraceError
from emotrace.writing import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], origin: str) -> None:
    """Write arrays, whole or not at all; folders are made.

    Raises:
        EmotraceError: the file cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, {"origin": origin}
            )
    except SafetensorError as error:
        raise EmotraceError(f"{path} cannot be written: {error}. Choose another folder or make room.") from error


def origin_of(path: Path) -> str | None:
    """Return the note of a file; None where there is none or it is damaged, as it can be made again."""
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("origin")
    except (OSError, SafetensorError):
        return None


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a file.

    Raises:
        EmotraceError: it is not there or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Return the arrays of a file as tensors whose content stays on disk until it is used.

    Raises:
        EmotraceError: it is not there or damaged.
    """
    from safetensors.torch import load_file as load_tensors  # workers that only write do without torch

    try:
        return dict(load_tensors(path))
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> EmotraceError:
    return EmotraceError(f"{path} cannot be read: {error}. Delete it, and it is made again.")
