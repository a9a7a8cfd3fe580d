"""RAVDESS speech on disk -> utterances with eight emotions, split by actor.

Official layout: `Actor_01` .. `Actor_24`, files named `03-01-EE-II-SS-RR-AA` (modality, channel, emotion, intensity,
statement, repetition, actor); odd actors are male. Only speech (channel 01) is read; audio files or the videos.

S. R. Livingstone, F. A. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5),
2018. CC BY-NC-SA 4.0: weights trained on it carry the same licence and this attribution.
"""

import re
from pathlib import Path

from emotrace.corpora.base import Utterance, files
from emotrace.errors import CorpusError
from emotrace.labels import RAVDESS_CODES

LICENCE = "CC BY-NC-SA 4.0"
CITATION = "Livingstone & Russo, PLoS ONE 13(5): e0196391, 2018"
LABELS = tuple(RAVDESS_CODES.values())
ACTORS = tuple(range(1, 25))
_NAME = re.compile(r"0[13]-01-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)", re.ASCII)
"""Of speech with sound; modality 02 is video without sound."""
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
    hint = "--root must name the folder that holds Actor_01 .. Actor_24."
    utterances: dict[str, Utterance] = {}
    for path in files(root, (".wav", ".flac", ".mp4"), hint):
        named = _NAME.fullmatch(path.stem)
        if named and int(named["actor"]) in ACTORS:
            actor = int(named["actor"])
            label = RAVDESS_CODES[named["emotion"]]
            utterance = Utterance(path, label, f"ravdess-{actor:02d}", "ravdess", split_of(actor))
            utterances.setdefault(path.stem[2:], utterance)
    if not utterances:
        raise CorpusError(f"{root} holds no file named as RAVDESS speech is, such as 03-01-05-02-01-01-24.wav: {hint}")
    return list(utterances.values())
