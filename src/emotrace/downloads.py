"""An address and a digest -> a verified file in the user's cache. Nothing is fetched unless the user asks."""

import errno
import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from emotrace.errors import EmotraceError
from emotrace.model_files import ModelFile

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes in all, None where the server does not say."""

MAX_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 16
_TIMEOUT_SECONDS = 30.0


class DownloadError(EmotraceError):
    """A file cannot be fetched, or what came is not the file that was asked for."""


class NotThereError(DownloadError):
    """The server says that it has no such file."""


def fetch_model(model: ModelFile, *, progress: Progress | None = None) -> Path:
    """Return the model's verified file, fetched when it is not in the cache yet.

    Raises:
        DownloadError: see `fetch`.
    """
    return fetch(model.url, model.sha256, model.path, max_bytes=model.size, progress=progress)


def fetch(
    url: str,
    sha256: str | None,
    destination: Path,
    *,
    md5: str | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
    allow_http: bool = False,
) -> Path:
    """Fetch a file, verify it and only then give it its name; a file that is there and right is kept.

    What an interrupted call leaves in `<destination>.part` is continued by the next one where the server can.

    Args:
        url: https, unless `allow_http`.
        sha256: of the whole file, 64 hex digits; None where only `md5` is published.
        destination: its folder is made.
        md5: of the whole file, 32 hex digits. It guards against damage, not against somebody who makes another file
            with the same digest.
        max_bytes: a longer file is refused as soon as that shows.
        progress: told after every block.
        allow_http: plain http too; the digest still decides.

    Raises:
        DownloadError: no connection, another file than expected, too long a file, or no room for it.
        ValueError: there is no digest to verify the file with.
    """
    if sha256 is None and md5 is None:
        raise ValueError(f"{url} cannot be verified without a digest")
    _refuse_other_schemes(url, allow_http)
    part = destination.with_name(destination.name + ".part")
    with _failures_told(url, destination):
        if destination.is_file() and _mismatch(destination, sha256, md5) is None:
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        _complete(url, part, max_bytes, progress)
        _verify(url, part, sha256, md5)
        os.replace(part, destination)
    return destination


def fetch_small(url: str, destination: Path, *, max_bytes: int, allow_http: bool = False) -> bytes:
    """Return a small file that nobody has published a digest of; what it says has to be checked before it is used.

    Args:
        url: https, unless `allow_http`.
        destination: where the file belongs, for the messages; nothing is written.
        max_bytes: a longer file is refused.
        allow_http: plain http too.

    Raises:
        DownloadError: no connection, or too long a file.
    """
    _refuse_other_schemes(url, allow_http)
    with _failures_told(url, destination), urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        _refuse_downgrade(url, response.geturl())
        content = bytes(response.read(max_bytes + 1))
        if response.length and len(content) <= max_bytes:
            raise http.client.IncompleteRead(content, response.length)
    if len(content) > max_bytes:
        raise DownloadError(f"{url} has more than {max_bytes} bytes, which is not the file expected; it was not kept.")
    return content


@contextmanager
def _failures_told(url: str, destination: Path) -> Iterator[None]:
    """Turn what goes wrong on the way into a `DownloadError`."""
    try:
        yield
    except http.client.IncompleteRead as error:
        raise DownloadError(f"{url}: the connection broke off; run the command again to continue.") from error
    except urllib.error.HTTPError as error:
        kind = NotThereError if error.code == http.HTTPStatus.NOT_FOUND else DownloadError
        raise kind(f"{url}: the server answered {error.code} {error.reason}.") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(
            f"{url} cannot be reached ({reason}). Check the connection and run the command again, or put the file at "
            f"{destination} yourself."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadError(f"No room left on the disk of {destination.parent} for {url}.") from error
        raise DownloadError(f"{destination} cannot be written: {error.strerror or error}.") from error


def file_sha256(path: Path) -> str:
    """Return the 64 hex digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(url: str, part: Path, max_bytes: int, progress: Progress | None) -> None:
    """Write the rest of the file to `part`, or all of it where there is none or the server cannot continue."""
    there = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if there and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is left to fetch; the digest tells whether the part is the whole
        raise
    with response:
        _refuse_downgrade(url, response.geturl())
        continued = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = there if continued else 0
        total = None if response.length is None else done + response.length
        if total is not None and total > max_bytes:
            raise _too_long(url, part, total, max_bytes)
        with part.open("ab" if continued else "wb") as file:
            _copy(response, file, done, total, progress, limit=max_bytes)
        if part.stat().st_size > max_bytes:
            raise _too_long(url, part, part.stat().st_size, max_bytes)
        if total is not None and part.stat().st_size < total:
            raise http.client.IncompleteRead(b"", total - part.stat().st_size)


def _copy(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    done: int,
    total: int | None,
    progress: Progress | None,
    *,
    limit: int,
) -> None:
    """Append what comes, block by block, and stop after the block that passes the limit."""
    while done <= limit and (block := response.read(_BLOCK_BYTES)):
        file.write(block)
        done += len(block)
        if progress is not None:
            progress(done, total)


def _refuse_other_schemes(url: str, allow_http: bool) -> None:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme != "https" and not (allow_http and scheme == "http"):
        raise DownloadError(f"{url} is not an https address; nothing was fetched.")


def _refuse_downgrade(asked: str, answered: str) -> None:
    if asked.startswith("https:") and not answered.startswith("https:"):
        raise DownloadError(f"{asked} leads to {answered}, which is not https; nothing was fetched.")


def _too_long(url: str, part: Path, found: int, max_bytes: int) -> DownloadError:
    part.unlink(missing_ok=True)
    return DownloadError(f"{url} has {found} bytes or more, expected at most {max_bytes}; it was not kept.")


def _mismatch(path: Path, sha256: str | None, md5: str | None) -> str | None:
    """Say in what a file differs from what is known of it; None where it does not."""
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        return f"sha256 {found}, expected {sha256}"
    if md5 is not None and (found := _file_md5(path)) != md5:
        return f"md5 {found}, expected {md5}"
    return None


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _verify(url: str, part: Path, sha256: str | None, md5: str | None) -> None:
    mismatch = _mismatch(part, sha256, md5)
    if mismatch is not None:
        part.unlink()
        raise DownloadError(
            f"{url} gave a file with {mismatch}; it was removed. The file may have been damaged "
            "on the way or replaced at its source: run the command again, and report it if that does not help."
        )
