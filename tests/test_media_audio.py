"""Sound of any rate and number of channels becomes one channel, at the times where it was."""

from pathlib import Path

import numpy as np
import pytest

from emotrace.media_audio import SoundTrack, mixed
from tests.media_factory import Sound, tone, write_clip
from tests.media_readers import end_of, joined, read_file, starts_of_runs, strongest_hertz, write_wav


@pytest.mark.parametrize(
    ("sample_rate", "num_channels", "layout", "codec"),
    [
        (8_000, 1, "mono", "pcm_s16le"),
        (16_000, 1, "mono", "pcm_s16le"),
        (22_050, 2, "stereo", "flac"),
        (44_100, 6, "5.1", "aac"),
        (48_000, 8, "7.1", "pcm_s24le"),
        (48_000, 8, "7.1", "libopus"),
        (96_000, 2, "stereo", "pcm_f32le"),
    ],
)
def test_any_rate_and_number_of_channels_becomes_their_mean_at_16_khz(
    tmp_path: Path, sample_rate: int, num_channels: int, layout: str, codec: str
) -> None:
    samples = np.zeros((num_channels, sample_rate), dtype=np.float32)
    samples[0] = tone(1.0, 440, sample_rate, 0.8)[0]
    path = write_clip(tmp_path / "sound.mkv", sounds=[Sound(samples, sample_rate, codec, 0.0, layout)])
    heard = joined(read_file(path)[0])
    assert len(heard) == pytest.approx(16_000, abs=700)  # aac fills up its last frame
    assert strongest_hertz(heard) == pytest.approx(440, abs=2)
    middle = heard[4000:12_000]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.8 / num_channels, rel=0.03)


def test_16_bit_sound_at_the_wanted_rate_comes_back_exactly(tmp_path: Path) -> None:
    noise = (np.random.default_rng(0).integers(-32768, 32768, 5000) / 32768).astype(np.float32)
    chunks, _, _ = read_file(write_wav(tmp_path / "noise.wav", noise, 16_000))
    np.testing.assert_array_equal(joined(chunks), noise)


def test_resampled_sound_is_quantised_to_16_bit(tmp_path: Path) -> None:
    chunks, _, _ = read_file(write_clip(tmp_path / "a.wav", sounds=[Sound(tone(0.2), codec="pcm_f32le")]))
    steps = joined(chunks) * 32768
    np.testing.assert_array_equal(steps, np.rint(steps))


def test_sound_in_small_blocks_equals_sound_in_one_block() -> None:
    samples = tone(1.0, 300, 44_100)[0]
    whole, parts = SoundTrack(16_000), SoundTrack(16_000)
    together = [*whole.push(0.0, samples, 44_100), *whole.close_run()]
    pieces = [
        chunk
        for first in range(0, 44_100, 777)
        for chunk in parts.push(first / 44_100, samples[first : first + 777], 44_100)
    ]
    pieces += parts.close_run()
    np.testing.assert_allclose(joined(pieces), joined(together), atol=1 / 32768)
    assert end_of(pieces) == end_of(together) == 1.0
    assert starts_of_runs(pieces) == [0.0]


def test_sound_that_goes_back_in_time_is_dropped_and_counted() -> None:
    track = SoundTrack(16_000)
    block = np.full(16_000, 0.25, dtype=np.float32)
    chunks = [*track.push(0.0, block, 16_000), *track.push(0.4, block, 16_000), *track.close_run()]
    assert starts_of_runs(chunks) == [0.0]
    assert end_of(chunks) == pytest.approx(1.4)
    assert track.overlap_seconds == pytest.approx(0.6)


def test_jitter_below_the_gap_is_not_a_jump() -> None:
    track = SoundTrack(16_000)
    block = np.full(1600, 0.25, dtype=np.float32)
    starts = [index * 0.1 + jitter for index, jitter in enumerate([0.0, 0.02, -0.03, 0.04, 0.0])]
    chunks = [chunk for start in starts for chunk in track.push(start, block, 16_000)]
    assert starts_of_runs(chunks) == [0.0]


def test_sound_that_is_not_a_number_becomes_silence() -> None:
    track = SoundTrack(16_000)
    block = np.array([np.nan, np.inf, -np.inf, 7.0, -7.0], dtype=np.float32)
    samples = joined([*track.push(0.0, block, 16_000), *track.close_run()])
    np.testing.assert_array_equal(samples, [0, 0, 0, 32767 / 32768, -1])


def test_channels_are_mixed_by_their_mean() -> None:
    packed = np.array([[16384, -16384, 8192, 8192]], dtype=np.int16)
    np.testing.assert_array_equal(mixed(packed, 2, 1), [0.0, 0.25])
    np.testing.assert_array_equal(mixed(packed, 2, 2), [[0.5, -0.5], [0.25, 0.25]])
    np.testing.assert_array_equal(mixed(np.array([[0, 128]], dtype=np.uint8), 1, 1), [-1.0, 0.0])
