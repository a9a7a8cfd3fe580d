"""Whole sound recordings that few programs expect: of odd rate, depth, number of channels, and samples."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from emotrace.types import FloatArray
from tests.hostile.case import Case, Expected, holding
from tests.hostile.containers import wav
from tests.hostile.seeds import Heard, recorded
from tests.media_factory import tone


def odd_sound_cases() -> Iterator[Case]:
    """Yield all cases of this file."""
    yield from _sounds()
    yield from _samples()


def _sounds() -> Iterator[Case]:
    for rate in (999, 1000, 4000, 8000, 11_025, 44_100, 96_000, 192_000, 384_000, 768_000, 800_000):
        expected: Expected = "read" if 1000 <= rate <= 768_000 else "refused"
        content = holding(wav(_tone16(rate), rate=rate))
        yield Case(f"sound-at-{rate}-hz", "a.wav", content, expected)
    for channels in (2, 3, 6, 8, 9, 16, 24, 63, 64):
        content = holding(wav(np.repeat(_samples16(16_000), channels).tobytes(), channels=channels))
        yield Case(f"sound-of-{channels}-channels", "a.wav", content, "read")
    for code, bits in ((1, 8), (1, 24), (1, 32), (1, 64), (3, 32), (3, 64), (6, 8), (7, 8)):
        content = holding(wav(_tone16(16_000), code=code, bits=bits))
        known: Expected = "either" if bits == 64 else "read"  # PyAV has no integers of 64 bits
        yield Case(f"sound-of-code-{code}-and-{bits}-bits", "a.wav", content, known)
    for codec, layout, suffix in (
        ("aac", "7.1", ".m4a"),
        ("libopus", "7.1", ".mkv"),
        ("flac", "7.1", ".flac"),
        ("ac3", "5.1", ".mkv"),
        ("alac", "stereo", ".m4a"),
        ("wavpack", "stereo", ".wv"),
        ("tta", "stereo", ".tta"),
        ("adpcm_ima_wav", "mono", ".wav"),
        ("g722", "mono", ".wav"),
        ("pcm_f64le", "mono", ".mkv"),
        ("mp2", "mono", ".mp2"),
        ("eac3", "5.1", ".eac3"),
    ):
        rate = 16_000 if codec == "g722" else 48_000
        sound = Heard(codec, rate, layout)
        content = holding(partial(recorded, suffix, [], [sound]))
        yield Case(f"sound-of-{codec}-{layout}", f"a{suffix}", content, "read")  # fmt: skip


def _samples16(rate: int, seconds: float = 1.0) -> Any:
    return (tone(seconds, 300.0, rate)[0] * 32767).astype("<i2")


def _tone16(rate: int) -> bytes:
    return bytes(_samples16(rate).tobytes())


def _samples() -> Iterator[Case]:
    base = tone(1.0, 300.0, 16_000)[0]
    forms: dict[str, Callable[[], FloatArray]] = {
        "nan": lambda: np.full(16_000, np.nan, np.float32),
        "inf": lambda: np.full(16_000, -np.inf, np.float32),
        "some-nan": lambda: np.where(np.arange(16_000) % 7 == 0, np.nan, base).astype(np.float32),
        "huge": lambda: (base * np.float32(3e38)).astype(np.float32),
        "denormal": lambda: (base * np.float32(1e-42)).astype(np.float32),
        "random-bits": lambda: np.frombuffer(np.random.default_rng(5).bytes(64_000), "<f4").astype(np.float32),
        "silence": lambda: np.zeros(16_000, np.float32),
        "constant": lambda: np.ones(16_000, np.float32),
        "clipped": lambda: np.sign(base).astype(np.float32),
    }
    for name, form in forms.items():
        content = holding(wav(form().astype("<f4").tobytes(), code=3, bits=32))
        yield Case(f"samples-{name}", "a.wav", content, "read")
    doubles = np.array([1e308, -1e308, np.nan, np.inf] * 4000).tobytes()
    yield Case("samples-of-doubles-beyond-float", "a.wav", holding(wav(doubles, code=3, bits=64)), "read")
    yield Case("one-sample", "a.wav", holding(wav(b"\0\x40")), "read")
