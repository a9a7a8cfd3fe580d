"""A corpus of feature tables -> one file per clip on the label clock, and recordings in memory as of any other corpus.

The columns of a table are of any size, action units beside millimetres: each is standardised by the clips to learn
from. That is done here, and not in the system, as only some systems standardise what they read.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emotrace.corpora import feature_tables
from emotrace.corpora.feature_rows import Modality
from emotrace.corpora.feature_tables import TabledClip
from emotrace.corpora.own_labels import LABEL_RATE_HZ
from emotrace.errors import CorpusError
from emotrace.layers.heads import class_points
from emotrace.training.arrays import Arrays, origin_of, read_tensors, write_arrays
from emotrace.training.default import RECIPE
from emotrace.training.extraction import origin
from emotrace.training.tracks import Track
from emotrace.types import FloatArray
from emotrace.writing import atomic_path

REPORT = "features.csv"
SCALES = "scales.safetensors"
_LEAST_SHARE = 1e-6
"""Of its mean, by which a column must vary: float32 tells no less apart."""
_LARGEST = 10.0
"""Standard deviations that a value may be off; a tracker that has lost a face writes numbers of any size."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What the columns of a modality are over the clips to learn from.

    Attributes:
        names: [D] of the columns; empty where no clip has the modality.
        mean: [D].
        deviation: [D] standard deviations; 0 of a column that never changes.
    """

    names: tuple[str, ...]
    mean: Tensor
    deviation: Tensor

    def scores(self, values: Tensor) -> Tensor:
        """Return values [..., D] in standard deviations from the mean; zero where there is no deviation."""
        known = self.deviation > 0
        scores = (values - self.mean) / torch.where(known, self.deviation, 1.0)
        return torch.where(known, scores.clamp(-_LARGEST, _LARGEST), 0.0)


def prepare_tables(
    clips: Sequence[TabledClip], training: Sequence[TabledClip], folder: Path, progress: Callable[[int, int], None]
) -> None:
    """Make the files that are not there yet, and of what is learnt from the scales and a table of what was found.

    Args:
        clips: of all roles.
        training: those to learn from; none where a split is judged alone: its scales are there already.
        folder: of the features.
        progress: told how many clips are done, of how many.
    """
    for done, clip in enumerate(clips, start=1):
        path, wanted = _stored(folder, clip), origin(clip, RECIPE)
        if origin_of(path) != wanted:
            found = feature_tables.load(clip)
            arrays: Arrays = {"voice": found.voice, "voice_index": found.voice_index}
            arrays |= {"face": found.face, "face_index": found.face_index}
            write_arrays(path, arrays, wanted)
        progress(done, len(clips))
    if training:
        _write_scales(training, folder)
        _write_report(clips, folder / REPORT)


def load_table(folder: Path, clip: TabledClip, classes: tuple[str, ...], *, slices: bool) -> Track:
    """Return a clip as a recording.

    Args:
        folder: that `prepare_tables` filled.
        clip: the clip.
        classes: of the corpus.
        slices: whether a voice input is a slice of one row, as for systems that read spectrograms.

    Raises:
        CorpusError: there are no scales, or the clip has other columns than those that were learnt from.
    """
    kept = read_tensors(_stored(folder, clip))
    voice = _scale(folder, clip, "voice", clip.voice_names).scores(kept["voice"])
    face = _scale(folder, clip, "face", clip.face_names).scores(kept["face"])
    emotion, arousal_valence = _labels(clip, classes)
    audio_valid = kept["voice_index"] >= 0
    return Track(
        name=clip.name,
        subject=clip.subject,
        voice=voice[:, None] if slices else voice,
        voice_index=kept["voice_index"],
        audio_valid=audio_valid,
        speech_energy=audio_valid.float(),
        waveform=torch.zeros(0, dtype=torch.int16),
        crops=torch.zeros((len(face), 1, 1), dtype=torch.uint8),
        regions=face[:, None],
        face_index=kept["face_index"],
        emotion=emotion,
        arousal_valence=arousal_valence,
        reliability=torch.full((clip.ticks, 2), torch.nan),
        ticks_per_second=LABEL_RATE_HZ,
        classes=classes,
        label=-1 if clip.label is None else classes.index(clip.label),
        dialogue=clip.dialogue,
    )


def _stored(folder: Path, clip: TabledClip) -> Path:
    return folder / "tables" / f"{clip.name}.safetensors"


def _labels(clip: TabledClip, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return classes [T] and arousal and valence [T, 2]."""
    if clip.label is not None:
        place = classes.index(clip.label)
        return torch.full((clip.ticks,), place), class_points(classes)[place].nan_to_num().expand(clip.ticks, 2).clone()
    labels = torch.full((clip.ticks, 2), torch.nan)
    if clip.labels is not None:
        known = torch.from_numpy(clip.labels)[: clip.ticks]
        labels[: len(known)] = known
    return torch.full((clip.ticks,), -1), labels


def _write_scales(training: Sequence[TabledClip], folder: Path) -> None:
    wanted = hashlib.sha256(" ".join(origin(clip, RECIPE) for clip in training).encode()).hexdigest()
    if origin_of(folder / SCALES) == wanted:
        return
    arrays: Arrays = {}
    for modality, names in (("voice", training[0].voice_names), ("face", training[0].face_names)):
        mean, deviation = _moments([_stored(folder, clip) for clip in training], modality)
        arrays |= {f"{modality}_mean": mean, f"{modality}_deviation": deviation}
        arrays[f"{modality}_names"] = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
    write_arrays(folder / SCALES, arrays, wanted)


def _moments(paths: Sequence[Path], modality: str) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation [D] over all rows, read one file after the other."""
    count, start, total, squares = 0, np.zeros(1), np.zeros(1), np.zeros(1)
    for path in paths:
        rows = read_tensors(path)[modality].double().numpy()
        if not count and len(rows):
            start = rows[0]  # squares of what is far from zero would drown what they vary by
        count += len(rows)
        total, squares = total + (rows - start).sum(axis=0), squares + np.square(rows - start).sum(axis=0)
    moved = total / max(1, count)
    mean, deviation = start + moved, np.sqrt(np.maximum(squares / max(1, count) - np.square(moved), 0))
    deviation[deviation <= _LEAST_SHARE * np.abs(mean)] = 0
    return mean.astype(np.float32), deviation.astype(np.float32)


def _scale(folder: Path, clip: TabledClip, modality: Modality, names: tuple[str, ...]) -> Scale:
    """Return the scale of a modality, of the same columns as the clip's where it has any.

    Raises:
        CorpusError: there is none, or it is of other columns.
    """
    path = folder / SCALES
    if not path.is_file():
        raise CorpusError(
            f"{path} is missing, which tells how features were scaled: copy it there from the folder features of the "
            "training or the comparison."
        )
    kept = read_tensors(path)
    learnt = tuple(json.loads(kept[f"{modality}_names"].numpy().tobytes()))
    if names and names != learnt:
        other = next((name for name in names if name not in learnt), "the same in another order")
        raise CorpusError(
            f"{clip.name} has {len(names)} {modality} columns of features ({other[:60]}, ...), but {len(learnt)} were "
            "learnt from: extract its features with the same tool and settings."
        )
    return Scale(learnt, kept[f"{modality}_mean"], kept[f"{modality}_deviation"])


def _write_report(clips: Sequence[TabledClip], path: Path) -> None:
    rows = feature_tables.report(clips)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
