"""The delay of annotation, found on recordings whose raters lag by a known time."""

from dataclasses import replace

import pytest
import torch

from emotrace.errors import CorpusError
from emotrace.training.delay import search_delay_seconds
from emotrace.training.study import Study
from emotrace.training.tracks import Track
from tests.training.tracks import track


class _Rated:
    """A study whose recordings are in memory."""

    def __init__(self, tracks: list[Track]) -> None:
        self.items = {"train": tracks}

    def unmoved(self, items: list[Track], front_end: str, faces: str) -> list[Track]:
        return items


def _search(tracks: list[Track]) -> float:
    study: Study = _Rated(tracks)  # type: ignore[assignment]  # what the search asks of it
    return search_delay_seconds(study)


def _late(seconds: float, number: int, ticks: int = 1500) -> Track:
    one = track(f"x{number}", ticks, seed=number)
    lag = round(seconds * 25)
    labels = torch.cat([one.arousal_valence[:1].expand(lag, -1), one.arousal_valence])[:ticks]
    return replace(one, arousal_valence=labels)


@pytest.mark.parametrize("seconds", [0.0, 1.2, 2.8])
def test_the_time_by_which_raters_lag_is_found(seconds: float) -> None:
    assert _search([_late(seconds, number) for number in range(6)]) == pytest.approx(seconds, abs=0.41)


def test_recordings_without_a_face_or_a_voice_and_short_ones_are_no_hindrance() -> None:
    tracks = [_late(1.2, number) for number in range(6)]
    tracks[0] = tracks[0].without("voice")
    tracks[1] = replace(tracks[1].without("face"), voice=tracks[1].voice[:0], voice_index=tracks[1].voice_index * 0 - 1)
    assert _search([*tracks, _late(0.0, 9, 50)]) == pytest.approx(1.2, abs=0.41)


def test_too_few_recordings_are_told() -> None:
    with pytest.raises(CorpusError, match="set it in seconds"):
        _search([_late(0.0, 1)])
