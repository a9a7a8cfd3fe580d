"""Parts of a published corpus and a folder -> the corpus in its own layout there, every file of it verified.

Beside the corpus stands `sha256.txt`, one line per fetched file as the tool sha256sum writes them. A file that is named
there is taken with this content only, also where its publisher gives no sha256. An interrupted call can be made again.
"""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from emotrace.download_parts import Archive, DownloadPart, PointerFolder, Table
from emotrace.downloads import (
    DownloadError,
    NotThereError,
    Progress,
    fetch,
    fetch_small,
    file_sha256,
)
from emotrace.unpacking import unpack

RECORD = "sha256.txt"
MAX_TABLE_BYTES = 64 << 20
MAX_NAMES = 20_000

_MAX_POINTER_BYTES = 1024
_MAX_FILE_BYTES = 64 << 20
_AT_ONCE = 4
_BATCH = 64
"""After so many files of a folder the record is written."""
_SHOWN = 3
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^\n]+)")
_LISTED = re.compile(r"(?P<size>\d{1,15})  (?P<name>[^\n]+)", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z_-]{1,100}", re.ASCII)
_POINTER = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<sha256>[0-9a-f]{64})\nsize (?P<size>\d{1,12})\n?",
    re.ASCII,
)


def download(
    parts: Sequence[DownloadPart],
    root: Path,
    *,
    allow_http: bool = False,
    progress: Callable[[str], Progress] | None = None,
) -> tuple[str, ...]:
    """Fetch parts into the folder of a corpus, one after the other; what is there and right is left alone.

    Args:
        parts: what to fetch.
        root: made where it is not there.
        allow_http: plain http too.
        progress: is called with the name of a part when it starts and returns what to tell of its bytes; those of a
            folder in all are an estimate.

    Returns:
        One sentence for every part of which the publisher does not have all files that it lists; the rest of it is
        there.

    Raises:
        DownloadError: see `downloads.fetch`; also where a list, a pointer or the record is not what it should be.
        UnpackError: an archive cannot be unpacked.
    """
    run = _Run(root, _Record.read(root / RECORD), allow_http)
    gaps: list[str] = []
    for part in parts:
        tell = progress(part.name) if progress is not None else None
        match part:
            case Archive():
                run.archive(part, tell)
            case Table():
                run.table(part)
            case PointerFolder():
                gaps += run.folder(part, tell)
    return tuple(gaps)


@dataclass
class _Record:
    """The sha256 of every file that was fetched, by its name with /."""

    path: Path
    digests: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> "_Record":
        """Read it, or start one."""
        found = _Record(path)
        for line in _lines(path):
            match = _LINE.fullmatch(line)
            if match is None:
                raise DownloadError(
                    f"{path} holds {line[:80]!r}, expected a sha256, two blanks and a name: correct it, or remove the "
                    "file to start again."
                )
            found.digests[match["name"]] = match["sha256"]
        return found

    def note(self, digests: Mapping[str, str]) -> None:
        """Add files and write it."""
        self.digests.update(digests)
        _write(self.path, "".join(f"{digest}  {name}\n" for name, digest in sorted(self.digests.items())).encode())


