"""nEMO on disk -> acted Polish utterances with six emotions, split by speaker.

Official layout: `samples/` with the audio files and `data.tsv` (file, emotion, text, speaker, gender, age).

I. Christop, "nEMO: dataset of emotional speech in Polish", LREC-COLING 2024. CC BY-NC-SA 4.0: weights trained on it
carry the same licence and this attribution.
"""

import csv
from io import StringIO
from pathlib import Path

from emotrace.corpora.base import Utterance
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError
from emotrace.labels import NEMO_NAMES

LICENCE = "CC BY-NC-SA 4.0"
CITATION = "Christop, LREC-COLING 2024"
HOMEPAGE = "https://huggingface.co/datasets/amu-cai/nEMO"
LAYOUT = """\
data.tsv   a line per utterance: file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
samples/FILE_ID ...   the sound"""
LABELS = tuple(NEMO_NAMES.values())
_MAX_TABLE_BYTES = 2**25
_MAX_NAME_LETTERS = 60
_COLUMNS = ("file_id", "emotion", "speaker_id")


def read(root: Path) -> list[Utterance]:
    """List the recordings; the two last speakers by name are the test split, the one before is validation.

    Raises:
        CorpusError: the table is missing, names an unknown emotion, or names a file that is not there.
    """
    table = root / "data.tsv"
    if not table.is_file():
        raise CorpusError(f"{table} is missing: --root must name the nEMO folder with data.tsv and samples/.")
    lines = StringIO(read_text(table, _MAX_TABLE_BYTES))
    try:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise CorpusError(f"{table} is not a table: {error}. Copy the corpus again.") from error
    if not all(row.get(column) for row in rows for column in _COLUMNS):
        raise CorpusError(f"{table} must give every file the columns {', '.join(_COLUMNS)}: copy the corpus again.")
    speakers = sorted({row["speaker_id"] for row in rows})
    if len(speakers) < 4:
        raise CorpusError(f"{table} names {len(speakers)} speakers: at least 4 are needed for the three splits.")
    splits = dict.fromkeys(speakers[:-3], "train") | {speakers[-3]: "validation"} | dict.fromkeys(speakers[-2:], "test")
    return [_utterance(root, row, splits) for row in rows]


def _utterance(root: Path, row: dict[str, str], splits: dict[str, str]) -> Utterance:
    path = root / "samples" / Path(row["file_id"][:_MAX_NAME_LETTERS]).name
    if not path.is_file():
        raise CorpusError(f"{path} is missing though data.tsv names it: copy the corpus again.")
    if row["emotion"] not in NEMO_NAMES:
        expected = ", ".join(NEMO_NAMES)
        raise CorpusError(f"data.tsv gives {path.name} the emotion {row['emotion'][:40]!r}: expected {expected}.")
    return Utterance(path, NEMO_NAMES[row["emotion"]], f"nemo-{row['speaker_id']}", "nemo", splits[row["speaker_id"]])
