"""A name -> what is known of a corpus: what it holds, who may use it, where it is from, whether a copy is complete."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from emotrace import download_parts
from emotrace.corpora import (
    afew,
    affwild2,
    ave,
    cremad,
    ekman6,
    emogator,
    feature_tables,
    ferplus,
    folder,
    iemocap,
    nemo,
    ravdess,
    recola,
    videoemotion8,
)
from emotrace.corpora.base import Utterance
from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.own_labels import LABEL_RATE_HZ
from emotrace.corpora.rated import RatedRecording
from emotrace.download_parts import DownloadPart
from emotrace.errors import MediaError, SettingsError
from emotrace.media import ClipInfo, open_clip

Task = Literal["trace", "classes", "voices", "faces", "tables"]
"""Arousal and valence over time; a class per clip; an emotion per utterance, sound alone; an emotion per image; of
tables of features the user's choice of the first two."""

MAX_PROBLEMS = 20
"""Of a report are written out."""


@dataclass(frozen=True)
class Entry:
    """What is known of a corpus.

    Attributes:
        name: what the command line calls it.
        title: what its makers call it, and what it holds, in a line.
        task: what can be learnt from it.
        classes: its labels in order; empty where it has arousal and valence over time, or the user's own.
        licence: of whoever wants to use it.
        citation: its paper.
        homepage: where it is asked for or fetched.
        layout: its official layout on disk, a few lines.
        parts: what `corpora download` fetches; empty where its makers hand it out themselves.
    """

    name: str
    title: str
    task: Task
    classes: tuple[str, ...]
    licence: str
    citation: str
    homepage: str
    layout: str
    parts: tuple[DownloadPart, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """What a copy of a corpus holds.

    Attributes:
        name: of the corpus.
        items: recordings, clips, utterances or images, as its reader lists them.
        splits: how many in each split.
        classes: how many of each class; empty where there are none.
        subjects: different people, as far as the corpus tells them apart; 0 where it does not.
        seconds: of all items together, by the headers of their files; None where these were not read or do not say.
        num_problems: files that are missing or unreadable.
        problems: one sentence for each, at most `MAX_PROBLEMS`.
    """

    name: str
    items: int
    splits: Mapping[str, int]
    classes: Mapping[str, int]
    subjects: int
    seconds: float | None
    num_problems: int
    problems: tuple[str, ...]


class _Corpus(Protocol):
    """What every file of a corpus says."""

    LICENCE: str
    CITATION: str
    HOMEPAGE: str
    LAYOUT: str


def _entry(
    name: str,
    title: str,
    task: Task,
    corpus: _Corpus,
    classes: tuple[str, ...] = (),
    parts: tuple[DownloadPart, ...] = (),
) -> Entry:
    texts = (corpus.LICENCE, corpus.CITATION, corpus.HOMEPAGE, corpus.LAYOUT)
    return Entry(name, title, task, classes, *texts, parts)


CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            _entry("recola", "RECOLA as in AVEC 2016: pairs at work, in French", "trace", recola),
            _entry("affwild2", "Aff-Wild2: people in videos from the web", "trace", affwild2),
            _entry("folder", "your own recordings with labels.csv", "trace", folder),
            _entry("features", "your own tables of features with labels.csv", "tables", feature_tables),
            _entry("afew", "AFEW: scenes of feature films", "classes", afew, afew.CLASSES),
            _entry("iemocap", "IEMOCAP: actors in pairs, four emotions", "classes", iemocap, iemocap.CLASSES),
            _entry(
                "iemocap-improvised", "IEMOCAP: what was improvised, four emotions", "classes", iemocap, iemocap.CLASSES
            ),
            _entry("iemocap-6", "IEMOCAP: actors in pairs, six emotions", "classes", iemocap, iemocap.SIX_CLASSES),
            _entry(
                "cremad", "CREMA-D: actors, twelve sentences", "classes", cremad, cremad.CLASSES, download_parts.CREMAD
            ),
            _entry(
                "ravdess", "RAVDESS: actors, two sentences", "classes", ravdess, ravdess.CLASSES, download_parts.RAVDESS
            ),
            _entry(
                "videoemotion8",
                "VideoEmotion-8: videos from the web that raise an emotion",
                "classes",
                videoemotion8,
                videoemotion8.CLASSES,
            ),
            _entry("ekman6", "Ekman-6: videos from the web that raise an emotion", "classes", ekman6, ekman6.CLASSES),
            _entry("ave", "AVE: videos from the web with an event that is seen and heard", "classes", ave, ave.EVENTS),
            _entry("nemo", "nEMO: actors, in Polish", "voices", nemo, nemo.LABELS),
            _entry("emogator", "EmoGator: vocal bursts of volunteers", "voices", emogator, emogator.LABELS),
            _entry("ferplus", "FER+: faces from the web", "faces", ferplus, ferplus.CLASSES),
        )
    }
)
"""Every corpus on disk that emotrace reads, in the order of a listing."""

