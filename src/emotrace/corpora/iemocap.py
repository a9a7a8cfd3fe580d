"""IEMOCAP on disk -> utterances of two people in dialogue with four or six emotions, split by session.

Official layout, of five sessions with a woman and a man each: `Session1/dialog/EmoEvaluation/DIALOGUE.txt` with a line
of start, end, utterance, emotion and ratings for every utterance, `Session1/sentences/wav/DIALOGUE/UTTERANCE.wav`,
`Session1/dialog/avi/DivX/DIALOGUE.avi`. In Ses01F_impro01_M003 the first letter names who wears the markers of the
motion capture, the last who speaks; impro is improvised, script is acted by a script.

One video shows both people of a dialogue side by side: who wears the markers on the left. That is not in the corpus's
own notes: three public programs that cut these videos agree on it, and it was not checked on the videos themselves.

Sound is a file per utterance, pictures are one per dialogue: the start, end and half of a clip are of the pictures.
Left out are utterances that the raters did not agree on (xxx), and other emotions than the four or six.

The usual protocols: four classes, happiness with excitement, all (5,531 utterances) or only the improvised ones, and
folds that leave a session out. That the published systems compared here use the improvised part and leave one of the
ten speakers out is remembered, not read. The single split, sessions 1-3, 4 and 5, is ours.

C. Busso et al., "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and Evaluation
42(4), 2008. The licence forbids to pass on the recordings.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from emotrace.corpora.labelled import LabelledClip
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError, SettingsError

LICENCE = "licence of the University of Southern California: research only, not to be passed on"
CITATION = "Busso et al., Language Resources and Evaluation 42(4), 2008"
HOMEPAGE = "https://sail.usc.edu/iemocap/"
LAYOUT = """\
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt   the emotions, with start and end
Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav   the sound of one utterance
Session1/dialog/avi/DivX/Ses01F_impro01.avi   the pictures of the dialogue; without it the sound alone is read
... Session5/"""
CLASSES = ("anger", "happiness", "sadness", "neutral")
SIX_CLASSES = ("anger", "happiness", "excitement", "sadness", "neutral", "frustration")
SESSIONS = (1, 2, 3, 4, 5)
"""Each is a fold, from 0."""
MAX_TEXT_BYTES = 4 * 2**20
"""Of one file of emotions; the corpus's have tens of thousands of bytes."""

_SIX: Mapping[str, str] = MappingProxyType(
    {
        "ang": "anger",
        "hap": "happiness",
        "exc": "excitement",
        "sad": "sadness",
        "neu": "neutral",
        "fru": "frustration",
    }
)
_FOUR: Mapping[str, str] = MappingProxyType(
    {"ang": "anger", "hap": "happiness", "exc": "happiness", "sad": "sadness", "neu": "neutral"}
)
_CODES = (*_SIX, "fea", "sur", "dis", "oth", "xxx")
_DIALOGUE = re.compile(r"Ses0(?P<session>[1-5])(?P<markers>[FM])_(?P<kind>impro|script)\w{1,20}", re.ASCII)
_LINE = re.compile(
    r"\[(?P<start>\d{1,5}\.\d+) - (?P<end>\d{1,5}\.\d+)\]\s+"
    r"(?P<dialogue>\w+)_(?P<turn>(?P<speaker>[FM])[X\d]{2}\d)\s+(?P<emotion>[a-z]{3})\s+\[.*",
    re.ASCII,
)
_HINT = "--root must name the folder that holds Session1 .. Session5 (IEMOCAP_full_release)."


def split_of(session: int) -> str:
    """Return the split of a session: 1-3 training, 4 validation, 5 test."""
    if session <= 3:
        return "train"
    return "validation" if session == 4 else "test"


def read(root: Path, num_classes: Literal[4, 6] = 4, *, improvised_only: bool = False) -> list[LabelledClip]:
    """List the utterances of the classes, by session, dialogue and time.

    Args:
        root: the folder that holds Session1.
        num_classes: 4 for `CLASSES`, where excitement counts as happiness; 6 for `SIX_CLASSES`.
        improvised_only: leave out what was acted by a script, whose words tell the emotion.

    Raises:
        CorpusError: a session or the sound of an utterance is missing, or a file of emotions is damaged.
        SettingsError: another number of classes.
    """
    if num_classes not in (4, 6):
        raise SettingsError(f"IEMOCAP with {num_classes} classes was asked for: choose 4 or 6.")
    labels = _FOUR if num_classes == 4 else _SIX
    folders = {session: root / f"Session{session}" / "dialog" / "EmoEvaluation" for session in SESSIONS}
    missing = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if missing:
        raise CorpusError(f"{', '.join(missing)} missing, expected five sessions: {_HINT}")
    clips: list[LabelledClip] = []
    for session, folder in folders.items():
        before = len(clips)
        for text in sorted(folder.glob("*.txt")):
            named = _DIALOGUE.fullmatch(text.stem)
            if named is None or int(named["session"]) != session:
                continue  # such as the ._ files that a Mac leaves behind
            if not improvised_only or named["kind"] == "impro":
                # Files list one speaker after the other; turns are heard in order of time.
                found = _utterances(root, text, named["markers"], labels)
                clips += [clip for _, clip in sorted(found, key=lambda each: (each[0], each[1].name))]
        if len(clips) == before:
            raise CorpusError(
                f"{folder} holds no utterance of the {num_classes} classes: copy the corpus again. {_HINT}"
            )
    return clips


def _utterances(
    root: Path, text: Path, markers: str, labels: Mapping[str, str]
) -> Iterator[tuple[float, LabelledClip]]:
    """Yield the utterances of a dialogue that have one of the classes, each with the second in which it begins."""
    dialogue = text.stem
    session = int(dialogue[4])
    video = root / f"Session{session}" / "dialog" / "avi" / "DivX" / f"{dialogue}.avi"
    pictures = video if video.is_file() else None
    for place, line in _lines(text):
        found = _LINE.fullmatch(line)
        if found is None or found["dialogue"] != dialogue or found["emotion"] not in _CODES:
            raise CorpusError(
                f"{place} is {line[:60]!r}, expected such as '[6.2901 - 8.2357] {dialogue}_F000 neu [2.5, 2.5, 2.5]': "
                "copy the corpus again."
            )
        if found["emotion"] not in labels:
            continue
        start, end = float(found["start"]), float(found["end"])
        if not start < end:
            raise CorpusError(f"{place} begins at {start} s and ends at {end} s: copy the corpus again.")
        name = f"{dialogue}_{found['turn']}"
        sound = root / f"Session{session}" / "sentences" / "wav" / dialogue / f"{name}.wav"
        if not sound.is_file():
            raise CorpusError(f"{sound} is missing though {text.name} names it: copy the corpus again.")
        clip = LabelledClip(
            name=name,
            subject=f"iemocap-{session}{found['speaker']}",
            split=split_of(session),
            label=labels[found["emotion"]],
            video=pictures,
            audio=sound,
            fold=session - 1,
            start_seconds=start if pictures else 0.0,
            end_seconds=end if pictures else None,
            half=("left" if found["speaker"] == markers else "right") if pictures else None,
            dialogue=dialogue,
        )
        yield start, clip


def _lines(text: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of utterances, each with what names it in a message."""
    # Only remarks of raters are ever other than ASCII, and they are not read.
    lines = read_text(text, MAX_TEXT_BYTES, errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.startswith("["):
            yield f"{text}, line {number}", line.rstrip()
