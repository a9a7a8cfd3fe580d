"""Aff-Wild2 with the valence and arousal of the ABAW challenges, on disk -> recordings with labels for every frame.

Annotations are text files `NAME.txt` in `Train_Set` and `Validation_Set`, a line per video frame, valence first: the
columns are turned round here. -5 marks a frame that was not labelled; it becomes a row of NaN. The labels of the
official test set are not handed out, and its videos are not listed. The videos stand in folders such as `batch1`. The
cropped and aligned faces that the challenge hands out as well are not needed: faces are found in the videos.

Names that end in _left or _right belong to one of two people in one video. That video is then read by halves of its
pictures; where only one of the two has an ending, the other name is taken to mean the other side (our inference).
People who move to the other side, or a cut to one of them alone, are not followed; the sound has both. A video cut to
one person, under the person's own name such as `video55_left.mp4`, is taken in preference, whole.

Layout, pairs of names and the splits into folds were read in public code for this corpus (sucv/ABAW2 and others).

D. Kollias, S. Zafeiriou, "Expression, affect, action unit recognition: Aff-Wild2, multi-task learning and ArcFace",
BMVC 2019. The licence forbids to pass on the recordings, also in parts.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from emotrace.corpora.excerpt import Half
from emotrace.corpora.rated import RatedRecording
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError, MediaError
from emotrace.media import ClipInfo, open_clip
from emotrace.types import FloatArray

LICENCE = "end user licence agreement: research only, not to be passed on"
CITATION = "Kollias & Zafeiriou, BMVC 2019"
HOMEPAGE = "https://ibug.doc.ic.ac.uk/resources/aff-wild2/"
LAYOUT = """\
Aff-Wild2/
  batch1/NAME.mp4, batch2/NAME.avi ...      the videos, in any folders
  VA_Set/Train_Set/NAME.txt ...             first line valence,arousal, then a line per video frame, -5 for unlabelled
  VA_Set/Validation_Set/NAME.txt ...
