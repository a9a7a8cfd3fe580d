"""Inputs of the voice network from another process: the same to the bit, also after it has died, and nothing stays."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np

from emotrace.app.voice_process import pays_off, voice_process
from emotrace.features.voice_input import context_samples, voice_inputs
from emotrace.recipe import AudioRecipe
from tests.media_factory import Sound, talking_clip, tone, write_clip

RECIPE = AudioRecipe()


def test_the_inputs_are_the_same_also_after_the_process_has_died() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000 * 6).astype(np.float32)
    ends = np.arange(context_samples(RECIPE), len(sound), 6_400)
    wanted = voice_inputs(sound, ends, RECIPE)
    with voice_process() as describe:
        np.testing.assert_array_equal(describe(sound, ends, RECIPE)(), wanted)
        [process] = multiprocessing.active_children()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        np.testing.assert_array_equal(describe(sound, ends, RECIPE)(), wanted)
    assert not multiprocessing.active_children()


def test_it_pays_off_for_long_recordings_with_sound_alone(tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.wav", sounds=[Sound(tone(130, sample_rate=8000), 8000, "pcm_s16le")])
    assert pays_off(long)
    assert not pays_off(talking_clip(tmp_path / "short.mp4"))
    assert not pays_off(tmp_path / "missing.mp4")
