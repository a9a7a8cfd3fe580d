"""A corpus by its name -> a study: who is learnt from, stopped by and judged on; folds, and single splits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from emotrace.catalogue import CATALOGUE, clips_of
from emotrace.corpora import affwild2, feature_tables, recola, synthetic, videoemotion8
from emotrace.corpora import folder as own_folder
from emotrace.corpora.composed import Conditions
from emotrace.corpora.feature_tables import TabledClip
from emotrace.corpora.labelled import BACKGROUND, LabelledClip
from emotrace.corpora.rated import SPLITS, RatedRecording, of_split
from emotrace.errors import CorpusError, SettingsError
from emotrace.evaluation import COMPOSED_COUNT, COMPOSED_SEED
from emotrace.labels import EMOTIONS
from emotrace.training.default import TRAINING_CONDITIONS
from emotrace.training.extraction import ComposedRecording, Item
from emotrace.training.settings import Settings, read
from emotrace.training.splitting import by_fold, by_split, within_persons
from emotrace.training.study import CLASS_CORPORA, CORPORA, EVENT_CORPORA, FOLDED_CORPORA, ROLES, TABLES, Study

_COMPOSED_COUNTS: Mapping[str, int] = {"train": 300, "validation": 60, "test": COMPOSED_COUNT}
_SMALL_COMPOSED_COUNTS: Mapping[str, int] = {"train": 12, "validation": 4, "test": 4}
_COMPOSED_SEEDS: Mapping[str, int] = {"train": 30_000, "validation": 10_000, "test": COMPOSED_SEED}
_SYNTHETIC_SECONDS, _SMALL_SYNTHETIC_SECONDS = 300.0, 12.0


class ChallengeSettings(Settings):
    """How RECOLA is split and rated; see `corpora/recola.py`."""

    protocol: Literal["avec2016", "liu2021"] = "avec2016"
    gold: Literal["official", "mean", "centred"] = "official"
    train: tuple[str, ...] | None = Field(None, description="names to train on, for liu2021; drawn without them")
    test: tuple[str, ...] | None = None
    seed: int = Field(0, ge=0, description="of what liu2021 draws")


def challenge_settings(text: str) -> ChallengeSettings:
    """Return the settings that a protocol's name, or a YAML file of their shape, stands for.

    Raises:
        SettingsError: it is neither, or the file holds something else.
    """
    if text in recola.PROTOCOLS:
        return ChallengeSettings.model_validate({"protocol": text})
    if not Path(text).is_file():
        raise SettingsError(f"--protocol {text}: expected one of {', '.join(recola.PROTOCOLS)}, or a YAML file.")
    return read(ChallengeSettings, Path(text))


def chosen_protocol(text: str | None, corpus: str) -> tuple[ChallengeSettings, bool]:
    """Return what a protocol says of RECOLA, and whether clips are split within persons; None for the usual one.

    Raises:
        SettingsError: it is none of the corpus's.
    """
    if corpus in CLASS_CORPORA:
        if text not in (None, *_PERSON_PROTOCOLS):
            raise SettingsError(f"--protocol {text}: expected one of {', '.join(_PERSON_PROTOCOLS)} for {corpus}.")
        return ChallengeSettings(), text == "person-shared"
    if text in _PERSON_PROTOCOLS:
        raise SettingsError(
            f"--protocol {text}: {corpus} is not split so; it is for corpora of clips with one class each: "
            f"{', '.join(CLASS_CORPORA)}."
        )
    return challenge_settings(text or "avec2016"), False


_PERSON_PROTOCOLS = ("person-disjoint", "person-shared")


def open_study(
    corpus: str,
    root: Path | None,
    output: Path,
    *,
    small: bool = False,
    challenge: ChallengeSettings | None = None,
    shared_persons: bool = False,
) -> Study:
    """Return a corpus by its name, with its roles.

    Args:
        corpus: one of `CORPORA`.
        root: its folder in the official layout; of "composed" the folder with `ferplus`, `ravdess` and `nemo`. For
            "synthetic" the place where it is, or is generated; None for a folder inside `output`.
        output: where the features go.
        small: few or short recordings, for a try.
        challenge: of RECOLA and what is generated like it; None for the protocol of AVEC 2016.
        shared_persons: of a corpus of classes: split the clips of each person, so that everybody who is judged was
            also learnt from; otherwise nobody is.

    Raises:
        SettingsError: there is no such corpus, or it needs a root.
        CorpusError: the corpus is not as it should be.
    """
    chosen = challenge or ChallengeSettings()
    root = _root(corpus, root, output, small)
    folder = output / "features"
    if corpus == "composed":
        return Study(corpus, root, _composed(small), _COMPOSED, folder)
    if corpus in CLASS_CORPORA:
        clips = within_persons(clips_of(corpus, root)) if shared_persons else clips_of(corpus, root)
        study = _of_classes(corpus, root, folder, by_split(clips, small=small))
        return replace(study, note=_SHARED) if shared_persons else study
    if corpus == "affwild2":
        return _affwild2(affwild2.read(root), root, folder, affwild2.NUM_FOLDS - 2)
    if corpus == TABLES:
        return _of_tables(root, folder)
    recordings = _rated(corpus, root, chosen)
    if corpus == "folder":
        return Study(corpus, root, {role: tuple(of_split(recordings, role)) for role in ROLES}, _OWN, folder)
    protocol = recola.PROTOCOLS[chosen.protocol]
    note = f"{_GENERATED if corpus == 'synthetic' else protocol.note} Gold standard: {chosen.gold}."
    roles = (
        _challenge(recordings)
        if chosen.protocol == "avec2016"
        else {role: tuple(of_split(recordings, role)) for role in ROLES}
    )
    comparable = corpus == "recola" and protocol.comparable
    return Study(corpus, root, roles, note, folder, is_comparable=comparable)


def open_folds(corpus: str, root: Path | None, output: Path) -> list[Study]:
    """Return one study per fold of the corpus's usual cross-validation.

    Of a corpus of classes each fold is judged once, and the next one is stopped by; of VideoEmotion-8 it is ten draws
    of two thirds. Of Aff-Wild2 each part of the training recordings is left out once to be stopped by, and all folds
    are judged on the official validation recordings.

    Args:
        corpus: one of `CORPORA` that has folds.
        root: its folder.
        output: where the features go, the same for all folds.

    Raises:
        SettingsError: the corpus has no folds.
        CorpusError: the corpus is not as it should be.
    """
    if corpus in CORPORA and corpus not in FOLDED_CORPORA:
        raise SettingsError(f"--folds: {corpus} has no usual cross-validation: leave the option out.")
    root, folder = _root(corpus, root, output, small=False), output / "features"
    if corpus == "affwild2":
        recordings = affwild2.read(root)  # opens every video
        parts = range(affwild2.NUM_FOLDS - 1)
        return [replace(_affwild2(recordings, root, folder, part), fold=part) for part in parts]
    if corpus == "videoemotion8":
        drawn = [videoemotion8.read(root, draw) for draw in range(videoemotion8.DRAWS)]
        return [replace(_of_classes(corpus, root, folder, by_split(clips)), fold=k) for k, clips in enumerate(drawn)]
    clips = clips_of(corpus, root)
    numbers = sorted({clip.fold for clip in clips if clip.fold is not None})
    if len(numbers) < 3:
        raise CorpusError(
            f"{root} holds {len(numbers)} of the folds of {corpus}, three are needed: copy the whole corpus."
        )
    return [
        replace(_of_classes(corpus, root, folder, by_fold(clips, numbers, place)), fold=number)
        for place, number in enumerate(numbers)
    ]


def _of_classes(corpus: str, root: Path, folder: Path, roles: Mapping[str, Sequence[LabelledClip]]) -> Study:
    for role, clips in roles.items():
        if len({clip.label for clip in clips}) < 2:
            raise CorpusError(
                f"{root} holds {len(clips)} clip(s) to {_DONE_WITH[role]}, of fewer than two classes: "
                "copy the whole corpus."
            )
    items: dict[str, tuple[Item, ...]] = {role: tuple(clips) for role, clips in roles.items()}
    note = _EVENTS if corpus in EVENT_CORPORA else _CLASSES
    return Study(corpus, root, items, note, folder, classes=_classes_of(corpus))


def _classes_of(corpus: str) -> tuple[str, ...]:
    """Return the classes of a corpus; where a class is an event, what is there without it is one more."""
    classes = CATALOGUE[corpus].classes
    return (*classes, BACKGROUND) if corpus in EVENT_CORPORA else classes


def _of_tables(root: Path, folder: Path) -> Study:
    """Return the study of a folder of feature tables."""
    clips = feature_tables.read(root)
    items = {role: tuple(clip for clip in clips if clip.split == role) for role in ROLES}
    for role, found in items.items():
        labels = {clip.label for clip in found}
        if not labels or (len(labels) < 2 and None not in labels):
            raise CorpusError(
                f"{root} holds {len(found)} clip(s) to {_DONE_WITH[role]}, of {len(labels)} class(es): expected two "
                "classes at least, or ratings. Move clips to this split."
            )
    return Study(TABLES, root, items, _TABLED, folder, classes=_classes_of_tables(clips))


def _classes_of_tables(clips: Sequence[TabledClip]) -> tuple[str, ...]:
    return feature_tables.classes(clips) or EMOTIONS


def _affwild2(recordings: Sequence[RatedRecording], root: Path, folder: Path, left_out: int) -> Study:
    parts = affwild2.folds(recordings)[:-1]
    stopped_by = set(parts[left_out])
    learnt = of_split(recordings, "train")
    roles: dict[str, tuple[Item, ...]] = {
        "train": tuple(each for each in learnt if each.name not in stopped_by),
        "validation": tuple(each for each in learnt if each.name in stopped_by),
        "test": tuple(of_split(recordings, "validation")),
    }
    for role, items in roles.items():
        if not items:
            raise CorpusError(f"{root} holds no recording to {_DONE_WITH[role]}: copy the whole corpus.")
    return Study("affwild2", root, roles, _AFFWILD2, folder)


_DONE_WITH = {"train": "learn from", "validation": "stop by", "test": "be judged on"}


def open_split(
    corpus: str,
    root: Path | None,
    output: Path,
    split: str,
    *,
    small: bool = False,
    challenge: ChallengeSettings | None = None,
    shared_persons: bool = False,
) -> Study:
    """Return one split of a corpus, by the corpus's own name for it, to be judged on: nothing is learnt.

    Arguments and errors as of `open_study`.
    """
    if split not in SPLITS:
        raise SettingsError(f"--split {split}: expected one of {', '.join(SPLITS)}.")
    root = _root(corpus, root, output, small)
    classes = _classes_of(corpus) if corpus in CLASS_CORPORA else EMOTIONS
    if corpus == "composed":
        judged: tuple[Item, ...] = _composed(small)[split]
    elif corpus in CLASS_CORPORA:
        clips = within_persons(clips_of(corpus, root)) if shared_persons else clips_of(corpus, root)
        judged = tuple(clip for clip in clips if clip.split == split)
    elif corpus == "affwild2":
        judged = tuple(of_split(affwild2.read(root), split))
    elif corpus == TABLES:
        tabled = feature_tables.read(root)
        judged, classes = tuple(clip for clip in tabled if clip.split == split), _classes_of_tables(tabled)
    else:
        judged = tuple(of_split(_rated(corpus, root, challenge or ChallengeSettings()), split))
    if not judged:
        raise CorpusError(f"{root} holds nothing of the split {split}: choose another --split, or copy all of it.")
    roles: dict[str, tuple[Item, ...]] = {"train": (), "validation": (), "test": judged}
    return Study(corpus, root, roles, f"The {split} split.", output / "features", classes=classes)


def _root(corpus: str, root: Path | None, output: Path, small: bool) -> Path:
    if corpus not in CORPORA:
        raise SettingsError(f"--corpus {corpus}: expected one of {', '.join(CORPORA)}.")
    if corpus == "synthetic":
        place = root or output / "synthetic"
        synthetic.generate(place, seconds=_SMALL_SYNTHETIC_SECONDS if small else _SYNTHETIC_SECONDS)
        return place
    if root is None:
        raise SettingsError(f"--corpus {corpus} needs --root, the folder of the corpus.")
    return root


def _rated(corpus: str, root: Path, chosen: ChallengeSettings) -> list[RatedRecording]:
    if corpus == "folder":
        return own_folder.read(root)
    subjects = None if chosen.train is None or chosen.test is None else (chosen.train, chosen.test)
    return recola.read(root, protocol=chosen.protocol, gold=chosen.gold, subjects=subjects, seed=chosen.seed)


_GENERATED = "Generated faces and voices: what holds here need not hold for people. Judged on the development split."
_COMPOSED = "Real faces and real utterances put together; arousal and valence are coordinates of the emotion labels."
_OWN = "A folder of own recordings."
_CLASSES = "Clips of one class each; no speaker to be judged on was learnt from, where the corpus tells the speakers."
_EVENTS = (
    "Clips of one event each, which lasts for a part of the clip. The default encoder of pictures knows faces and no "
    "scenes: visual.backbone=own learns its own."
)
_TABLED = "Tables of features, each column standardised by the clips to learn from; features.csv tells what was found."
_SHARED = "Clips of one class each; the clips of every person are split, so that all who are judged were learnt from."
_AFFWILD2 = (
    "Judged on the official validation recordings, as the labels of the test set are withheld; one of five parts of "
    "the training recordings decides when to stop."
)


def _challenge(recordings: Sequence[RatedRecording]) -> dict[str, tuple[Item, ...]]:
    """Return the roles under AVEC 2016: judged on its development split, stopped by two of its training split."""
    learnt = of_split(recordings, "train")
    if len(learnt) < 4:
        raise CorpusError(f"{len(learnt)} training recordings found; four at least are needed, two of them to stop by.")
    return {
        "train": tuple(learnt[:-2]),
        "validation": tuple(learnt[-2:]),
        "test": tuple(of_split(recordings, "validation")),
    }


def _composed(small: bool) -> dict[str, tuple[Item, ...]]:
    counts = _SMALL_COMPOSED_COUNTS if small else _COMPOSED_COUNTS
    return {
        role: tuple(
            ComposedRecording(
                name=f"{role}_{number}",
                split=role,
                seed=_COMPOSED_SEEDS[role],
                number=number,
                conditions=TRAINING_CONDITIONS if role == "train" else Conditions(),
            )
            for number in range(count)
        )
        for role, count in counts.items()
    }
