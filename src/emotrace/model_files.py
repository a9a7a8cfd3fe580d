"""Published files that emotrace may use and does not ship: what they are and where they lie once fetched."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs


@dataclass(frozen=True)
class ModelFile:
    """A published file that emotrace may use and does not ship.

    Attributes:
        name: of the file in the cache, and what the user calls it by.
        url: where it is published.
        sha256: 64 lower-case hex digits.
        size: bytes.
        licence: SPDX name of what its publisher says.
    """

    name: str
    url: str
    sha256: str
    size: int
    licence: str

    @property
    def path(self) -> Path:
        """Where `fetch_model` puts it."""
        return cache_folder() / f"{self.name}{Path(urlsplit(self.url).path).suffix}"


YUNET = ModelFile(
    name="yunet",
    url="https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/master/onnx/yunet_n_320_320.onnx",
    sha256="81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2",
    size=317_434,
    licence="Apache-2.0",
)
"""The face detector YuNet-n with a fixed input of 320x320: Wu, Peng and Yu, "YuNet: a tiny millisecond-level face
detector", Machine Intelligence Research 20 (2023) 656-665."""


def cache_folder() -> Path:
    """Return the folder of fetched files; it may not exist yet."""
    return platformdirs.user_cache_path("emotrace", appauthor=False) / "models"
