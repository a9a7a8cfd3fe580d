"""Recordings made hard: what is missing or contradicts, and for how long."""

import pytest
import torch

from emotrace.training.comparison_rows import SHARES
from emotrace.training.hardship import Hardship, Kind, endure, mixed
from tests.training.tracks import track

ONE, OTHER = track("one", 1000, seed=1), track("other", 400, seed=2)


@pytest.mark.parametrize("share", SHARES)
def test_the_share_that_is_asked_for_is_missing(share: int) -> None:
    hard = endure(ONE, Hardship("missing", share, 0), OTHER)
    missing = (ONE.video_valid & ~hard.video_valid).float().sum() / ONE.video_valid.sum()
    assert missing == pytest.approx(share / 100, abs=0.06)
    assert torch.equal(hard.audio_valid, ONE.audio_valid)


def test_a_missing_voice_has_no_energy() -> None:
    hard = endure(ONE, Hardship("missing", 0, 50), OTHER)
    gone = ONE.audio_valid & ~hard.audio_valid
    assert gone.any()
    assert not hard.speech_energy[gone].any()
    assert torch.equal(hard.face_index, ONE.face_index)


def test_a_contradiction_is_there_loud_and_clear_and_of_the_other() -> None:
    hard = endure(ONE, Hardship("contradicting", 50, 0), OTHER)
    swapped = hard.face_index >= len(ONE.crops)
    assert 0.3 < swapped.float().mean() < 0.7
    tick = int(swapped.nonzero()[10])
    wrapped = tick % len(OTHER)
    assert torch.equal(hard.crops[hard.face_index[tick]], OTHER.crops[OTHER.face_index[wrapped]])
    assert torch.equal(hard.regions[hard.face_index[tick]], OTHER.regions[OTHER.face_index[wrapped]])
    assert torch.equal(hard.voice_index, ONE.voice_index)


def test_a_contradicting_voice_sounds_and_reads_like_the_other() -> None:
    hard = endure(ONE, Hardship("contradicting", 0, 100), OTHER)
    tick = 300
    assert torch.equal(hard.voice[hard.voice_index[tick]], OTHER.voice[OTHER.voice_index[tick]])
    assert torch.equal(hard.waveform[tick * 640 : tick * 640 + 640], OTHER.waveform[tick * 640 : tick * 640 + 640])


@pytest.mark.parametrize("kind", ["missing", "contradicting"])
def test_reliability_says_what_is_still_right(kind: Kind) -> None:
    hard = endure(ONE, mixed(kind), OTHER)
    voice, face = hard.reliability.unbind(dim=1)
    # A third of the time each, never both at once.
    begun = ONE.audio_valid
    assert (face[begun] == 0).float().mean() == pytest.approx(1 / 3, abs=0.1)
    assert (voice[begun] == 0).float().mean() == pytest.approx(1 / 3, abs=0.1)
    assert not ((voice == 0) & (face == 0) & begun).any()
    assert not hard.reliability[~begun].any()


def test_the_labels_stay_and_the_same_stretches_are_drawn_again() -> None:
    first, second = (endure(ONE, mixed("missing"), OTHER) for _ in range(2))
    assert torch.equal(first.face_index, second.face_index)
    assert torch.equal(first.arousal_valence, ONE.arousal_valence)


def test_nothing_changes_at_a_share_of_zero() -> None:
    hard = endure(ONE, Hardship("contradicting", 0, 0), OTHER)
    assert torch.equal(hard.face_index, ONE.face_index)
    assert torch.equal(hard.waveform, ONE.waveform)
