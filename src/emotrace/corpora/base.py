"""What every corpus of voices gives: utterances with an emotion, a speaker and a split. No torch."""

import os
from dataclasses import dataclass
from pathlib import Path

from emotrace.errors import CorpusError


@dataclass(frozen=True)
class Utterance:
    """One recorded utterance or vocal burst.

    Attributes:
        path: the audio file.
        label: one of `labels.VOICE_CLASSES`.
        speaker: unique over all corpora.
        corpus: the corpus's short name.
        split: "train", "validation" or "test"; no speaker stands in two.
    """

    path: Path
    label: str
    speaker: str
    corpus: str
    split: str


def files(folder: Path, suffixes: tuple[str, ...], hint: str) -> list[Path]:
    """Return the audio files under a folder in order of their names.

    Raises:
        CorpusError: there is none; the message ends with `hint`, which says what the layout should be.
    """
    found: list[Path] = []
    visited: set[str] = set()
    # os.walk follows linked folders, as corpora on shared disks often are; Path.rglob does not before Python 3.13.
    for place, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in visited:  # a link back up, or a second link to the same folder
            folders.clear()
            continue
        visited.add(os.path.realpath(place))
        found += [Path(place) / name for name in names if name.lower().endswith(suffixes)]
    if not found:
        raise CorpusError(f"{folder} holds no {' or '.join(suffixes)} file: {hint}")
    return sorted(found)
