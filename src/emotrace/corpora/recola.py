"""RECOLA as the AVEC 2016 challenge lays it out on disk -> recordings with arousal and valence at 25 Hz.

Official layout: `recordings_audio/NAME.wav`, `recordings_video/NAME.mp4`, `ratings_gold_standard/DIMENSION/NAME.arff`,
`ratings_individual/DIMENSION/NAME.csv` (or .arff) of six raters, and provided features in `features_KIND`, where NAME
is `train_1` .. `train_9`, `dev_1` .. `dev_9`, `test_1` .. `test_9`. The labels of the test recordings were never
published. Five minutes each, in French.

F. Ringeval, A. Sonderegger, J. Sauer, D. Lalanne, "Introducing the RECOLA multimodal corpus of remote collaborative
and affective interactions", FG 2013; M. Valstar et al., "AVEC 2016: depression, mood, and emotion recognition workshop
and challenge", AVEC 2016. The licence forbids to pass on the recordings, also in parts.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emotrace.corpora.arff import read_arff
from emotrace.corpora.rated import DIMENSIONS, SPLITS, RatedRecording
from emotrace.corpora.recola_labels import GOLD_STANDARDS, LABEL_RATE_HZ, labels_of
from emotrace.errors import CorpusError, SettingsError
from emotrace.types import FloatArray

LICENCE = "end user licence agreement: research only, not to be passed on"
CITATION = "Ringeval et al., FG 2013; Valstar et al., AVEC 2016"
HOMEPAGE = "https://diuf.unifr.ch/main/diva/recola/"
LAYOUT = """\
recordings_audio/train_1.wav .. train_9.wav, dev_1.wav .. dev_9.wav, test_1.wav .. test_9.wav
recordings_video/train_1.mp4 ...
ratings_gold_standard/arousal/train_1.arff ..., ratings_gold_standard/valence/train_1.arff ...   none of test
ratings_individual/arousal/train_1.csv ..., ratings_individual/valence/train_1.csv ...   of six raters"""
NAMES = tuple(f"{part}_{number}" for part in ("train", "dev", "test") for number in range(1, 10))
LABELLED = NAMES[:18]

_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_NUM_VALIDATION = 2
_NUM_NAMED_PROBLEMS = 4


@dataclass(frozen=True)
class Protocol:
    """How the recordings are split.

    Attributes:
        name: as `read` takes it.
        comparable: whether results stand beside published ones; where not, every result must say so.
        note: what to say with the results.
    """

    name: str
    comparable: bool
    note: str


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "avec2016": Protocol(
            "avec2016",
            comparable=True,
            note="The challenge's own parts; dev is the validation split, and the test labels are withheld.",
        ),
        "liu2021": Protocol(
            "liu2021",
            comparable=False,
            note="Liu & Tang 2021 do not say which 14 recordings they trained on and which 7 they tested on: "
            "split 2:1 here among the labelled ones, not comparable with the figures of the paper.",
        ),
    }
)


@dataclass(frozen=True, eq=False)
class ProvidedFeatures:
    """One file of the features that the challenge hands out.

    Attributes:
        times: [T] seconds.
        values: [T, D]; NaN where the file has no value.
        names: of the D features.
    """

    times: NDArray[np.float64]
    values: FloatArray
    names: tuple[str, ...]


def read(
    root: Path,
    *,
    protocol: str = "avec2016",
    gold: str = "official",
    subjects: tuple[Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> list[RatedRecording]:
    """List the recordings with their labels, by split and number.

    Args:
        root: the folder that holds recordings_audio.
        protocol: one of `PROTOCOLS`; "liu2021" leaves out the recordings without labels.
        gold: one of `recola_labels.GOLD_STANDARDS`.
        subjects: for "liu2021", the names to train on and the names to test on; None: drawn, one third is tested on.
            Two of those to train on become the validation split.
        seed: of what "liu2021" draws.

    Raises:
        CorpusError: something is missing or wrong in the folder, see `check`.
        SettingsError: an unknown protocol or gold standard, or `subjects` does not fit.
    """
    if protocol not in PROTOCOLS:
        raise SettingsError(f"Unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    if protocol == "avec2016":
        if subjects is not None:
            raise SettingsError("The protocol avec2016 has its own subjects: leave them out, or choose liu2021.")
        splits = {name: _SPLITS[name.split("_")[0]] for name in NAMES}
    else:
        splits = _drawn_splits(subjects, seed)
    recordings, problems = _examined(root, gold)
    if problems:
        more = len(problems) - _NUM_NAMED_PROBLEMS
        raise CorpusError(
            f"{root} is not RECOLA as AVEC 2016 lays it out, {len(problems)} problem(s): "
            + " ".join(problems[:_NUM_NAMED_PROBLEMS])
            + (f" And {more} more." if more > 0 else "")
        )
    chosen = [replace(each, split=splits[each.name]) for each in recordings if each.name in splits]
    return sorted(chosen, key=lambda each: SPLITS.index(each.split))


def check(root: Path, *, gold: str = "official") -> list[str]:
    """Return one sentence for everything that `read` would refuse: what is missing, else what is wrong in the labels.

    Raises:
        SettingsError: an unknown gold standard.
    """
    return _examined(root, gold)[1]


def provided_features(root: Path, kind: str, name: str, *, dimension: str = "arousal") -> ProvidedFeatures:
    """Read the features of one recording that the challenge hands out.

    Args:
        root: the folder that holds recordings_audio.
        kind: what follows features_ in the folder's name, such as "audio" or "video_geometric".
        name: one of `NAMES`.
        dimension: one of `DIMENSIONS`; used where the folder holds other features for each.

    Raises:
        CorpusError: there is no such folder or file, or the file is no ARFF file with a column frameTime.
        SettingsError: an unknown name or dimension.
    """
    if name not in NAMES or dimension not in DIMENSIONS:
        raise SettingsError(
            f"{name!r} for {dimension!r}: expected a name such as train_1, and one of {', '.join(DIMENSIONS)}."
        )
    kinds = sorted(each.name.removeprefix("features_") for each in root.glob("features_*") if each.is_dir())
    if kind not in kinds:
        raise CorpusError(
            f"{root} has no features of kind {kind!r}, but {', '.join(kinds) or 'none'}: unpack them there."
        )
    folder = root / f"features_{kind}"
    table = read_arff((folder / dimension if (folder / dimension).is_dir() else folder) / f"{name}.arff")
    times = table.column("frameTime")
    others = [index for index, each in enumerate(table.names) if each != "frameTime"]
    return ProvidedFeatures(
        times=times,
        values=table.numbers[:, others].astype(np.float32),
        names=tuple(table.names[index] for index in others),
    )


def _drawn_splits(subjects: tuple[Sequence[str], Sequence[str]] | None, seed: int) -> dict[str, str]:
    if subjects is None:
        drawn = _shuffled(LABELLED, seed)
        tested, trained = drawn[: len(drawn) // 3], drawn[len(drawn) // 3 :]
    else:
        trained, tested = _shuffled(subjects[0], seed), list(subjects[1])
        wrong = [name for name in (*trained, *tested) if name not in LABELLED]
        if wrong or len({*trained, *tested}) < len(trained) + len(tested):
            raise SettingsError(
                f"subjects must name recordings with labels, train_1 .. train_9 and dev_1 .. dev_9, each once; "
                f"{', '.join(wrong) or 'one is named twice'}: correct the lists."
            )
        if len(trained) < 2 * _NUM_VALIDATION or len(tested) < 2:
            raise SettingsError(
                f"subjects names {len(trained)} recordings to train on and {len(tested)} to test on; "
                f"expected at least {2 * _NUM_VALIDATION} and 2: name more."
            )
    return {
        **dict.fromkeys(trained[:_NUM_VALIDATION], "validation"),
        **dict.fromkeys(trained[_NUM_VALIDATION:], "train"),
        **dict.fromkeys(tested, "test"),
    }


def _shuffled(names: Iterable[str], seed: int) -> list[str]:
    # By digests: NumPy does not promise the same draws in every version.
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())


def _examined(root: Path, gold: str) -> tuple[list[RatedRecording], list[str]]:
    """Return all recordings in the order of `NAMES`, or no recording and the problems."""
    if gold not in GOLD_STANDARDS:
        raise SettingsError(f"Unknown gold standard {gold!r}: choose one of {', '.join(GOLD_STANDARDS)}.")
    problems = _missing(root, gold)
    if problems:
        return [], problems
    recordings = []
    for name in NAMES:
        try:
            recordings.append(_recording(root, name, gold))
        except CorpusError as error:
            problems.append(str(error))
    return ([] if problems else recordings), problems


def _missing(root: Path, gold: str) -> list[str]:
    wanted: list[tuple[Path, tuple[str, ...], tuple[str, ...]]] = [
        (root / "recordings_audio", NAMES, (".wav",)),
        (root / "recordings_video", NAMES, (".mp4",)),
    ]
    for dimension in DIMENSIONS:
        if gold == "official":
            wanted.append((root / "ratings_gold_standard" / dimension, LABELLED, (".arff",)))
        if gold != "official" or (root / "ratings_individual").is_dir():
            wanted.append((root / "ratings_individual" / dimension, LABELLED, (".csv", ".arff")))
    problems = []
    for folder, names, suffixes in wanted:
        if not folder.is_dir():
            problems.append(f"{folder} is missing, with {names[0]}{suffixes[0]} and so on: unpack it there.")
            continue
        for name in names:
            if not any((folder / f"{name}{suffix}").is_file() for suffix in suffixes):
                problems.append(f"{folder / name}{suffixes[0]} is missing: unpack it there.")
    return problems


def _recording(root: Path, name: str, gold: str) -> RatedRecording:
    labels, ratings = labels_of(root, name, gold) if name in LABELLED else (None, None)
    return RatedRecording(
        name=name,
        subject=f"recola-{name}",
        split=_SPLITS[name.split("_")[0]],
        video=root / "recordings_video" / f"{name}.mp4",
        audio=root / "recordings_audio" / f"{name}.wav",
        label_rate_hz=LABEL_RATE_HZ,
        labels=labels,
        ratings=ratings,
    )
