"""Dynamics of a window: each says what its name says of signals made for it, and none is NaN for any sound."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrace.features.voice_dynamics import Contours, dynamics_names, voice_dynamics

BANDS, FRAMES = 8, 300


Numbers = NDArray[np.float64]


def contours(bands: Numbers | None = None, f0_hz: Numbers | None = None) -> Contours:
    f0_hz = np.full(FRAMES, 200.0) if f0_hz is None else f0_hz
    bands = np.zeros((FRAMES, BANDS)) if bands is None else bands
    return Contours(bands.astype(np.float32), f0_hz.astype(np.float32), np.full(len(f0_hz), 0.8, dtype=np.float32))


def described(made: Contours) -> dict[str, float]:
    return dict(zip(dynamics_names(made.bands.shape[1]), voice_dynamics(made).tolist(), strict=True))


def test_every_number_has_a_name_of_its_own() -> None:
    assert len(set(dynamics_names(32))) == len(dynamics_names(32)) == 128


@pytest.mark.parametrize("hz", [1.0, 2.0, 4.5, 8.0, 15.0])
def test_a_band_that_swells_at_a_rate_has_its_modulation_there(hz: float) -> None:
    wave = np.sin(2 * np.pi * hz * np.arange(FRAMES) / 100)
    found = described(contours(np.repeat(wave[:, None], BANDS, axis=1)))
    power = {name: value for name, value in found.items() if name.startswith("modulation") and name.endswith("_0")}
    low, high = (float(edge) for edge in max(power, key=lambda name: power[name]).split("_")[1:3])
    assert low <= hz <= high


def test_the_mean_spectrum_changes_nothing_but_what_depends_on_level() -> None:
    moving = np.random.default_rng(0).standard_normal((FRAMES, BANDS))
    tilted = moving + np.linspace(-1, 3, BANDS)
    plain, found = described(contours(moving)), described(contours(tilted))
    for name in plain:
        if not name.startswith("level"):
            assert found[name] == pytest.approx(plain[name], abs=1e-4), name


def test_the_course_follows_a_rising_band_and_a_falling_pitch() -> None:
    rise = np.zeros((FRAMES, BANDS))
    rise[:, :4] = np.linspace(-1, 1, FRAMES)[:, None]
    found = described(contours(rise, np.geomspace(400, 100, FRAMES)))
    assert [found[f"course_{quarter}_0"] for quarter in range(4)] == pytest.approx([-0.75, -0.25, 0.25, 0.75], abs=0.01)
    assert [found[f"course_{quarter}_1"] for quarter in range(4)] == [0.0] * 4
    octaves = [found[f"pitch_course_{quarter}"] / np.log(2) for quarter in range(4)]
    assert octaves == pytest.approx([0.75, 0.25, -0.25, -0.75], abs=0.01)


def test_bands_agree_that_move_together_and_disagree_that_move_against_each_other() -> None:
    wave = np.random.default_rng(1).standard_normal((FRAMES, 1))
    together = described(contours(np.repeat(wave, BANDS, axis=1)))
    against = described(contours(np.concatenate([np.repeat(wave, 4, axis=1), -np.repeat(wave, 4, axis=1)], axis=1)))
    assert together["agreement_0_1"] == pytest.approx(1, abs=1e-3)
    assert against["agreement_0_1"] == pytest.approx(-1, abs=1e-3)


def test_voicing_is_told_by_share_changes_and_excess() -> None:
    voiced = np.arange(FRAMES) < FRAMES // 2
    bands = np.where(voiced, 2.0, 0.0)[:, None] * np.ones(BANDS)
    found = described(contours(bands, np.where(voiced, 200.0, 0.0)))
    assert [found[f"voiced_share_{quarter}"] for quarter in range(4)] == [1, 1, 0, 0]
    assert found["voicing_changes"] == pytest.approx(1 / FRAMES)
    assert found["voiced_excess_0"] == pytest.approx(1)
    assert found["voiced_periodicity"] == pytest.approx(0.8)


def test_level_rise_and_jump_are_those_of_a_step() -> None:
    bands = np.where(np.arange(FRAMES) < 100, -2.0, 1.0)[:, None] * np.ones(BANDS)
    found = described(contours(bands))
    assert found["level_jump"] == pytest.approx(3, abs=0.01)
    assert found["level_rise"] == pytest.approx(3 / (FRAMES - 1), abs=1e-4)


@pytest.mark.parametrize(("frames", "voicing_frames"), [(3, 1), (2, 1), (7, 4), (298, 295), (900, 897)])
@pytest.mark.parametrize("f0_hz", [0.0, 200.0])
def test_short_and_unvoiced_windows_give_no_nan(frames: int, voicing_frames: int, f0_hz: float) -> None:
    bands = np.random.default_rng(2).standard_normal((frames, BANDS))
    found = voice_dynamics(contours(bands, np.full(voicing_frames, f0_hz)))
    assert np.isfinite(found).all()
    assert found.dtype == np.float32