_CLIPS: Mapping[str, Callable[[Path], list[LabelledClip]]] = MappingProxyType(
    {
        "afew": afew.read,
        "iemocap": iemocap.read,
        "iemocap-improvised": lambda root: iemocap.read(root, improvised_only=True),
        "iemocap-6": lambda root: iemocap.read(root, 6),
        "cremad": cremad.read,
        "ravdess": ravdess.read_clips,
        "videoemotion8": videoemotion8.read,
        "ekman6": ekman6.read,
        "ave": ave.read,
    }
)
_TRACES: Mapping[str, Callable[[Path], list[RatedRecording]]] = MappingProxyType(
    {"recola": recola.read, "affwild2": affwild2.read, "folder": folder.read}
)
_VOICES: Mapping[str, Callable[[Path], list[Utterance]]] = MappingProxyType(
    {"nemo": nemo.read, "emogator": emogator.read}
)


def entry_of(name: str) -> Entry:
    """Return what is known of a corpus.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in CATALOGUE:
        raise SettingsError(f"Unknown corpus {name!r}: choose one of {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def clips_of(name: str, root: Path) -> list[LabelledClip]:
    """List the clips of a corpus with one class each, in its usual protocol.

    Raises:
        SettingsError: there is none of that name with classes.
        CorpusError: the folder is not what the corpus's layout says.
    """
    if name not in _CLIPS:
        raise SettingsError(f"{name!r} is no corpus of clips with classes: choose one of {', '.join(_CLIPS)}.")
    return _CLIPS[name](root)


def check(name: str, root: Path, *, quick: bool = False) -> CheckReport:
    """List a copy of a corpus and look whether all its files are there and can be read.

    Args:
        name: one of `CATALOGUE`.
        root: the folder in the corpus's layout.
        quick: look only whether the files are there and not empty; without it the header of each is read. The images
            of FER+ are read whole in both.

    Raises:
        SettingsError: there is no corpus of that name.
        CorpusError: the folder is not what the corpus's layout says, so that it cannot be listed.
    """
    items = list(_items(entry_of(name), root))
    files = dict.fromkeys(path for item in items for path in item.files)
    found = {path: _presence(path) if quick else _header(path) for path in files}
    problems = [each for each in found.values() if isinstance(each, str)]
    problems += [f"{item.name} has neither sound nor pictures." for item in items if not item.files and item.media]
    lengths = [item.seconds_in(found) for item in items]
    seconds = [length for length in lengths if length is not None]
    return CheckReport(
        name=name,
        items=len(items),
        splits=_counts(item.split for item in items),
        classes=_counts(item.label for item in items),
        subjects=len({item.subject for item in items} - {None}),
        seconds=sum(seconds) if items and len(seconds) == len(items) else None,
        num_problems=len(problems),
        problems=tuple(problems[:MAX_PROBLEMS]),
    )


@dataclass(frozen=True)
class _Item:
    """One item of any corpus; `media` tells whether it should have files that `open_clip` reads."""

    name: str
    split: str
    label: str | None = None
    subject: str | None = None
    files: tuple[Path, ...] = ()
    stretch: tuple[float, float | None] = (0.0, None)
    media: bool = True

    def seconds_in(self, found: Mapping[Path, ClipInfo | str | None]) -> float | None:
        """Return how long it is, by the headers of its files; None where they do not say."""
        start, end = self.stretch
        if not self.media:
            return end  # as its reader says, where it does
        infos = [info for path in self.files if isinstance(info := found[path], ClipInfo)]
        lengths = [info.duration_seconds for info in infos if info.duration_seconds is not None]
        if not lengths:
            return None
        return (max(lengths) if end is None else end) - start


def _items(entry: Entry, root: Path) -> Iterator[_Item]:
    match entry.task:
        case "classes":
            for clip in clips_of(entry.name, root):
                files = _files(clip.video, clip.audio)
                stretch = (clip.start_seconds, clip.end_seconds)
                yield _Item(clip.name, clip.split, clip.label, clip.subject, files, stretch)
        case "trace":
            for recording in _TRACES[entry.name](root):
                files = _files(recording.video, recording.audio)
                yield _Item(recording.name, recording.split, None, recording.subject, files)
        case "tables":
            yield from _tabled(root)
        case "voices":
            for utterance in _VOICES[entry.name](root):
                path = utterance.path
                yield _Item(path.name, utterance.split, utterance.label, utterance.speaker, (path,))
        case "faces":
            yield from _images(root)


def _tabled(root: Path) -> Iterator[_Item]:
    for clip in feature_tables.read(root):  # which reads every file, and refuses those that are damaged
        stretch = (0.0, clip.ticks / LABEL_RATE_HZ)
        yield _Item(clip.name, clip.split, clip.label, clip.subject, stretch=stretch, media=False)


def _images(root: Path) -> Iterator[_Item]:
    for split in ferplus.FOLDERS:
        for winner in ferplus.read(root, split).majority().tolist():
            label = ferplus.CLASSES[winner] if winner >= 0 else "without a majority"
            yield _Item("image", split, label, media=False)


def _files(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for path in paths if path is not None))


def _presence(path: Path) -> str | None:
    """Say what is wrong with a file that is not opened; None where nothing shows."""
    try:
        if not path.is_file():
            return f"{path} is missing."
        return None if path.stat().st_size else f"{path} is empty."
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}."


def _header(path: Path) -> ClipInfo | str:
    """Return what a file says of itself, or what is wrong with it."""
    try:
        return open_clip(path).info
    except MediaError as error:
        return str(error)


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))
