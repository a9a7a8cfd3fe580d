"""What a comparison reports of a system whose answers are known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from emotrace.layers.steps import Steps, SystemOutput, any_known
from emotrace.training.comparison_rows import CURVES, SHARES
from emotrace.training.judging import Judgement, judge
from emotrace.training.presets import PRESETS
from emotrace.training.systems import StandardisedSystem, build, reading_of
from emotrace.training.tracks import Track
from tests.training.tracks import track

SETTINGS = PRESETS["kalman-fusion"].settings
TRACKS = [track(f"x{number}", 400, seed=number) for number in range(4)]


class Oracle(torch.nn.Module):
    """Says the labels where it sees a face, zeros elsewhere; its audio weight is what eq. 31 wants."""

    def __init__(self, lag_steps: int = 0) -> None:
        super().__init__()
        self.lag_steps = lag_steps

    def forward(self, steps: Steps) -> SystemOutput:
        seen = steps.video_valid.unsqueeze(-1)
        labels = steps.arousal_valence.nan_to_num()
        later = torch.cat([labels[:, self.lag_steps :], labels[:, : self.lag_steps]], 1)
        logits = torch.nn.functional.one_hot(steps.emotion, 8).float()
        weight = (1 + steps.audio_valid.float() - steps.video_valid.float()) / 2
        return SystemOutput(torch.where(seen, later, 0.0), logits, weight, any_known(steps))


def _judged(oracle: Oracle, tracks: list[Track], delay_ticks: int = 0) -> Judgement:
    sizes = reading_of(SETTINGS, 25.0).sizes(tracks[0])
    system = build(SETTINGS, sizes)
    oracle_system = StandardisedSystem(oracle, sizes)
    assert type(system) is type(oracle_system)
    return judge(oracle_system, SETTINGS, TRACKS[:2], tracks, delay_ticks)


def test_who_knows_all_has_full_marks_as_far_as_steps_allow() -> None:
    seen = [replace(each, face_index=each.face_index.clamp(min=0)) for each in TRACKS]
    found = _judged(Oracle(), seen)
    for dimension in ("arousal", "valence"):
        assert found.figures[f"ccc_{dimension}"] > 0.98
        assert found.figures[f"rmse_{dimension}"] < 0.12
        assert found.figures[f"ccc_official_{dimension}"] == pytest.approx(found.figures[f"ccc_{dimension}"], abs=0.01)
        low, high = found.intervals[f"ccc_{dimension}"]
        assert low <= found.figures[f"ccc_{dimension}"] <= high + 1e-9
    assert found.figures["accuracy"] > 0.9


def test_curves_fall_with_the_share_of_faces_and_not_with_that_of_voices() -> None:
    found = _judged(Oracle(), TRACKS)
    assert set(found.curves) == set(CURVES)
    assert all(set(curve) == set(SHARES) for curve in found.curves.values())
    face = [sum(found.curves["missing face"][share]) for share in SHARES]
    assert face == sorted(face, reverse=True)
    assert face[-1] == 0
    voice = found.curves["missing voice"]
    assert voice[0] == pytest.approx(voice[100])
    assert voice[0] == (found.figures["ccc_arousal"], found.figures["ccc_valence"])


def test_a_weight_that_follows_what_is_missing_correlates_with_it_but_not_with_contradictions() -> None:
    found = _judged(Oracle(), TRACKS)
    assert found.figures["beta_missing"] > 0.85
    assert abs(found.figures["beta_contradicting"]) < 0.3
    assert math.isnan(found.figures["beta_own"])  # toy recordings do not know their own
    ideals = [ideal for ideal, _ in found.weight_points["missing"]]
    assert ideals == [0.0, 0.5, 1.0]
    assert all(weight == pytest.approx(ideal, abs=0.1) for ideal, weight in found.weight_points["missing"])


def test_answers_to_moved_labels_are_moved_back() -> None:
    # The labels of 10 steps later are what a system says that learnt from labels moved by 50 ticks.
    ahead, back = _judged(Oracle(10), TRACKS), _judged(Oracle(10), TRACKS, 50)
    assert back.figures["ccc_arousal"] > ahead.figures["ccc_arousal"] + 0.3


def test_ticks_without_a_label_are_left_out() -> None:
    def forget(labels: Tensor) -> Tensor:
        return torch.where(torch.arange(len(labels))[:, None] < 100, torch.nan, labels)

    found = _judged(Oracle(), [replace(each, arousal_valence=forget(each.arousal_valence)) for each in TRACKS])
    assert all(len(answer) == 300 for answer in found.predictions.values())
    assert math.isfinite(found.figures["ccc_arousal"])


def test_a_step_of_post_processing_that_is_left_out_is_not_reported() -> None:
    sizes = reading_of(SETTINGS, 25.0).sizes(TRACKS[0])
    system = StandardisedSystem(Oracle(), sizes)
    found = judge(system, SETTINGS, TRACKS[:2], TRACKS, steps=("centring", "shift"))
    after = {name for name in found.figures if name.startswith("ccc_after_") and name.endswith("_arousal")}
    assert after == {"ccc_after_centring_arousal", "ccc_after_shift_arousal"}


def test_post_processing_is_reported_beside_the_plain_figure() -> None:
    found = _judged(Oracle(), TRACKS)
    for step in ("median", "centring", "scaling", "shift"):
        assert f"ccc_after_{step}_arousal" in found.figures
