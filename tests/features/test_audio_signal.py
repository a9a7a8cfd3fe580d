"""Short-term analysis and endpoint detection: blocks equal the whole, numbers by hand, made and real sounds."""

from collections.abc import Callable
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.features.audio_signal import (
    EndpointState,
    detect_speech,
    frame_signal,
    hamming,
    pre_emphasise,
    short_term_energy,
    zero_crossing_rate,
)
from emotrace.types import BoolArray, FloatArray

RATE = 16_000
TICK = 640
BURSTS = ((2.4, 3.2), (4.0, 5.6), (6.4, 6.8), (8.0, 9.4))
"""Seconds at which the made recordings sound."""


def babble(length: int, rng: np.random.Generator) -> FloatArray:
    """Harmonics of a gliding 120 Hz voice with four syllables a second."""
    seconds = np.arange(length) / RATE
    phase = 2 * np.pi * np.cumsum(120 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * seconds))) / RATE
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 20))
    return np.asarray(harmonics * np.clip(0.6 + 0.5 * np.cos(2 * np.pi * 4 * seconds), 0.1, 1), dtype=np.float32)


def tone(length: int, rng: np.random.Generator) -> FloatArray:
    return np.sin(2 * np.pi * 440 * np.arange(length) / RATE).astype(np.float32)


def hiss(length: int, rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal(length).astype(np.float32)


def recording(
    sound: Callable[[int, np.random.Generator], FloatArray], level_db: float, snr_db: float
) -> tuple[FloatArray, BoolArray]:
    """Ten seconds of bursts at a level (RMS, dB of full scale) in noise, and at which ticks they sound."""
    rng = np.random.default_rng(7)
    samples = np.zeros(10 * RATE, dtype=np.float32)
    sounding = np.zeros(10 * RATE, dtype=np.bool_)
    for start, end in BURSTS:
        burst = slice(round(start * RATE), round(end * RATE))
        made = sound(burst.stop - burst.start, rng)
        samples[burst] = made / np.sqrt(np.mean(made**2))
        sounding[burst] = True
    noise = hiss(len(samples), rng) * 10 ** (-snr_db / 20)
    mixed = ((samples + noise) * 10 ** (level_db / 20)).astype(np.float32)
    return mixed, sounding.reshape(-1, TICK)[:, TICK // 2]


def longest_run(wrong: BoolArray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


@given(cuts=st.lists(st.integers(0, 500), max_size=5), coefficient=st.sampled_from([0.0, 0.94, 1.0]))
def test_pre_emphasis_of_blocks_equals_the_whole(cuts: list[int], coefficient: float) -> None:
    samples = hiss(500, np.random.default_rng(1))
    whole, last = pre_emphasise(samples, coefficient, 0.0)
    previous, blocks = 0.0, []
    for block in np.split(samples, sorted(cuts)):
        out, previous = pre_emphasise(block, coefficient, previous)
        blocks.append(out)
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert previous == last


def test_pre_emphasis_by_hand() -> None:
    out, last = pre_emphasise(np.array([1.0, 1.0, 0.5], dtype=np.float32), 0.94, 0.5)
    np.testing.assert_allclose(out, [1 - 0.47, 0.06, 0.5 - 0.94], rtol=1e-6)
    assert last == 0.5


@pytest.mark.parametrize("length", [1, 2, 400])
def test_hamming_equals_numpy(length: int) -> None:
    np.testing.assert_allclose(hamming(length), np.hamming(length), atol=1e-7)


def test_frames_are_cut_without_padding() -> None:
    frames = frame_signal(np.arange(9, dtype=np.float32), frame_length=4, hop_length=2)
    np.testing.assert_array_equal(frames, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]])
    assert frame_signal(np.zeros(3, dtype=np.float32), 4, 2).shape == (0, 4)


def test_energy_and_crossings_by_hand() -> None:
    frames = np.array([[1, -1, 2, 2], [0, 0, 0, -1]], dtype=np.float32)
    window = np.array([1, 1, 0.5, 0.5], dtype=np.float32)
    np.testing.assert_allclose(short_term_energy(frames, window), [4.0, 0.25])
    np.testing.assert_allclose(zero_crossing_rate(frames), [2 / 4, 1 / 4])


def test_crossings_equal_librosa() -> None:
    samples = hiss(RATE, np.random.default_rng(2))
    expected = librosa.feature.zero_crossing_rate(samples, frame_length=400, hop_length=160, center=False)[0]
    np.testing.assert_allclose(zero_crossing_rate(frame_signal(samples)), expected, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 250), max_size=6))
def test_speech_in_blocks_with_carry_equals_the_whole(cuts: list[int]) -> None:
    samples, _ = recording(babble, -20, 15)
    end, whole = detect_speech(EndpointState(), samples)
    state, speech, energy = EndpointState(), [], []
    for block in np.split(samples, [cut * TICK for cut in sorted(cuts)]):
        state, found = detect_speech(state, block)
        speech.append(found.speech)
        energy.append(found.speech_energy)
    np.testing.assert_array_equal(np.concatenate(speech), whole.speech)
    np.testing.assert_array_equal(np.concatenate(energy), whole.speech_energy)
    np.testing.assert_array_equal(state.histogram, end.histogram)


