"""A corpus on disk -> its files on a local server as they are published: zip archives, or a repository with Git LFS."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from emotrace.download_parts import Archive, PointerFolder, Table
from tests.local_server import LocalServer


def publish_archive(server: LocalServer, name: str, files: Mapping[str, bytes], *, sha256: bool = False) -> Archive:
    """Put a zip archive on the server; its part says the md5, and the sha256 where that is asked for."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    content = packed.getvalue()
    server.files[f"/{name}.zip"] = content
    return Archive(
        name=name,
        url=f"{server.url}/{name}.zip",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest() if sha256 else None,
        md5=hashlib.md5(content).hexdigest(),
    )


def publish_folder(server: LocalServer, name: str, suffix: str, files: Mapping[str, bytes]) -> PointerFolder:
    """Put recordings on the server, by name without suffix, with their pointers and the list of their names."""
    rows = [f'{number},"{file}"' for number, file in enumerate(files, start=1)]
    server.files["/raw/SentenceFilenames.csv"] = "\n".join(['"Stimulus_Number","Filename"', *rows]).encode()
    for file, content in files.items():
        server.files[f"/raw/{name}/{file}{suffix}"] = pointer(content)
        server.files[f"/media/{name}/{file}{suffix}"] = content
    return PointerFolder(
        name=name,
        suffix=suffix,
        names=Table("SentenceFilenames.csv", f"{server.url}/raw/SentenceFilenames.csv", 100),
        pointers_url=f"{server.url}/raw/{name}/",
        contents_url=f"{server.url}/media/{name}/",
        size=sum(map(len, files.values())),
    )


def pointer(content: bytes) -> bytes:
    """Return what Git LFS keeps in the place of a file."""
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
