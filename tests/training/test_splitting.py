"""Clips of every person in every role, in their order, and whole dialogues."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError
from emotrace.training.splitting import by_split, within_persons
from emotrace.training.study import ROLES, Study


def _clip(name: str, subject: str, label: str, dialogue: str | None = None) -> LabelledClip:
    return LabelledClip(name, subject, "train", label, None, Path("sound.wav"), dialogue=dialogue)


ACTED = [
    _clip(f"{person}-{label}-{take}", person, label)
    for take in range(5)
    for person in ("ann", "bob")
    for label in ("anger", "calm", "joy")
]
TALKS = [
    _clip(f"s{session}d{number}t{turn}", f"s{session}{'FM'[turn % 2]}", "anger", f"s{session}d{number}")
    for session in range(2)
    for number in range(5)
    for turn in range(4)
]


def test_of_each_person_and_class_three_fifths_are_learnt_from() -> None:
    found = within_persons(ACTED)
    counts = Counter((clip.subject, clip.label, clip.split) for clip in found)
    assert set(counts.values()) == {1, 3}
    assert all(counts[clip.subject, clip.label, "train"] == 3 for clip in found)
    assert [clip.name for clip in found] == [clip.name for clip in ACTED]
    again = {clip.name: clip.split for clip in within_persons(ACTED[::-1])}
    assert again == {clip.name: clip.split for clip in found}


def test_dialogues_stay_whole_and_in_order() -> None:
    found = within_persons(TALKS)
    splits: dict[str | None, set[str]] = {}
    for clip in found:
        splits.setdefault(clip.dialogue, set()).add(clip.split)
    assert all(len(each) == 1 for each in splits.values())
    for session in range(2):
        assert {clip.split for clip in found if clip.name.startswith(f"s{session}")} == set(ROLES)
    roles = by_split(found)
    assert [clip.name for clip in roles["train"]] == [clip.name for clip in TALKS if clip in _kept(found, "train")]


def _kept(clips: list[LabelledClip], split: str) -> list[LabelledClip]:
    return [replace(clip, split="train") for clip in clips if clip.split == split]


def test_a_corpus_that_does_not_say_who_speaks_is_refused() -> None:
    nobody = [replace(clip, subject=clip.name) for clip in ACTED]
    with pytest.raises(CorpusError, match="does not say who speaks"):
        within_persons(nobody)


def test_a_moved_event_is_another_study(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    sound.touch()

    def digest(end: float) -> str:
        clip = replace(ACTED[0], audio=sound, event_start_seconds=1.0, event_end_seconds=end, whole_picture=True)
        items = {"train": (clip,), "validation": (), "test": ()}
        return Study("ave", tmp_path, items, "", tmp_path / "features", classes=("anger", "background")).digest

    assert digest(2.0) != digest(3.0)
    assert digest(2.0) == digest(2.0)
