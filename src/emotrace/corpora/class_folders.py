"""A folder for each class with clips in it, and lists or digests that split them -> clips with class and split.

Reads names and lists alone, opens no clip.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError

SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".flv", ".wmv", ".mpg", ".3gp")
MAX_FILES = 100_000
"""In one folder."""
MAX_LIST_BYTES = 2**20

_ENTRY = re.compile(r"(?P<folder>[^/\\\0]+)/(?P<name>[^/\\\0]+?)(?:\s+\d+)?")
"""A line of a list: CLASS/NAME, and in some lists the number of the class."""
_MAX_STEM = 80


@dataclass(frozen=True)
class ClassFile:
    """One clip in the folder of its class.

    Attributes:
        label: of the folder.
        key: folder and name without suffix, as lists name it.
        path: the file.
    """

    label: str
    key: tuple[str, str]
    path: Path

    @property
    def stem(self) -> str:
        """The name of the clip without its suffix."""
        return self.key[1]

    def clip(self, *, split: str, prefix: str = "") -> LabelledClip:
        """Return it as a clip with its class.

        Whether the file holds sound, and pictures, is seen when it is opened.

        Args:
            split: as in `LabelledClip`.
            prefix: of the name, where the same file name may stand in two places.
        """
        stem = re.sub(r"[^\w-]+", "-", self.stem, flags=re.ASCII)
        if stem != self.stem or len(stem) > _MAX_STEM:  # then only the digest keeps two names apart
            stem = f"{stem[:_MAX_STEM]}-{hashlib.sha256(self.stem.encode()).hexdigest()[:8]}"
        name = f"{prefix}{self.label}-{stem}"
        return LabelledClip(name, name, split, self.label, self.path, self.path)


def class_files(root: Path, labels: Mapping[str, str], hint: str) -> list[ClassFile]:
    """List the clips of every class, in order of the classes and of their names.

    Args:
        root: the folder that holds the folders of the classes.
        labels: the class of every folder, whose name is in small letters here and in any letters on disk.
        hint: ends the messages, says what the layout should be.

    Raises:
        CorpusError: a folder is missing, holds no clip, more than `MAX_FILES`, or two of one name.
    """
    if not root.is_dir():
        raise CorpusError(f"{root} is {'not a folder' if root.exists() else 'missing'}: {hint}")
    folders = {each.name.lower(): each for each in sorted(root.iterdir()) if each.is_dir()}
    missing = [name for name in labels if name not in folders]
    if missing:
        found = _shown(each.name for each in folders.values())
        raise CorpusError(f"{root} holds no folder {_shown(missing)}, found {found or 'no folder at all'}: {hint}")
    return [file for name, label in labels.items() for file in _files_of(folders[name], label, hint)]


def _files_of(folder: Path, label: str, hint: str) -> list[ClassFile]:
    entries = list(islice(folder.iterdir(), MAX_FILES + 1))
    if len(entries) > MAX_FILES:
        raise CorpusError(f"{folder} holds more than {MAX_FILES} files: {hint}")
    paths = sorted(each for each in entries if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))
    if not paths:
        raise CorpusError(f"{folder} holds no clip, expected files such as *.mp4 or *.avi: {hint}")
    twice = [stem for stem, count in Counter(path.stem for path in paths).items() if count > 1]
    if twice:
        raise CorpusError(f"{folder} holds two files for {_shown(twice)}: keep one of each.")
    return [ClassFile(label, (folder.name.lower(), path.stem), path) for path in paths]


def listed_splits(files: Sequence[ClassFile], root: Path, number: int) -> dict[ClassFile, str] | None:
    """Return which files the lists `trainlistNN.txt` and `testlistNN.txt` put into "train" and "test".

    Args:
        files: of all classes; those that stand in no list are left out.
        root: holds the lists, itself or in its folder `annotations`.
        number: NN.

    Returns:
        None where neither list is there.

    Raises:
        CorpusError: one of the two is missing or not such a list, names a file that is not there or no clip of a class,
            or both name the same clip.
    """
    names = {split: f"{split}list{number:02d}.txt" for split in ("train", "test")}
    places = [
        place for place in (root, root / "annotations") if any((place / each).exists() for each in names.values())
    ]
    if not places:
        return None
    # A list may give the name with or without its suffix.
    known = {file.key: file for file in files} | {(file.key[0], file.path.name): file for file in files}
    splits: dict[ClassFile, str] = {}
    for split, name in names.items():
        path = places[0] / name
        entries = _entries(path)
        missing = ["/".join(entry) for entry in entries if entry not in known]
        if missing:
            raise CorpusError(
                f"{path} names {len(missing)} clip(s) that are not in {root}, such as {missing[0][:200]!r}: "
                "copy the corpus again, or take the lists away to have splits drawn."
            )
        for entry in entries:
            if splits.setdefault(known[entry], split) != split:
                raise CorpusError(f"{'/'.join(entry)} stands in both lists of {places[0]}: correct the lists.")
        unnamed = {file.label for file in files} - {known[entry].label for entry in entries}
        if unnamed:
            raise CorpusError(f"{path} names no clip of {_shown(sorted(unnamed))}: copy the list again.")
    return splits


def _entries(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise CorpusError(f"{path} is missing beside its other half: expected both lists, or none.")
    lines = read_text(path, MAX_LIST_BYTES).splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None or entry["folder"] == ".." or entry["name"] == "..":
            raise CorpusError(f"{path}, line {number}: {line[:200]!r} is not CLASS/NAME: correct the list.")
        entries.append((entry["folder"].lower(), entry["name"]))
    return entries


def drawn(files: Iterable[ClassFile], share: float, seed: str) -> set[ClassFile]:
    """Draw a share of every class, one file at least, by digests of the names: the same on every machine.

    Args:
        files: what to draw from.
        share: between 0 and 1.
        seed: another one draws others.

    Raises:
        CorpusError: a class has a single file, which would leave none.
    """
    by_label = defaultdict(list)
    for file in files:
        by_label[file.label].append(file)
    chosen: set[ClassFile] = set()
    for label, members in by_label.items():
        if len(members) < 2:
            raise CorpusError(
                f"There is one clip of {label} left to draw from, {members[0].path}: expected two at least; "
                "copy the corpus again."
            )
        members.sort(key=lambda file: hashlib.sha256(f"{seed} {'/'.join(file.key)}".encode()).digest())
        chosen.update(members[: max(1, round(share * len(members)))])
    return chosen


def _shown(names: Iterable[str]) -> str:
    """Return a few of many names for a message."""
    first = list(islice(names, 9))
    return ", ".join(each[:60] for each in first[:8]) + (", ..." if len(first) > 8 else "")
