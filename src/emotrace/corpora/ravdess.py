"""RAVDESS speech on disk -> utterances, or clips of voice and face, with eight emotions, split by actor.

Official layout: `Actor_01` .. `Actor_24`, also inside the folders that the official archives are named by, files named
`03-01-EE-II-SS-RR-AA` (modality, channel, emotion, intensity, statement, repetition, actor); odd actors are male. Only
speech (channel 01) is read; `read` takes audio files or the videos, for voices; `read_clips` puts both together.

The corpus has no official split, and accuracies vary strongly with the actors tested on; the splits here are ours.

S. R. Livingstone, F. A. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5),
2018. CC BY-NC-SA 4.0: weights trained on it carry the same licence and this attribution.
"""

import re
from pathlib import Path

from emotrace.corpora.base import Utterance, files
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError
from emotrace.labels import RAVDESS_CODES

LICENCE = "CC BY-NC-SA 4.0"
CITATION = "Livingstone & Russo, PLoS ONE 13(5): e0196391, 2018"
HOMEPAGE = "https://zenodo.org/records/1188976"
LAYOUT = """\
Actor_01/01-01-05-01-02-01-01.mp4   speech with sound and pictures, from Video_Speech_Actor_01.zip
Actor_01/02-01-05-01-02-01-01.mp4   the same without its sound
Actor_01/03-01-05-01-02-01-01.wav   the sound alone, from Audio_Speech_Actors_01-24.zip
... Actor_24/
The folders may lie in those that the archives are named by, such as Video_Speech_Actor_01/Actor_01/."""
LABELS = tuple(RAVDESS_CODES.values())
CLASSES = LABELS
ACTORS = tuple(range(1, 25))
_NAME = re.compile(r"0[13]-01-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)", re.ASCII)
"""Of speech with sound; modality 02 is video without sound."""
_CLIP = re.compile(r"(?P<modality>0[123])-(?P<name>01-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d))", re.ASCII)
_WHOLE, _PICTURES, _SOUND = "01", "02", "03"
_HINT = "--root must name the folder that holds Actor_01 .. Actor_24."
FOLDS = tuple(tuple(range(first, first + 4)) for first in range(1, 25, 4))
"""Six folds of four consecutive actors, for figures with a mean and a spread."""


def split_of(actor: int) -> str:
    """Return the split of an actor: 1-16 training, 17-20 validation, 21-24 test."""
    if actor <= 16:
        return "train"
    return "validation" if actor <= 20 else "test"


def read(root: Path) -> list[Utterance]:
    """List the speech recordings, each once where both its video and its sound are there.

    Raises:
        CorpusError: nothing is there that is named as the corpus names it.
    """
    utterances: dict[str, Utterance] = {}
    for path in files(root, (".wav", ".flac", ".mp4"), _HINT):
        named = _NAME.fullmatch(path.stem)
        if named and int(named["actor"]) in ACTORS:
            actor = int(named["actor"])
            label = RAVDESS_CODES[named["emotion"]]
            utterance = Utterance(path, label, f"ravdess-{actor:02d}", "ravdess", split_of(actor))
            utterances.setdefault(path.stem[2:], utterance)
    if not utterances:
        raise CorpusError(f"{root} holds no file named as RAVDESS speech is, such as 03-01-05-02-01-01-24.wav: {_HINT}")
    return list(utterances.values())


def read_clips(root: Path) -> list[LabelledClip]:
    """List the acted clips, each once: with sound and pictures of one file where it is there, else of two.

    Where only the sound or only the pictures of a clip are there, the clip has only these. The name of a clip is that
    of its files without the modality, such as 01-05-01-02-01-12; the folds are `FOLDS`.

    Raises:
        CorpusError: nothing is there that is named as the corpus names it.
    """
    parts: dict[str, dict[str, Path]] = {}
    for path in files(root, (".wav", ".flac", ".mp4"), _HINT):
        named = _CLIP.fullmatch(path.stem)
        if named is None or int(named["actor"]) not in ACTORS:
            continue
        if (named["modality"] == _SOUND) != (path.suffix.lower() == ".mp4"):
            parts.setdefault(named["name"], {}).setdefault(named["modality"], path)
    if not parts:
        raise CorpusError(f"{root} holds no file named as RAVDESS speech is, such as 01-01-05-02-01-01-24.mp4: {_HINT}")
    return [_clip(name, parts[name]) for name in sorted(parts)]


def _clip(name: str, parts: dict[str, Path]) -> LabelledClip:
    _, emotion, *_, actor = name.split("-")
    whole = parts.get(_WHOLE)
    return LabelledClip(
        name=name,
        subject=f"ravdess-{actor}",
        split=split_of(int(actor)),
        label=RAVDESS_CODES[emotion],
        video=whole or parts.get(_PICTURES),
        audio=whole or parts.get(_SOUND),
        fold=(int(actor) - 1) // len(FOLDS[0]),
    )
