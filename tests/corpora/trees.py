"""Few numbers -> tiny corpora in their official layouts, real files of noise."""

from pathlib import Path

import av
import cv2
import numpy as np

from emotrace.labels import FERPLUS_COLUMNS, RAVDESS_CODES
from emotrace.types import Image

FACE_EMOTIONS = ("happiness", "anger", "sadness", "neutral")


def face(seed: int) -> Image:
    """Return a 48x48 picture, another for every seed, never black."""
    return np.random.default_rng(seed).integers(60, 200, (48, 48)).astype(np.uint8)


def write_ferplus(root: Path, *, seeds: dict[str, list[int]]) -> Path:
    """Write pictures by their seeds into FER2013Train, FER2013Valid and FER2013Test; emotions take turns."""
    for folder, numbers in seeds.items():
        (root / folder).mkdir(parents=True)
        rows = ['"","(0, 0, 48, 48)",0,0,0,0,0,0,0,0,0,10']  # no file, as in the official table
        for place, seed in enumerate(numbers):
            name = f"fer{place:07d}.png"
            cv2.imwrite(str(root / folder / name), face(seed))
            votes = [0] * 10
            votes[FERPLUS_COLUMNS.index(FACE_EMOTIONS[place % len(FACE_EMOTIONS)])] = 8
            votes[8] = 2
            rows.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}')
        (root / folder / "label.csv").write_text("\n".join(rows) + "\n")
    return root


def write_sound(path: Path, seconds: float = 0.6, seed: int = 0) -> Path:
    """Write bursts of noise as the sound file that the name says, wav or flac."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 3000, round(seconds * 16_000))
    noise *= np.sin(np.linspace(0, np.pi, len(noise))) ** 2
    frame = av.AudioFrame.from_ndarray(noise.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = 16_000, 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le" if path.suffix == ".wav" else "flac", rate=16_000, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_ravdess(root: Path, actors: tuple[int, ...]) -> Path:
    """Write one utterance per emotion and actor."""
    for actor in actors:
        for code in RAVDESS_CODES:
            name = f"03-01-{code}-01-01-01-{actor:02d}.wav"
            write_sound(root / f"Actor_{actor:02d}" / name, seed=100 * actor + int(code))
    return root


def write_nemo(root: Path, speakers: tuple[str, ...], emotions: tuple[str, ...] = ("anger", "surprised")) -> Path:
    """Write one utterance per emotion and speaker, and data.tsv."""
    rows = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for number, speaker in enumerate(speakers):
        for emotion in emotions:
            name = f"{speaker}_{emotion}_0.wav"
            write_sound(root / "samples" / name, seed=number)
            rows.append(f'{name}\t{emotion}\t"Ona\tona\t{speaker}\tfemale\t30')  # a quote that does not close
    (root / "data.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root
