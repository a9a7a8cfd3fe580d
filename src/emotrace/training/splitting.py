"""Clips of one class each -> who is learnt from, stopped by and judged on: by split, by fold, or within each person."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError
from emotrace.training.study import ROLES

_FEW_CLIPS = 8
"""Of each class and role, for a try."""
_PARTS = ("train", "train", "train", "validation", "test")
"""Of what belongs together within a person: three fifths to learn from, one each for the other roles."""


def by_split(clips: Sequence[LabelledClip], *, small: bool = False) -> dict[str, list[LabelledClip]]:
    """Return the clips by role; for a try the first few of each class."""
    roles = {role: [clip for clip in clips if clip.split == role] for role in ROLES}
    if not small:
        return roles
    met: Counter[tuple[str, str]] = Counter()
    few: dict[str, list[LabelledClip]] = {role: [] for role in ROLES}
    for role, found in roles.items():
        for clip in found:
            met[role, clip.label] += 1
            if met[role, clip.label] <= _FEW_CLIPS:
                few[role].append(clip)
    return few


def by_fold(clips: Sequence[LabelledClip], numbers: Sequence[int], place: int) -> dict[str, list[LabelledClip]]:
    """Return the clips by role: one fold is judged, the next one is stopped by, the others are learnt from.

    Args:
        clips: with folds.
        numbers: of all folds.
        place: of the judged one among them.
    """
    judged, stopped_by = numbers[place], numbers[(place + 1) % len(numbers)]
    return {
        "train": [clip for clip in clips if clip.fold not in (judged, stopped_by)],
        "validation": [clip for clip in clips if clip.fold == stopped_by],
        "test": [clip for clip in clips if clip.fold == judged],
    }


def within_persons(clips: Sequence[LabelledClip]) -> list[LabelledClip]:
    """Return the clips in their order, split anew so that every person stands in every role.

    What is drawn are the clips of one person and class, or whole dialogues of the same people.

    Raises:
        CorpusError: the corpus does not say who speaks.
    """
    if all(clip.subject == clip.name for clip in clips):
        raise CorpusError("--protocol person-shared: the corpus does not say who speaks; choose another protocol.")
    speakers: dict[str, set[str]] = {}
    for clip in clips:
        speakers.setdefault(clip.dialogue or clip.name, set()).add(clip.subject)
    groups: dict[tuple[str, ...], set[str]] = {}
    for clip in clips:
        unit = clip.dialogue or clip.name
        people = (*sorted(speakers[unit]), *(() if clip.dialogue else (clip.label,)))
        groups.setdefault(people, set()).add(unit)
    drawn = {
        unit: _PARTS[place % len(_PARTS)]
        for units in groups.values()
        for place, unit in enumerate(sorted(units, key=lambda each: hashlib.sha256(each.encode()).digest()))
    }
    return [replace(clip, split=drawn[clip.dialogue or clip.name]) for clip in clips]
