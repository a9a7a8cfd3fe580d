"""CREMA-D on disk -> acted clips with six emotions and the votes of the crowd, split by actor.

Official layout: `VideoFlash/1001_DFA_ANG_XX.flv` (pictures and sound as the raters had them), `AudioWAV` with the sound
under the same names, `processedResults/tabulatedVotes.csv`. A name is actor (1001 .. 1091), sentence, acted emotion and
level. The class of a clip is the acted emotion, as in published accuracies; the crowd often heard and saw another one,
and its votes on sound and pictures together stand beside it. There is no official split: those here are ours.

Four of the 7,442 clips are left out, by the corpus's own notes: 1076_MTI_SAD_XX has neither sound nor pictures, the
videos of 1076_MTI_NEU_XX and 1064_TIE_SAD_XX hold next to nothing, that of 1064_IEO_DIS_MD holds all the emotions.

H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma, "CREMA-D: crowd-sourced emotional multimodal
actors dataset", IEEE Transactions on Affective Computing 5(4), 2014.
"""

import csv
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import MappingProxyType

from emotrace.corpora.base import files
from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError

LICENCE = "Open Database License 1.0, contents: Database Contents License 1.0"
CITATION = "Cao et al., IEEE Transactions on Affective Computing 5(4), 2014"
HOMEPAGE = "https://github.com/CheyneyComputerScience/CREMA-D"
LAYOUT = """\
VideoFlash/1001_DFA_ANG_XX.flv   pictures, and the sound where AudioWAV is not there; .mp4 is read too
AudioWAV/1001_DFA_ANG_XX.wav     the sound
processedResults/tabulatedVotes.csv   the votes of the crowd, if wanted
A clone without git-lfs holds short texts instead of the recordings."""
CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
ACTORS = tuple(range(1001, 1092))
NUM_FOLDS = 5
DAMAGED = frozenset({"1076_MTI_SAD_XX", "1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})
"""Left out, see the file's docstring."""
MAX_TABLE_BYTES = 64 * 2**20

_CODES: Mapping[str, str] = MappingProxyType(
    dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), CLASSES, strict=True))
)
_VOTE_COLUMNS = ("A", "D", "F", "H", "N", "S")
_QUERY_STEP, _SOUND_AND_PICTURES = 100_000, 3
"""The number of a row of votes is 100,000 times what was played (1 sound, 2 pictures, 3 both) plus the clip's."""
_NAME = re.compile(r"(?P<take>(?P<actor>\d{4})_[A-Z]{3}_(?P<emotion>[A-Z]{3}))_(?P<level>LO|MD|HI|XX?)", re.ASCII)
_HINT = "--root must name the folder that holds VideoFlash and AudioWAV."


def split_of(actor: int) -> str:
    """Return the split of an actor: 1005, 1010 .. 1090 test, the one before each validation, the others training."""
    return {NUM_FOLDS - 1: "test", NUM_FOLDS - 2: "validation"}.get(fold_of(actor), "train")


def fold_of(actor: int) -> int:
    """Return the fold of an actor, 0..4; the last is the test split, the one before the validation split."""
    return (actor - ACTORS[0]) % NUM_FOLDS


def read(root: Path) -> list[LabelledClip]:
    """List the clips in order of their names, pictures from the video and sound from the wav where both are there.

    Raises:
        CorpusError: nothing is there that is named as the corpus names it, or the table of votes is damaged.
    """
    videos: dict[str, Path] = {}
    sounds: dict[str, Path] = {}
    for path in files(root, (".flv", ".mp4", ".wav"), _HINT):
        name = _name_of(path)
        if name is not None and name not in DAMAGED:
            (sounds if path.suffix.lower() == ".wav" else videos).setdefault(name, path)
    names = sorted(videos.keys() | sounds.keys())
    if not names:
        raise CorpusError(f"{root} holds no file named as CREMA-D's are, such as 1001_DFA_ANG_XX.flv: {_HINT}")
    votes = _votes(root / "processedResults" / "tabulatedVotes.csv")
    return [_clip(name, videos.get(name), sounds.get(name), votes.get(name, ())) for name in names]


def _name_of(path: Path) -> str | None:
    """Return the name of a clip; releases before 2022 hold one whose level, XX, is written with one letter."""
    named = _NAME.fullmatch(path.stem)
    if named is None or named["emotion"] not in _CODES or int(named["actor"]) not in ACTORS:
        return None
    return f"{named['take']}_{'XX' if named['level'] == 'X' else named['level']}"


def _clip(name: str, video: Path | None, sound: Path | None, votes: tuple[int, ...]) -> LabelledClip:
    actor, _, emotion, _ = name.split("_")
    return LabelledClip(
        name=name,
        subject=f"cremad-{actor}",
        split=split_of(int(actor)),
        label=_CODES[emotion],
        video=video,
        audio=sound or video,
        fold=fold_of(int(actor)),
        votes=votes,
    )


def _votes(table: Path) -> dict[str, tuple[int, ...]]:
    """Return the votes on sound and pictures together in the order of `CLASSES`; none where there is no table."""
    if not table.is_file():
        return {}
    found: dict[str, tuple[int, ...]] = {}
    lines = StringIO(read_text(table, MAX_TABLE_BYTES))
    try:
        for row in csv.DictReader(lines):
            # The column of the row numbers has no name in the official table.
            if int(next(iter(row.values()))) // _QUERY_STEP == _SOUND_AND_PICTURES:
                found[row["fileName"]] = tuple(_count(row[column]) for column in _VOTE_COLUMNS)
    except (csv.Error, ValueError, TypeError, KeyError) as error:
        raise CorpusError(
            f"{table} is not the table of votes ({repr(error)[:200]}): expected a row number, the counts "
            f"{', '.join(_VOTE_COLUMNS)} and fileName. Copy the corpus again, or remove the table."
        ) from error
    return found


def _count(cell: str) -> int:
    count = int(cell)
    if not 0 <= count <= 10_000:
        raise ValueError(f"{count} votes")
    return count
