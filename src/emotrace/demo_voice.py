"""A mood over time -> babble that sounds like speech, for the demonstration clip.

A source-filter synthesiser in the time domain: every glottal pulse rings four formants, each a damped sinusoid
(X. Rodet, "Time-domain formant-wave-function synthesis", Computer Music Journal 8, 1984). Vowels follow consonants of
band-passed noise in syllables and phrases; arousal raises pitch, level, tempo and brightness.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

_Sound = NDArray[np.float64]

_VOWELS = np.array(
    [
        [730, 1090, 2440, 3400],
        [530, 1840, 2480, 3500],
        [290, 2250, 2950, 3600],
        [570, 860, 2410, 3300],
        [320, 880, 2240, 3300],
    ],
    dtype=np.float64,
)
"""Formants in Hz of a, e, i, o and u as a man speaks them."""
_BANDWIDTHS = np.array([80.0, 100.0, 140.0, 220.0])
_CONSONANTS = (
    (5200.0, 0.09, 0.5),
    (3000.0, 0.08, 0.6),
    (3600.0, 0.025, 0.9),
    (1700.0, 0.03, 0.9),
    (0.0, 0.02, 0.0),
)
"""Centre in Hz, length in seconds and level of the noise of s, sh, t, k, and of none (a voiced onset)."""
_RING_SECONDS = 0.03
"""After this long a pulse has died away (80 Hz of bandwidth: -65 dB)."""
_RING = round(_RING_SECONDS * SAMPLE_RATE)
_ROOM_NOISE = 3e-4


@dataclass(frozen=True)
class Mood:
    """Where the speaker is in the plane of valence and arousal, both in [-1, 1]."""

    arousal: float
    valence: float


def babble(mood_at: Callable[[float], Mood], silence: tuple[float, float], seed: int) -> Iterator[FloatArray]:
    """Yield consecutive stretches of speech-like sound [N] in [-1, 1] at `SAMPLE_RATE`, without end.

    Args:
        mood_at: the mood at a time in seconds.
        silence: seconds [start, end) in which nothing is said.
        seed: of the choice of syllables.
    """
    rng = np.random.default_rng(seed)
    tail = np.zeros(_RING)
    for sound in _sounds(mood_at, silence, rng):
        sound[:_RING] += tail
        ready, tail = sound[:-_RING], sound[-_RING:]
        noise = rng.normal(scale=_ROOM_NOISE, size=len(ready))
        yield np.clip(ready + noise, -1, 1).astype(np.float32)


def _sounds(
    mood_at: Callable[[float], Mood], silence: tuple[float, float], rng: np.random.Generator
) -> Iterator[_Sound]:
    """Yield pauses and syllables, each with `_RING` samples of decay that overlap the next."""
    now = 0.0
    while True:
        start = now + rng.uniform(0.35, 0.6)
        syllables = int(rng.integers(5, 10))
        for index in range(syllables):
            mood = mood_at(start)
            seconds = rng.uniform(0.85, 1.15) / np.clip(4.2 + 1.4 * mood.arousal, 3.0, 5.0)
            if index == syllables - 1:
                seconds *= 1.3
            if start < silence[1] and start + seconds + _RING_SECONDS > silence[0]:
                start = silence[1]
            while start > now:
                pause = min(round((start - now) * SAMPLE_RATE), SAMPLE_RATE)
                yield np.zeros(max(pause, _RING) + _RING)
                now += max(pause, _RING) / SAMPLE_RATE
            declination = 1.12 - 0.22 * index / syllables
            sound = _syllable(mood, seconds, declination, rng)
            yield sound
            now += (len(sound) - _RING) / SAMPLE_RATE
            start = now


def _syllable(mood: Mood, seconds: float, declination: float, rng: np.random.Generator) -> _Sound:
    """Return a consonant and a vowel, with `_RING` samples of decay."""
    count = round(seconds * SAMPLE_RATE)
    centre_hz, noise_seconds, level = _CONSONANTS[rng.integers(len(_CONSONANTS))]
    onset = round(noise_seconds * SAMPLE_RATE)
    sound = np.zeros(count + _RING)
    loudness = 0.24 * 10 ** (0.45 * mood.arousal) * rng.uniform(0.85, 1.1)
    if level:
        sound[:onset] += loudness * level * _hiss(onset, centre_hz, rng)
    pitch_hz = 118 * 2 ** (0.75 * mood.arousal + 0.12 * mood.valence) * declination
    pulses = _pulse_seconds((count - onset) / SAMPLE_RATE, pitch_hz, rng)
    vowel = _VOWELS[rng.integers(len(_VOWELS))]
    locus = np.array([320.0, rng.choice([1000.0, 1700.0]), 2400.0, 3400.0])
    glide = np.exp(-pulses / 0.03)[:, None]
    brightness = np.array([1.0, 0.55, 0.25, 0.14]) ** (1 - 0.4 * mood.arousal)
    rings = _rings(pulses, vowel + (locus - vowel) * glide, brightness, pitch_hz)
    progress = pulses * SAMPLE_RATE / (count - onset)
    envelope = np.minimum(1, pulses / 0.035) * np.minimum(1, (1 - progress) / 0.35) ** 0.7
    rings *= (loudness * envelope * rng.uniform(0.94, 1.0, len(pulses)))[:, None]
    for pulse, ring in zip(pulses, rings, strict=True):
        first = onset + int(pulse * SAMPLE_RATE)
        sound[first : first + _RING] += ring[: len(sound) - first]
    return sound


def _pulse_seconds(seconds: float, pitch_hz: float, rng: np.random.Generator) -> _Sound:
    """Return [P]: the times of the glottal pulses, with 1 % of jitter, vibrato and a falling contour."""
    count = max(1, int(seconds * pitch_hz * 0.97))
    at = np.arange(count) / pitch_hz
    contour = 1.04 - 0.09 * at / seconds + 0.012 * np.sin(2 * np.pi * 5.5 * at)
    periods = (1 + rng.normal(scale=0.01, size=count)) / (pitch_hz * contour)
    pulses = np.cumsum(periods) - periods[0]
    return np.asarray(pulses[pulses < seconds])


def _rings(pulses: _Sound, formants_hz: _Sound, levels: _Sound, pitch_hz: float) -> _Sound:
    """Return [P, _RING]: the answer of the vocal tract to each pulse.

    Args:
        pulses: [P] seconds; the fraction of a sample shifts the answer, which keeps the pitch exact.
        formants_hz: [P, 4].
        levels: [4] of the formants.
        pitch_hz: also the centre of a broad fifth formant that stands for the body of the glottal flow.
    """
    fraction = 1 - np.modf(pulses * SAMPLE_RATE)[0]
    time = ((np.arange(_RING) + fraction[:, None]) / SAMPLE_RATE)[:, None, :]
    body = np.full((len(pulses), 1), 1.3 * pitch_hz)
    centres = np.concatenate([formants_hz, body], axis=1)[..., None]
    decay = np.pi * np.append(_BANDWIDTHS, 1.5 * pitch_hz)[:, None]
    weights = np.append(levels, 0.8)[:, None]
    damped = weights * np.exp(-decay * time) * np.sin(2 * np.pi * centres * time)
    attack = np.minimum(1, time[:, 0] / 0.001)
    return np.asarray(damped.sum(axis=1) * attack)


def _hiss(count: int, centre_hz: float, rng: np.random.Generator) -> _Sound:
    """Return [count]: noise around a frequency, fading in fast and out slowly."""
    taps = np.arange(-20, 21)
    kernel = np.hanning(41) * np.cos(2 * np.pi * centre_hz * taps / SAMPLE_RATE) / 4
    noise = np.convolve(rng.normal(size=count + 40), kernel, mode="valid")
    progress = np.arange(count) / count
    return np.asarray(noise * np.minimum(1, progress / 0.15) * np.minimum(1, (1 - progress) / 0.5))
