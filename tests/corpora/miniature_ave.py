"""Few numbers -> a small AVE in its official layout, whose events are seen and heard from their start to their end."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emotrace.media_writer import ClipWriter
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray, Image

CATEGORIES = {
    "Church bell": "church bell",
    "Male speech, man speaking": "male speech",
    "Bark": "bark",
    "Fixed-wing aircraft, airplane": "fixed-wing aircraft",
    "Race car, auto racing": "race car",
    "Female speech, woman speaking": "female speech",
    "Helicopter": "helicopter",
    "Violin, fiddle": "violin",
    "Flute": "flute",
    "Ukulele": "ukulele",
    "Frying (food)": "frying",
    "Truck": "truck",
    "Shofar": "shofar",
    "Motorcycle": "motorcycle",
    "Acoustic guitar": "acoustic guitar",
    "Train horn": "train horn",
    "Clock": "clock",
    "Banjo": "banjo",
    "Goat": "goat",
    "Baby cry, infant cry": "baby cry",
    "Bus": "bus",
    "Chainsaw": "chainsaw",
    "Cat": "cat",
    "Horse": "horse",
    "Toilet flush": "toilet flush",
    "Rodents, rats, mice": "rodents",
    "Accordion": "accordion",
    "Mandolin": "mandolin",
}
"""As the lists name them -> as emotrace does."""
COUNTS = {"trainSet.txt": 2, "valSet.txt": 1, "testSet.txt": 1}
STRETCHES = ((0, 10), (2, 7), (5, 10), (0, 4), (6, 8))
"""Seconds of the events, which take turns."""
WIDTH, HEIGHT, PICTURE_RATE_HZ = 96, 64, 12.5


def write_ave(
    root: Path,
    *,
    clips: bool = False,
    counts: Mapping[str, int] = COUNTS,
    categories: Sequence[str] = tuple(CATEGORIES),
    seconds: float = 10.0,
) -> Path:
    """Write the three lists, and the videos that they name.

    Args:
        root: is made.
        clips: whether the videos show and voice the events; else they are empty files.
        counts: how many lines of each category a list has.
        categories: as the lists name them.
        seconds: of every video; what lies beyond is cut from the events, not from their lines.
    """
    (root / "AVE").mkdir(parents=True)
    numbers = itertools.count()
    for name, count in counts.items():
        lines = []
        for category in categories:
            for _ in range(count):
                number = next(numbers)
                start, end = STRETCHES[number % len(STRETCHES)]
                video = video_name(number)
                lines.append(f"{category}&{video}&good&{start}&{end}")
                path = root / "AVE" / f"{video}.mp4"
                if clips:
                    write_event(path, list(CATEGORIES).index(category), start, end, seconds=seconds, seed=number)
                else:
                    path.touch()
        (root / name).write_text("\n".join(lines) + "\n")
    return root


def video_name(number: int) -> str:
    """Return eleven characters as YouTube gives them; some begin with a hyphen, or two."""
    return ("-_{:03d}aZ-_9x", "--{:03d}Bq_7Kw", "0Qv{:03d}dSh-E")[number % 3].format(number)


def write_event(path: Path, kind: int, start: float, end: float, *, seconds: float, seed: int) -> None:
    """Write a clip of 96x64 pixels: stripes and a tone of that kind from start to end, else grey and faint noise."""
    rng = np.random.default_rng(seed)
    sound = 0.01 * rng.standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)
    first, last = (min(len(sound), round(time * SAMPLE_RATE)) for time in (start, end))
    sound[first:last] += _tone(kind, last - first)
    with ClipWriter(path, width=WIDTH, height=HEIGHT, frame_rate=PICTURE_RATE_HZ, sample_rate=SAMPLE_RATE) as writer:
        for index in range(round(seconds * PICTURE_RATE_HZ)):
            time = index / PICTURE_RATE_HZ
            grey = _stripes(kind) if start <= time < end else np.full((HEIGHT, WIDTH), 110.0, np.float32)
            noisy = (grey + rng.normal(0, 4, grey.shape)).clip(0, 255).astype(np.uint8)
            writer.write_frame(time, _coloured(noisy))
        writer.write_audio(sound)


def _tone(kind: int, count: int) -> FloatArray:
    times = np.arange(count) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 200 * 2 ** (kind / 6) * times)).astype(np.float32)


def _stripes(kind: int) -> FloatArray:
    """Return [HEIGHT, WIDTH] whose direction and width tell the 28 kinds apart."""
    direction, period = np.pi * (kind % 7) / 7, 8.0 + 6.0 * (kind // 7)
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    along = right * np.cos(direction) + down * np.sin(direction)
    return np.asarray(128 + 80 * np.sin(2 * np.pi * along / period), dtype=np.float32)


def _coloured(grey: Image) -> Image:
    return np.repeat(grey[..., None], 3, axis=2)
