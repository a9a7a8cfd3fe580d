"""What was typed (files, folders, globs) -> jobs: which file is read, and where its results go."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MEDIA_SUFFIXES = frozenset(
    """.mp4 .m4v .mov .mkv .webm .avi .flv .f4v .wmv .asf .mpg .mpeg .ts .mts .m2ts .vob .3gp .3g2 .ogv .mxf .dv
    .wav .mp3 .m4a .aac .flac .ogg .oga .opus .wma .aif .aiff .ac3 .amr .caf""".split()
)
"""What is taken from a folder. A file that is named itself is tried whatever its suffix."""

ANNOTATED_SUFFIX = ".annotated.mp4"
"""How our own videos end: they are results, never inputs of a folder."""

PARTIAL_SUFFIX = ".csv.partial"
"""How the rows end that are known while a recording is analysed."""


@dataclass(frozen=True)
class Job:
    """One input.

    Attributes:
        source: the media file; it need not exist.
        target: path of the results without the suffix of their format.
    """

    source: Path
    target: Path

    def result(self, suffix: str) -> Path:
        """Return the path of one result; the name of the input may hold dots."""
        return self.target.with_name(self.target.name + suffix)


@dataclass(frozen=True)
class _Found:
    source: Path
    relative: Path
    """Of the source, below the folder that was given; the name alone for a file that was given."""


def rows_kept(partial: Path) -> str:
    """Return how a failure goes on that leaves the rows so far."""
    return f"; the rows so far are in {partial}"


def find_jobs(inputs: Sequence[str], output: Path) -> list[Job]:
    """Return one job per distinct file, in the order given, folders in order of their names.

    Results mirror the tree below each folder. A result is named by the stem of its input; where another media file
    beside it has the same stem, by its whole name (`talk.mov.csv`), and where two inputs from different folders
    would still meet, by the folder too. What matches nothing stays as a job, to be reported as missing.
    """
    found: dict[str, _Found] = {}
    for text in inputs:
        for item in _expand(text, output):
            found.setdefault(os.path.realpath(item.source), item)
    items = list(found.values())
    seen: dict[Path, dict[str, set[str]]] = {}
    names = [item.relative if _has_twin(item, seen) else item.relative.with_suffix("") for item in items]
    names = _apart(names, [item.relative for item in items])
    names = _apart(names, [Path(item.source.absolute().parent.name) / item.relative for item in items])
    return [Job(item.source, output / name) for item, name in zip(items, _numbered(names), strict=True)]


def _expand(text: str, output: Path) -> Iterator[_Found]:
    path = Path(text)
    if path.is_dir():
        yield from _walk(path, output)
    elif path.exists() or not glob.has_magic(text):
        yield _Found(path, Path(path.name))
    else:
        yield from _matches(text, output)


def _matches(pattern: str, output: Path) -> Iterator[_Found]:
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    matches = sorted(Path(match) for match in glob.iglob(pattern, recursive=True))
    if not matches:
        yield _Found(Path(pattern), Path(Path(pattern).name))
    for match in matches:
        if match.is_dir():
            if "**" not in parts:  # with ** the files below are matches themselves
                yield from (_Found(f.source, match.relative_to(root) / f.relative) for f in _walk(match, output))
        elif _is_media(match):
            yield _Found(match, match.relative_to(root))


def _walk(folder: Path, output: Path) -> Iterator[_Found]:
    """Yield the media files below a folder; linked folders are followed, each real folder is seen once."""
    own_results = os.path.realpath(output)
    seen = {own_results} - {os.path.realpath(folder)}
    empty = True
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if _is_media(path):
                empty = False
                yield _Found(path, path.relative_to(folder))
    if empty:
        yield _Found(folder, Path(folder.absolute().name))


def _is_media(path: Path) -> bool:
    return (
        path.suffix.lower() in MEDIA_SUFFIXES
        and not path.name.startswith(".")
        and not path.name.lower().endswith(ANNOTATED_SUFFIX)
    )


def _has_twin(item: _Found, seen: dict[Path, dict[str, set[str]]]) -> bool:
    """Look on the disk, not at this run: the name must not depend on what else is analysed today."""
    folder = item.source.parent
    if folder not in seen:
        seen[folder] = _media_by_stem(folder)
    return bool(seen[folder].get(item.source.stem.lower(), set()) - {item.source.name})


def _media_by_stem(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with suppress(OSError):
        for name in os.listdir(folder):
            if _is_media(Path(name)):
                found.setdefault(Path(name).stem.lower(), set()).add(name)
    return found


def _apart(names: list[Path], longer: list[Path]) -> list[Path]:
    """Give every name that stands twice its longer form; upper and lower case are one on many disks."""
    counts = Counter(str(name).lower() for name in names)
    return [other if counts[str(name).lower()] > 1 else name for name, other in zip(names, longer, strict=True)]


def _numbered(names: list[Path]) -> list[Path]:
    taken: set[str] = set()
    free = []
    for name in names:
        candidate, number = name, 1
        while str(candidate).lower() in taken:
            number += 1
            candidate = name.with_name(f"{name.name}-{number}")
        taken.add(str(candidate).lower())
        free.append(candidate)
    return free