VA_Set may be called VA_Estimation_Challenge and lie deeper, as in "6th ABAW Annotations/VA_Estimation_Challenge".
NAME_left.txt and NAME_right.txt are the two people of one video NAME.mp4.
Folders that begin with cropped are not read."""
UNLABELLED = -5.0
NUM_FOLDS = 6

_HINT = "--root must name the folder that holds the videos and VA_Set with Train_Set and Validation_Set."
_SPLITS = {"train_set": "train", "validation_set": "validation"}
_SIDED = re.compile(r"(?P<video>.+)_(?P<half>left|right)")
_OTHER: dict[str, Half] = {"left": "right", "right": "left"}
_MAX_DEPTH = 4
_MAX_LABEL_BYTES = 2**25
_RATE_SLACK = 0.05
_NUM_NAMED_PROBLEMS = 4


@dataclass(frozen=True)
class _Trial:
    """One file of annotations, and what it says which part of which video."""

    name: str
    split: str
    annotation: Path
    video: Path
    half: Half | None


def read(root: Path) -> list[RatedRecording]:
    """List the labelled recordings, training before validation, in order of their names.

    Their labels may have NaN rows, other than those of most corpora. The subject is the video, so the two people of one
    video are one subject; people who are in several videos are not known by the files.

    Raises:
        CorpusError: annotations or videos are missing or wrong, or the number of lines does not fit a video's length
            and its frame rate by more than 5 %; the message counts all such and names the first.
    """
    recordings, problems = [], []
    infos: dict[Path, ClipInfo] = {}
    for trial in _trials(root):
        try:
            if trial.video not in infos:
                infos[trial.video] = open_clip(trial.video).info
            recordings.append(_recording(trial, infos[trial.video]))
        except (CorpusError, MediaError) as error:
            problems.append(str(error))
    if problems:
        more = len(problems) - _NUM_NAMED_PROBLEMS
        raise CorpusError(
            f"{root} has {len(problems)} problem(s): "
            + " ".join(problems[:_NUM_NAMED_PROBLEMS])
            + (f" And {more} more." if more > 0 else "")
        )
    return recordings


def folds(recordings: Sequence[RatedRecording]) -> list[list[str]]:
    """Return the names in six folds, as Zhang et al. (ABAW 2021) cut the corpus: read in their public code.

    The official training trials, in order of their names, are cut into five parts of nearly equal size (70, 70,
    70, 70 and 71 of 351); the official validation set is the sixth. The two people of a video may so stand in two
    folds.

    Raises:
        CorpusError: there are fewer than five training trials, or there is no validation trial.
    """
    names = {split: sorted(each.name for each in recordings if each.split == split) for split in _SPLITS.values()}
    train, parts = names["train"], NUM_FOLDS - 1
    if len(train) < parts or not names["validation"]:
        raise CorpusError(
            f"{len(train)} training and {len(names['validation'])} validation trials cannot be cut into {NUM_FOLDS} "
            f"folds: expected {parts} and 1 at least; copy the corpus again."
        )
    edges = [place * len(train) // parts for place in range(parts + 1)]
    return [*(train[first:stop] for first, stop in pairwise(edges)), names["validation"]]


def _trials(root: Path) -> Iterator[_Trial]:
    annotations, videos = _found(root)
    texts: dict[str, Path] = {}
    for folder in annotations.values():
        found_here = (each for each in folder.iterdir() if each.suffix == ".txt" and not each.name.startswith("."))
        here = sorted(found_here, key=lambda each: each.stem)
        twice = [each for each in here if each.stem in texts]
        if not here or twice:
            found = f"{twice[0].name}, as the other set does" if twice else "no .txt file"
            raise CorpusError(f"{folder} holds {found}: {_HINT}")
        texts |= {each.stem: each for each in here}
    splits = {folder: split for split, folder in annotations.items()}
    return (_trial(text, splits[text.parent], set(texts), videos) for text in texts.values())


def _trial(text: Path, split: str, names: set[str], videos: dict[str, Path]) -> _Trial:
    sided = _SIDED.fullmatch(text.stem)
    half: Half | None = None
    own = videos.get(text.stem)
    if sided and own is None:
        own = videos.get(sided["video"])
        half = "left" if sided["half"] == "left" else "right"
    elif not sided:
        beside = [side for side in _OTHER if f"{text.stem}_{side}" in names and f"{text.stem}_{side}" not in videos]
        half = _OTHER[beside[0]] if len(beside) == 1 else None
    if own is None:
        raise CorpusError(f"There is no video {text.stem}.mp4 or .avi for {text}: {_HINT}")
    return _Trial(text.stem, split, text, own, half)


def _found(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the folder of the annotations of each split, and the videos by name."""
    sets: list[dict[str, Path]] = []
    videos: dict[str, Path] = {}
    for place, folders, names in _walk(root):
        parts = {_SPLITS[each.lower()]: place / each for each in folders if each.lower() in _SPLITS}
        if len(parts) == len(_SPLITS) and (place == root or place.name.lower().startswith("va")):
            sets.append({split: parts[split] for split in _SPLITS.values()})
        for path in (place / name for name in names):
            if path.suffix.lower() not in (".mp4", ".avi") or path.name.startswith("."):
                continue
            if videos.setdefault(path.stem, path) != path:
                raise CorpusError(f"{path} and {videos[path.stem]} are called the same: keep one of the two.")
    if len(sets) != 1:
        found = " and ".join(str(each["train"].parent) for each in sets) or "no folder of annotations"
        raise CorpusError(f"{root} holds {found}, expected one: {_HINT}")
    return sets[0], videos


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield folders with what is in them, links followed, each once, and not the millions of cropped pictures."""
    visited: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        depth = len(Path(place).relative_to(root).parts)
        if depth > _MAX_DEPTH or os.path.realpath(place) in visited:
            folders.clear()
            continue
        visited.add(os.path.realpath(place))
        folders[:] = sorted(each for each in folders if not each.lower().startswith(("cropped", ".")))
        yield Path(place), folders, sorted(names)


def _recording(trial: _Trial, info: ClipInfo) -> RatedRecording:
    labels = _labels(trial.annotation)
    duration, frame_rate = info.duration_seconds, info.frame_rate
    if not duration or not frame_rate:
        raise CorpusError(f"{trial.video} declares no length or no frame rate: convert it to mp4.")
    rate = len(labels) / duration
    if abs(rate - frame_rate) > _RATE_SLACK * frame_rate:
        raise CorpusError(
            f"{trial.annotation} has {len(labels)} lines for {duration:.1f} s at {frame_rate:.2f} frames per second, "
            f"expected about {round(duration * frame_rate)}: check that {trial.video.name} is the original video."
        )
    sided = _SIDED.fullmatch(trial.name)
    return RatedRecording(
        name=trial.name,
        subject=f"affwild2-{sided['video'] if sided else trial.name}",
        split=trial.split,
        video=trial.video if info.has_video else None,
        audio=trial.video if info.has_audio else None,
        label_rate_hz=rate,
        labels=labels,
        half=trial.half,
    )


def _labels(path: Path) -> FloatArray:
    """Return [T, 2] arousal and valence; NaN where a frame is not labelled."""
    text = read_text(path, _MAX_LABEL_BYTES)
    try:
        header, *lines = [line for line in text.splitlines() if line.strip()] or [""]
        if header.replace(" ", "").lower() != "valence,arousal":
            raise CorpusError(f"{path} begins with {header[:60]!r}, expected valence,arousal: {_HINT}")
        values = np.array([line.split(",") for line in lines], dtype=np.float64)
    except ValueError as error:
        raise CorpusError(f"{path} is not a table of numbers: {str(error)[:200]}. Copy it again.") from error
    if values.ndim != 2 or values.shape[1] != 2:
        raise CorpusError(f"{path} has no line of two numbers under its header: copy it again.")
    unlabelled = (values == UNLABELLED).any(axis=1)
    wrong = ~((np.abs(values) <= 1).all(axis=1) | unlabelled)
    if wrong.any():
        row = int(wrong.argmax())
        raise CorpusError(
            f"{path} holds {values[row].tolist()} in row {row}, expected numbers in [-1, 1] or {UNLABELLED:g}: "
            "copy it again."
        )
    values[unlabelled] = np.nan
    return values[:, ::-1].astype(np.float32)