def test_a_block_longer_than_is_held_at_once_equals_its_parts() -> None:
    samples = np.tile(recording(babble, -20, 20)[0], 5)
    _, whole = detect_speech(EndpointState(), samples)
    state, first = detect_speech(EndpointState(), samples[: 700 * TICK])
    _, second = detect_speech(state, samples[700 * TICK :])
    np.testing.assert_array_equal(whole.speech, np.concatenate([first.speech, second.speech]))


@pytest.mark.parametrize("sound", [babble, tone, hiss])
@pytest.mark.parametrize("level_db", [-6, -30, -50])
@pytest.mark.parametrize("snr_db", [10, 20, 30])
def test_bursts_are_found_within_100_ms(
    sound: Callable[[int, np.random.Generator], FloatArray], level_db: float, snr_db: float
) -> None:
    samples, sounding = recording(sound, level_db, snr_db)
    _, found = detect_speech(EndpointState(), samples)
    wrong = (found.speech != sounding)[2 * 25 + 2 :]  # the first two seconds tell what the background is
    assert longest_run(wrong) <= 2  # ticks of 40 ms


@pytest.mark.parametrize("level_db", [-200, -80, -65])
def test_silence_and_faint_noise_are_no_speech(level_db: float) -> None:
    samples = hiss(5 * RATE, np.random.default_rng(3)) * np.float32(10 ** (level_db / 20))
    _, found = detect_speech(EndpointState(), samples)
    assert not found.speech.any()
    assert not found.speech_energy.any()


def test_faint_hum_and_an_offset_are_no_speech() -> None:
    hum = 0.001 * np.sin(2 * np.pi * 50 * np.arange(5 * RATE) / RATE) + 0.2
    _, found = detect_speech(EndpointState(), hum.astype(np.float32))
    assert not found.speech[1:].any()  # the step at the start is a click


@pytest.mark.parametrize("sound", [hiss, tone])
@pytest.mark.parametrize("lead_seconds", [0, 40])
def test_steady_sound_is_speech_for_two_seconds_at_most(
    sound: Callable[[int, np.random.Generator], FloatArray], lead_seconds: int
) -> None:
    steady = 0.05 * sound(6 * RATE, np.random.default_rng(4))
    samples = np.concatenate([np.zeros(lead_seconds * RATE, dtype=np.float32), steady])
    _, found = detect_speech(EndpointState(), samples)
    assert not found.speech[(lead_seconds + 2) * 25 + 3 :].any()


@pytest.mark.parametrize("level_db", [-10, -30, -45])
def test_a_recording_that_starts_with_speech_is_heard_within_100_ms(level_db: float) -> None:
    samples = 10 ** (level_db / 20) * babble(RATE, np.random.default_rng(5))
    _, found = detect_speech(EndpointState(), samples.astype(np.float32))
    assert found.speech[2]  # tick 2 begins 80 ms after the start


def test_a_faint_sound_after_a_vowel_is_kept_if_it_is_unvoiced() -> None:
    rng = np.random.default_rng(6)
    background = np.convolve(hiss(4 * RATE, rng), np.ones(8), mode="same")
    background *= 0.003 / background.std()
    after_vowel = slice(2 * RATE + RATE // 2, 2 * RATE + RATE // 2 + RATE // 4)
    kept = {}
    for name, sound in {"s": np.diff(hiss(RATE // 4 + 1, rng)), "hum": tone(RATE // 4, rng)}.items():
        samples = background.copy()
        samples[2 * RATE : after_vowel.start] += 0.2 * tone(RATE // 2, rng)
        samples[after_vowel] += 0.005 * sound / sound.std()
        _, found = detect_speech(EndpointState(), samples.astype(np.float32))
        kept[name] = int(found.speech[63:68].sum())
    assert kept["s"] == 5  # ticks
    assert kept["hum"] <= 2  # of the same energy


def test_speech_energy_is_between_0_and_1_and_follows_the_level() -> None:
    loud = babble(2 * RATE, np.random.default_rng(8)) / 4
    pause = np.zeros(RATE, dtype=np.float32)
    _, found = detect_speech(EndpointState(), np.concatenate([pause, loud, pause, loud / 2, pause]))
    energy = found.speech_energy
    assert energy.min() == 0
    assert energy.max() <= 1
    assert energy[25 + 12 : 75].max() > 0.9
    assert 0.1 < energy[100 + 12 : 150].max() < 0.35  # half the amplitude is a quarter of the energy
    assert not energy[~found.speech].any()


def test_samples_that_are_no_whole_ticks_are_refused() -> None:
    with pytest.raises(ValueError, match="641 samples"):
        detect_speech(EndpointState(), np.zeros(641, dtype=np.float32))


def test_real_utterances_are_speech_in_the_middle_and_silent_at_the_start(data_root: Path) -> None:
    shares, starts = [], []
    for path in sorted((data_root / "ravdess" / "Actor_01").glob("*.flac")):
        with av.open(str(path)) as container:
            blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        samples = np.concatenate(blocks).astype(np.float32) / np.float32(32_768)
        _, found = detect_speech(EndpointState(), samples[: len(samples) // TICK * TICK])
        shares.append(found.speech.mean())
        starts.append(found.speech[:8].any())
    assert len(shares) == 60
    assert min(shares) > 0.30
    assert max(shares) < 0.70
    assert np.mean(starts) < 0.1  # two of sixty begin with an audible breath
