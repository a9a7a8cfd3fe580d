"""EmoGator on disk -> vocal bursts (not speech) in the categories that stand for one of the eight emotions.

Official layout: `mp3/` with files named `contributor-category-instance`; 30 categories, of which nine are read.

F. W. Buhl, "EmoGator: a new open source vocal burst dataset with baseline machine learning classification
methodologies", 2023. Apache-2.0 by its repository.
"""

import re
from pathlib import Path

from emotrace.corpora.base import Utterance, files
from emotrace.errors import CorpusError
from emotrace.labels import EMOGATOR_CODES

LICENCE = "Apache-2.0"
CITATION = "Buhl, arXiv 2301.00508, 2023"
HOMEPAGE = "https://github.com/fredbuhl/EmoGator"
LAYOUT = "mp3/000001-03-1.mp3 ...   contributor, category, instance"
LABELS = tuple(dict.fromkeys(EMOGATOR_CODES.values()))
_NAME = re.compile(r"(?P<contributor>\d+)-(?P<category>\d\d)-[^-]+", re.ASCII)


def split_of(contributor: int) -> str:
    """Return the split of a contributor: 1-280 training, 281-318 validation, 319-357 test."""
    if contributor <= 280:
        return "train"
    return "validation" if contributor <= 318 else "test"


def read(root: Path) -> list[Utterance]:
    """List the bursts of the nine categories.

    Raises:
        CorpusError: nothing is there that is named as the corpus names it.
    """
    hint = "--root must name the EmoGator folder with mp3/."
    bursts = []
    for path in files(root / "mp3", (".mp3", ".opus"), hint):
        named = _NAME.fullmatch(path.stem)
        if named and named["category"] in EMOGATOR_CODES:
            contributor = named["contributor"]
            label, split = EMOGATOR_CODES[named["category"]], split_of(int(contributor))
            bursts.append(Utterance(path, label, f"emogator-{contributor}", "emogator", split))
    if not bursts:
        raise CorpusError(f"{root / 'mp3'} holds no file named as EmoGator names them, such as 000001-03-1.mp3: {hint}")
    return bursts
