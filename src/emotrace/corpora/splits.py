"""Rows of a user's labels.csv with who is seen and heard -> the split of every person; no person stands in two."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from emotrace.corpora.label_table import Row
from emotrace.corpora.rated import SPLITS
from emotrace.errors import CorpusError, SettingsError

_SPLIT_NAMES = {"train": "train", "validation": "validation", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Placed:
    """One row whose split is given.

    Attributes:
        row: of the table.
        person: whom it shows.
        split: one of `SPLITS`.
    """

    row: Row
    person: str
    split: str


def check_shares(validation_share: float, test_share: float) -> None:
    """Refuse shares that leave a split empty.

    Raises:
        SettingsError: they are not above 0, or leave nothing for training.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise SettingsError(
            f"validation_share and test_share are {validation_share} and {test_share}: "
            "expected numbers above 0 that sum to less than 1."
        )


def split_in(row: Row) -> str:
    """Return one of `SPLITS` from the cell `split`, in which validation may be called dev.

    Raises:
        CorpusError: it says something else.
    """
    split = row.cells["split"].lower()
    if split not in _SPLIT_NAMES:
        raise CorpusError(f"{row.place}: split is {split[:40]!r}: expected one of {', '.join(_SPLIT_NAMES)}.")
    return _SPLIT_NAMES[split]


def given_splits(rows: Sequence[Placed], who: str = "subject") -> dict[str, str]:
    """Return the split of every person.

    Args:
        rows: all of the table.
        who: what messages call a person.

    Raises:
        CorpusError: a person stands in two splits, or a split has one recording.
    """
    first: dict[str, Placed] = {}
    splits: dict[str, str] = {}
    for each in rows:
        other = first.setdefault(each.person, each)
        if other.split != each.split:
            raise CorpusError(
                f"{each.row.place}: {who} {each.person!r} is in {each.split}, but in row {other.row.number} in "
                f"{other.split}: put all recordings of a {who} into one split."
            )
        splits[each.person] = each.split
    counts = Counter(each.split for each in rows)
    for split in SPLITS:
        if counts[split] == 1:
            raise CorpusError(f"The split {split} has one recording: expected two at least. Move some to it.")
    return splits


def drawn_splits(
    persons: Sequence[str], *, validation_share: float, test_share: float, seed: int, whose: str = "subjects"
) -> dict[str, str]:
    """Return the split of every person: persons in an order that only their names and the seed decide.

    Args:
        persons: one per recording.
        validation_share: of the recordings, about.
        test_share: of the recordings, about.
        seed: another one draws other splits.
        whose: what messages call the persons.

    Raises:
        CorpusError: a split would hold fewer than two recordings.
    """
    counts = Counter(persons)
    waiting = sorted(counts, key=lambda person: hashlib.sha256(f"{seed} {person}".encode()).digest())
    splits: dict[str, str] = {}
    for split, share in (("test", test_share), ("validation", validation_share)):
        missing = max(2, round(share * len(persons)))
        while waiting and missing > 0:
            person = waiting.pop()
            splits[person] = split
            missing -= counts[person]
    splits |= dict.fromkeys(waiting, "train")
    held = Counter(splits[person] for person in persons)
    if any(held[split] < 2 for split in SPLITS):
        raise CorpusError(
            f"{len(persons)} recordings of {len(counts)} {whose} gave splits of "
            f"{', '.join(f'{held[split]} ({split})' for split in SPLITS)}: expected two recordings at least in each. "
            f"Add recordings of other {whose}, or fill the column split yourself."
        )
    return splits
