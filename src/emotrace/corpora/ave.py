"""AVE on disk -> clips of ten seconds with an event that is both seen and heard, and when it begins and ends.

Read in public copies of the lists and in the threads of the authors' repository: 28 kinds of events, 3,339 lines to
train on, 402 to validate on and 402 to test on, no line above them that names the columns, events in whole seconds. The
4,143 lines name 4,097 videos, because a video with two kinds of events has a line for each. What is made of that here:

- A line gives a clip: two lines of one video give two clips, each with its own event, in one split.
- Some of these videos stand in two lists (00N83yxKYUI is "male speech" to train on and "female speech" to validate on).
  Here no video stands in two splits: what is tested on is left out of the other two, what is validated on is left out
  of the training clips. Systems that follow the lists as they are train on them.
- A line whose event has no length is left out; the published one is VWi2ENBuTbw, from 0 to 0.

The authors' code takes its splits from numbers of lines in other files, which do not agree with these lists by the
report of a reader of them (not checked); results of that code may be of another split.

Y. Tian, J. Shi, B. Li, Z. Duan, C. Xu, "Audio-visual event localization in unconstrained videos", ECCV 2018.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from emotrace.corpora.labelled import BACKGROUND, LabelledClip
from emotrace.corpora.text_file import read_text
from emotrace.errors import CorpusError

LICENCE = "none given: for research; the videos belong to those who uploaded them to YouTube"
CITATION = "Tian et al., ECCV 2018"
HOMEPAGE = "https://github.com/YapengTian/AVE-ECCV18"
LAYOUT = """\
AVE_Dataset/
  AVE/RUhOCu3LNXM.mp4 ...   clips of 10 s, named by their video on YouTube
  trainSet.txt, valSet.txt, testSet.txt   lines such as Church bell&RUhOCu3LNXM&good&0&10
Other files, such as Annotations.txt, which holds the same lines, are not read."""

_CATEGORIES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)
_EVENT_OF = {category: re.split(r",| \(", category)[0].lower() for category in _CATEGORIES}

EVENTS = tuple(_EVENT_OF.values())
"""The classes of clips: the first of a category's names, in small letters."""
CLASSES = (*EVENTS, BACKGROUND)
"""The classes of seconds, as they are judged."""
CLIP_SECONDS = 10
MAX_LIST_BYTES = 2**20
_MAX_SHOWN = 5

_LISTS = {"train": "trainSet.txt", "validation": "valSet.txt", "test": "testSet.txt"}
_HEADER = "Category&VideoID&Quality&StartTime&EndTime"
# The pattern of the video keeps its name from leading out of the folder.
_LINE = re.compile(r"(?P<category>[^&]+)&(?P<video>[A-Za-z0-9_-]{11})&[^&]*&(?P<start>[0-9]{1,2})&(?P<end>[0-9]{1,2})")
_HINT = "--root must name the folder that holds AVE, trainSet.txt, valSet.txt and testSet.txt."


@dataclass(frozen=True)
class _Row:
    label: str
    video: str
    start: int
    end: int


def read(root: Path) -> list[LabelledClip]:
    """List the clips with their events, those to train on first, each split in the order of its list.

    Raises:
        CorpusError: a list is missing, too long, empty or no such list, or videos that it names are missing.
    """
    rows = {split: _rows(root / name) for split, name in _LISTS.items()}
    taken: set[str] = set()
    for split in ("test", "validation", "train"):
        rows[split] = [row for row in rows[split] if row.video not in taken]
        taken |= {row.video for row in rows[split]}
    missing = sorted(video for video in taken if not _path(root, video).is_file())
    if missing:
        shown = ", ".join(missing[:_MAX_SHOWN]) + (", ..." if len(missing) > _MAX_SHOWN else "")
        raise CorpusError(
            f"{root / 'AVE'} lacks {len(missing)} of {len(taken)} videos, such as {shown}: copy the corpus again, "
            "or cut their lines from the lists."
        )
    met: Counter[str] = Counter()
    return [_clip(root, row, split, met) for split in _LISTS for row in rows[split]]


def _path(root: Path, video: str) -> Path:
    return root / "AVE" / f"{video}.mp4"


def _clip(root: Path, row: _Row, split: str, met: Counter[str]) -> LabelledClip:
    # The class stands first: a video's name may begin with a hyphen.
    name = f"{row.label.replace(' ', '-')}-{row.video}"
    met[name] += 1
    name = name if met[name] == 1 else f"{name}-{met[name]}"
    return LabelledClip(
        name=name,
        subject=name,
        split=split,
        label=row.label,
        video=_path(root, row.video),
        audio=_path(root, row.video),
        event_start_seconds=float(row.start),
        event_end_seconds=float(row.end),
        whole_picture=True,
    )


def _rows(path: Path) -> list[_Row]:
    if not path.is_file():
        raise CorpusError(f"{path} is missing: {_HINT}")
    lines = read_text(path, MAX_LIST_BYTES).splitlines()
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    rows = [_row(f"{path}, line {number}", line) for number, line in numbered if line and line != _HEADER]
    kept = [row for row in rows if row.start < row.end]
    if not kept:
        raise CorpusError(f"{path} names no event: copy the list again.")
    return kept


def _row(place: str, line: str) -> _Row:
    found = _LINE.fullmatch(line)
    if found is None:
        raise CorpusError(f"{place}: {line[:200]!r} is not {_HEADER}: correct the list.")
    label = _EVENT_OF.get(found["category"].strip())
    if label is None:
        raise CorpusError(f"{place}: unknown category {found['category'][:60]!r}, expected one of the 28: correct it.")
    start, end = int(found["start"]), int(found["end"])
    if not start <= end <= CLIP_SECONDS:
        raise CorpusError(
            f"{place}: the event lasts from {start} to {end} s, expected a stretch within 0 to {CLIP_SECONDS} s."
        )
    return _Row(label, found["video"], start, end)
