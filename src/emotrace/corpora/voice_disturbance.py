"""What the world does to a voice, drawn at random: speed, level, channel, noise, reverberation, narrow codecs.

Works on whole utterances at 16 kHz, before the features, so that disturbed speech passes through the same front end as
any file. No torch: training, composed recordings and evaluation share it.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

Rng = np.random.Generator


def disturb(samples: FloatArray, babble: list[FloatArray], rng: Rng) -> FloatArray:
    """Return a version of an utterance [N] as another room, microphone, speaker or codec would give it.

    Args:
        samples: [N] in [-1, 1] at 16 kHz.
        babble: utterances that are mixed in, played backwards, as voices in the background.
        rng: decides everything that is drawn.
    """
    out = change_speed(samples, rng)
    if rng.random() < 0.35:
        out = _reverberate(out, rng)
    out = _colour(out, rng)
    if rng.random() < 0.6:
        out = _add_noise(out, babble, rng)
    if rng.random() < 0.3:
        out = _narrow_band(out, rng)
    level = 10 ** (rng.uniform(-32, -6) / 20)
    peak = float(np.abs(out).max()) + 1e-9
    return np.asarray(np.clip(out * (level / peak) * rng.uniform(1, 2), -1, 1), dtype=np.float32)


def change_speed(samples: FloatArray, rng: Rng) -> FloatArray:
    """Play 0.8 to 1.25 times as fast, pitch and formants moving along: other speakers, other tempo."""
    factor = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    return np.asarray(soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE, quality="MQ"), dtype=np.float32)


def _reverberate(samples: FloatArray, rng: Rng) -> FloatArray:
    """Convolve with noise that decays over 0.1 to 0.7 s, behind a direct sound of random strength."""
    length = int(SAMPLE_RATE * rng.uniform(0.1, 0.7))
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return _convolve(samples, tail)


def _convolve(samples: FloatArray, response: NDArray[np.float64]) -> FloatArray:
    size = _fast_length(len(samples) + len(response))
    product = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(product, size)[: len(samples)], dtype=np.float32)


def _fast_length(length: int) -> int:
    """Return the next power of two: transforms of other lengths can take ten times as long."""
    return 1 << (length - 1).bit_length()


def _colour(samples: FloatArray, rng: Rng) -> FloatArray:
    """Apply a smooth random frequency response of up to +-10 dB: microphones and loudspeakers differ."""
    size = _fast_length(len(samples))
    spectrum = np.fft.rfft(samples, size)
    gains = rng.uniform(-10, 10, size=6) * rng.random()
    curve = np.interp(np.linspace(0, 1, len(spectrum)) ** 0.5, np.linspace(0, 1, 6), gains)
    return np.fft.irfft(spectrum * 10 ** (curve / 20), size)[: len(samples)].astype(np.float32)


def _add_noise(samples: FloatArray, babble: list[FloatArray], rng: Rng) -> FloatArray:
    """Add noise between white and brown, or voices in the background, at 3 to 30 dB."""
    if rng.random() < 0.4:
        noise = np.zeros(len(samples))
        for _ in range(int(rng.integers(2, 6))):
            voice = babble[int(rng.integers(len(babble)))][::-1]
            noise += np.resize(np.roll(voice, int(rng.integers(len(voice)))), len(samples))
    else:
        size = _fast_length(len(samples))
        spectrum = np.fft.rfft(rng.standard_normal(size))
        spectrum *= np.maximum(np.arange(len(spectrum)), 4) ** -rng.uniform(0, 1.2)
        noise = np.fft.irfft(spectrum, size)[: len(samples)]
    power = float((samples.astype(np.float64) ** 2).mean()) + 1e-12
    gain = np.sqrt(power / (float((noise**2).mean()) + 1e-12) * 10 ** (-rng.uniform(3, 30) / 10))
    return np.asarray(samples + gain * noise, dtype=np.float32)


def _narrow_band(samples: FloatArray, rng: Rng) -> FloatArray:
    """Cut all above 3.2 to 7 kHz, as telephones and strong codecs do, with coarse steps at times."""
    size = _fast_length(len(samples))
    spectrum = np.fft.rfft(samples, size)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum[frequencies > rng.uniform(3200, 7000)] = 0
    if rng.random() < 0.5:
        spectrum[frequencies < rng.uniform(80, 300)] = 0
    out = np.fft.irfft(spectrum, size)[: len(samples)]
    if rng.random() < 0.3:
        steps = 2 ** rng.integers(6, 9) * 1.0
        peak = np.abs(out).max() + 1e-9
        out = np.round(out / peak * steps) / steps * peak
    return out.astype(np.float32)