@dataclass
class _Run:
    """One call of `download`."""

    root: Path
    record: _Record
    allow_http: bool

    def archive(self, part: Archive, tell: Progress | None) -> None:
        """Fetch and unpack an archive, then remove it; the list of its files, kept, tells whether they are there."""
        name = f"{part.name}.zip"
        path, listing = self.root / name, self.root / f"{name}.txt"
        if name in self.record.digests and _all_there(listing, self.root):
            return
        sha256 = part.sha256 or self.record.digests.get(name)
        fetch(part.url, sha256, path, md5=part.md5, progress=tell, allow_http=self.allow_http)
        self.record.note({name: file_sha256(path)})
        sizes = unpack(path, self.root)
        _write(listing, "".join(f"{size}  {file}\n" for file, size in sizes.items()).encode())
        path.unlink()

    def table(self, part: Table) -> Path:
        """Fetch a small file; once it is recorded, only the same again."""
        path = self.root / part.name
        known = self.record.digests.get(part.name)
        if known is not None:
            return fetch(part.url, known, path, max_bytes=MAX_TABLE_BYTES, allow_http=self.allow_http)
        _write(path, fetch_small(part.url, path, max_bytes=MAX_TABLE_BYTES, allow_http=self.allow_http))
        self.record.note({part.name: file_sha256(path)})
        return path

    def folder(self, part: PointerFolder, tell: Progress | None) -> list[str]:
        """Fetch the files of a folder, several at once; return a sentence about those that are not there."""
        names = [f"{part.name}/{name}{part.suffix}" for name in names_in(self.table(part.names))]
        missing: list[str] = []
        done = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for first in range(0, len(names), _BATCH):
                batch = names[first : first + _BATCH]
                fetched: dict[str, str] = {}
                try:
                    for name, digest in zip(
                        batch, pool.map(lambda name: self._recording(part, name), batch), strict=True
                    ):
                        if digest is None:
                            missing.append(name)
                            continue
                        fetched[name] = digest
                        done += (self.root / name).stat().st_size
                        if tell is not None:
                            tell(done, max(done, part.size))
                finally:
                    if fetched.items() - self.record.digests.items():
                        self.record.note(fetched)
        if not missing:
            return []
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        return [f"{len(missing)} of {len(names)} files of {part.name} are not at {part.contents_url}: {shown}."]

    def _recording(self, part: PointerFolder, name: str) -> str | None:
        """Fetch one recording and return its sha256; None where the publisher does not have it."""
        path = self.root / name
        file = name.removeprefix(f"{part.name}/")
        try:
            sha256 = self.record.digests.get(name) or self._pointed_at(part.pointers_url + file, path)
            url = part.contents_url + file
            fetch(url, sha256, path, max_bytes=_MAX_FILE_BYTES, allow_http=self.allow_http)
        except NotThereError:
            return None
        return sha256

    def _pointed_at(self, url: str, path: Path) -> str:
        text = fetch_small(url, path, max_bytes=_MAX_POINTER_BYTES, allow_http=self.allow_http).decode(errors="replace")
        pointer = _POINTER.fullmatch(text)
        if pointer is None:
            raise DownloadError(
                f"{url} holds {text[:80]!r}, expected a pointer of Git LFS: report that it has changed."
            )
        return pointer["sha256"]


def names_in(table: Path) -> list[str]:
    """Return the file names of a table, each fit to be one.

    Raises:
        DownloadError: it is no table, or lists none, too many, or what is no name of a recording.
    """
    rows = csv.DictReader(io.StringIO("\n".join(_lines(table))))
    try:
        names = list(dict.fromkeys(row.get("Filename") or "" for row in rows))
    except csv.Error as error:
        raise DownloadError(f"{table} is no table: {error}. Remove it, and it is fetched again.") from error
    if not 0 < len(names) <= MAX_NAMES:
        raise DownloadError(f"{table} lists {len(names)} files, expected 1 to {MAX_NAMES} in a column Filename.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise DownloadError(f"{table} lists {name[:80]!r}, which is no name of a recording: nothing was fetched.")
    return names


def _all_there(listing: Path, root: Path) -> bool:
    """Tell whether all files of a list are there in their sizes."""
    if not listing.is_file():
        return False
    listed = [_LISTED.fullmatch(line) for line in _lines(listing)]
    return all(
        each is not None
        and (root / each["name"]).is_file()
        and (root / each["name"]).stat().st_size == int(each["size"])
        for each in listed
    )


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file of bounded size; none where there is no file."""
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise DownloadError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from error
    if len(content) > MAX_TABLE_BYTES:
        raise DownloadError(f"{path} has more than {MAX_TABLE_BYTES} bytes: remove it to start again.")
    yield from content.decode("utf-8-sig", errors="replace").splitlines()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
