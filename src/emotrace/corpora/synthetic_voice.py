"""The hidden course of a generated recording -> what its person says, and what the microphone takes of it."""

import numpy as np
import soxr

from emotrace.corpora.synthetic_story import LABEL_RATE_HZ, Story, tick_times
from emotrace.demo_voice import Mood, babble
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import BoolArray, FloatArray

_SPEEDS = (0.9, 1.2)
"""How fast the voice is played: pitch, vocal tract and tempo of other people."""
_LEVELS = (0.4, 0.7)
_BRIGHTNESS = 0.5
"""Weight of the sample before at valence 1: a smile shortens the vocal tract and brightens the voice."""
_FADE_SECONDS = 0.02
_ROOM_NOISE = 3e-4
_NOISE_LEVELS = (0.5, 1.5)
"""Noise in poor sound, as multiples of the root mean square of the speech."""
_NEVER = (float("inf"), float("inf"))


def speak(story: Story, rng: np.random.Generator) -> FloatArray:
    """Return the speech [N] at `SAMPLE_RATE` in [-1, 1], zero where the story has the person silent."""
    times = tick_times(len(story.voice) / LABEL_RATE_HZ)
    speed, level = np.exp(rng.uniform(*np.log(_SPEEDS))), rng.uniform(*_LEVELS)

    def mood_at(babble_seconds: float) -> Mood:
        arousal, valence = (float(np.interp(babble_seconds / speed, times, story.voice[:, axis])) for axis in (0, 1))
        return Mood(arousal=arousal, valence=valence)

    count = round(len(times) * SAMPLE_RATE / LABEL_RATE_HZ)
    parts: list[FloatArray] = []
    missing = count * speed + SAMPLE_RATE
    for part in babble(mood_at, _NEVER, int(rng.integers(2**32))):
        parts.append(part)
        missing -= len(part)
        if missing <= 0:
            break
    samples = soxr.resample(np.concatenate(parts), SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ")[:count]
    tilt = _BRIGHTNESS * _per_sample(story.voice[:, 1])
    before = np.concatenate([samples[:1], samples[:-1]])
    bright = (samples - tilt * before) / (1 - tilt)  # as loud as it was at the pitch, louder or softer above it
    return np.asarray(np.clip(level * bright * _gain(story.voice_reliability > 0), -1, 1), dtype=np.float32)


def microphone(speech: FloatArray, story: Story, rng: np.random.Generator) -> FloatArray:
    """Return the speech [N] with the noise of the room, and with loud noise where the story has poor sound."""
    loudness = float(np.sqrt(np.mean(speech**2)))
    poor = _gain((story.voice_reliability > 0) & (story.voice_reliability < 1))
    level = _ROOM_NOISE + poor * loudness * rng.uniform(*_NOISE_LEVELS)
    return np.asarray(np.clip(speech + level * rng.standard_normal(len(speech), np.float32), -1, 1), dtype=np.float32)


def _per_sample(values: FloatArray) -> FloatArray:
    """Return values [T] of the ticks as values [N] of the samples, in straight lines between the ticks."""
    count = round(len(values) * SAMPLE_RATE / LABEL_RATE_HZ)
    at = np.arange(count) * (LABEL_RATE_HZ / SAMPLE_RATE)
    return np.asarray(np.interp(at, np.arange(len(values)), values), dtype=np.float32)


def _gain(on: BoolArray) -> FloatArray:
    """Return [N]: 1 where it is on, 0 where it is off, with short fades within what is on."""
    samples = SAMPLE_RATE // LABEL_RATE_HZ
    gate = np.repeat(on.astype(np.float32), samples)
    fade = round(_FADE_SECONDS * SAMPLE_RATE)
    ramp = np.convolve(np.pad(gate, fade, mode="edge"), np.ones(2 * fade + 1) / (2 * fade + 1), mode="valid")
    return np.asarray(gate * np.maximum(0, 2 * ramp - 1), dtype=np.float32)
