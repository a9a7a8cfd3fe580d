"""Turns of dialogues are drawn together and in order; windows of a recording as analysis slides them."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from emotrace.training.clip_batches import ClipReading, speaker_numbers
from emotrace.training.dialogues import DrawnDialogues, of_dialogues, sliding
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import clip_reading_of
from emotrace.training.tracks import Track
from tests.training.tracks import sliced, track

SETTINGS = PRESETS["dialogue-attention"].settings.model_copy(update={"batch_size": 4, "stretches_per_epoch": 12})
HOW: ClipReading = clip_reading_of(SETTINGS, 25.0)


def _turns(*sizes: int) -> list[Track]:
    """Return dialogues of so many turns, each turn of a class of its own, two people speaking in turn."""
    made = []
    for dialogue, size in enumerate(sizes):
        for turn in range(size):
            name = f"d{dialogue}t{turn}"
            base = sliced(track(name, ticks=50, seed=10 * dialogue + turn), 64)
            emotion = torch.full((50,), turn)
            made.append(
                replace(base, subject=f"d{dialogue}p{turn % 2}", dialogue=f"d{dialogue}", emotion=emotion, label=turn)
            )
    return made


def test_turns_stand_in_order_and_a_clip_of_none_is_a_dialogue_by_itself() -> None:
    tracks = [*_turns(3, 2), track("alone"), track("too")]
    assert of_dialogues(tracks) == [[0, 1, 2], [3, 4], [5], [6]]
    mixed = [tracks[0], tracks[3], tracks[1], tracks[4], tracks[2]]
    assert of_dialogues(mixed) == [[0, 2, 4], [1, 3]]


def test_every_dialogue_is_met_once_an_epoch_whole_and_in_order() -> None:
    tracks = _turns(3, 5, 2, 4)
    batches = DrawnDialogues(tracks, HOW, SETTINGS, whole=True)
    orders = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        drawn = list(batches)
        assert len(drawn) == len(batches) == 3
        met: Counter[int] = Counter()
        for clips in drawn:
            for number in sorted(set(clips.dialogue.tolist())):
                turns = clips.label[clips.dialogue == number].tolist()
                assert turns == list(range(len(turns)))
                met[len(turns)] += 1
                assert clips.speaker[clips.dialogue == number].tolist() == [turn % 2 for turn in turns]
        assert met == Counter({3: 1, 5: 1, 2: 1, 4: 1})
        orders.append([clips.label.tolist() for clips in drawn])
    assert orders[0] != orders[1] or orders[1] != orders[2]
    batches.set_epoch(0)
    assert [clips.label.tolist() for clips in batches] == orders[0]


@pytest.mark.parametrize("batch_size", [3, 7, 200])
def test_windows_of_a_recording_are_a_run_as_analysis_slides_them(batch_size: int) -> None:
    settings: SystemSettings = SETTINGS.model_copy(update={"batch_size": batch_size, "stretches_per_epoch": 300})
    long = replace(sliced(track("long", ticks=400), 64), emotion=torch.arange(400))
    batches = DrawnDialogues([long], HOW, settings, whole=False)
    ends = [stop - 1 for _, stop in sliding(400, 20, 75)]
    assert len(ends) == 20
    drawn = list(batches)
    assert len(drawn) == len(batches) == 300 // batch_size or batch_size == 200
    for clips in drawn:
        assert len(clips.label) == batch_size
        for number in sorted(set(clips.dialogue.tolist())):
            labels = clips.label[clips.dialogue == number].tolist()
            first = ends.index(labels[0])
            assert labels == ends[first : first + len(labels)]


def test_what_is_shorter_than_a_step_is_one_window() -> None:
    assert sliding(7, 20, 75) == [(0, 7)]
    assert sliding(45, 20, 30) == [(0, 20), (10, 40)]


def test_speakers_are_numbered_as_they_begin_in_each_dialogue() -> None:
    assert speaker_numbers(["b", "a", "b", "a", "c", "c", "b"], [0, 0, 0, 0, 1, 1, 1]) == [0, 1, 0, 1, 0, 0, 1]
