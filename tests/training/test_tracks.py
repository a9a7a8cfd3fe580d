"""Recordings in memory and the steps that systems read of them."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from emotrace.layers.steps import Need, Steps
from emotrace.training.tracks import Reading, on_ticks
from tests.training.tracks import track

ALL: frozenset[Need] = frozenset(get_args(Need))
HOW = Reading(ALL, 3, 5)


def test_a_step_stands_at_the_last_of_its_ticks() -> None:
    one = track(ticks=203)
    steps = HOW.whole(one)
    assert HOW.num_steps(one) == 40
    torch.testing.assert_close(steps.arousal_valence[0], one.arousal_valence[4:200:5])
    torch.testing.assert_close(steps.emotion[0], one.emotion[4:200:5])


def test_inputs_are_those_of_the_tick_and_zero_where_not_valid() -> None:
    one = track()
    steps = HOW.whole(one)
    assert not steps.audio_valid[0, :4].any()
    assert steps.audio_valid[0, 5:].all()
    assert not steps.voice[0, :4].any()
    assert not steps.regions[0, :4].any()
    assert not steps.crops[0, :4].any()
    assert not steps.waveform[0, :4].any()
    tick = 10 * 5 + 4
    torch.testing.assert_close(steps.voice[0, 10], one.voice[tick // 10])
    torch.testing.assert_close(steps.regions[0, 10], one.regions[tick // 2].float())
    torch.testing.assert_close(steps.crops[0, 10, -1], one.crops[tick // 2] / 255)
    torch.testing.assert_close(steps.crops[0, 10, 0], one.crops[tick // 2 - 2] / 255)
    torch.testing.assert_close(steps.waveform[0, 10], one.waveform[tick * 640 - 3200 : tick * 640] / 32768)


def test_a_stretch_is_a_part_of_the_whole() -> None:
    one, other = track("a", seed=1), track("b", seed=2)
    batch = HOW.batch([one, other], [3, 7], 12)
    for row, (each, first) in enumerate(((one, 3), (other, 7))):
        whole = HOW.whole(each)
        for part, full in zip(batch, whole, strict=True):
            torch.testing.assert_close(part[row], full[0, first : first + 12])


def test_what_a_system_does_not_need_is_not_read() -> None:
    lazy = Reading(frozenset({"voice"}), 1, 5)
    steps = lazy.whole(track())
    assert steps.voice.numel()
    assert not steps.regions.numel()
    assert not steps.crops.numel()
    assert not steps.waveform.numel()


def test_sizes_tell_the_shapes_of_the_steps() -> None:
    one = track(voice_shape=(4, 3))
    sizes, steps = HOW.sizes(one), HOW.whole(one)
    assert steps.voice.shape[2:] == sizes.voice_shape
    assert steps.regions.shape[2:] == (sizes.num_regions, sizes.region_dim)
    assert steps.crops.shape[2:] == (3, sizes.crop_side, sizes.crop_side)
    assert steps.waveform.shape[2] == sizes.step_samples
    assert sizes.steps_per_second == 5


@pytest.mark.parametrize("only", ["voice", "face"])
def test_a_modality_that_is_left_out_is_nowhere(only: str) -> None:
    steps = HOW.whole(track().without(only))
    gone, kept = (steps.video_valid, steps.audio_valid) if only == "voice" else (steps.audio_valid, steps.video_valid)
    assert not gone.any()
    assert kept.any()
    assert steps.speech_energy.any() == (only == "voice")


def test_a_recording_without_any_face_or_sound_can_be_read() -> None:
    bare = replace(
        track(),
        crops=torch.zeros((0, 48, 48), dtype=torch.uint8),
        regions=torch.zeros((0, 4, 5), dtype=torch.float16),
        face_index=torch.full((200,), -1),
        voice=torch.zeros(0, 6),
        voice_index=torch.full((200,), -1),
        audio_valid=torch.zeros(200, dtype=torch.bool),
        waveform=torch.zeros(0, dtype=torch.int16),
    )
    steps = HOW.whole(bare)
    assert all(not part.any() for part in (steps.voice, steps.regions, steps.crops, steps.waveform))


def test_an_answer_holds_until_the_next_step() -> None:
    answers = torch.arange(4.0)
    assert on_ticks(answers, 22, 5).tolist() == [0] * 9 + [1] * 5 + [2] * 5 + [3] * 3


def test_steps_and_reading_agree_on_all_fields() -> None:
    assert len(HOW.whole(track())) == len(Steps._fields)


def test_after_the_end_of_a_recording_nothing_is_known() -> None:
    short, how = track(ticks=50), Reading(frozenset({"voice", "regions"}), 1, 5)
    steps = how.batch([short], [0], 14)
    assert how.num_steps(short) == 10
    for known in (
        steps.audio_valid,
        steps.video_valid,
        steps.emotion >= 0,
        steps.arousal_valence.isfinite().all(dim=-1),
    ):
        assert not known[0, 10:].any()
    assert steps.arousal_valence[0, :10].isfinite().all()
    assert not steps.voice[0, 10:].any()
    assert not steps.regions[0, 10:].any()
    whole = how.whole(short)
    for ours, theirs in zip(steps, whole, strict=True):
        torch.testing.assert_close(ours[:, :10], theirs, equal_nan=True)
    assert how.num_steps(track(ticks=3)) == 1
