"""Few numbers -> a folder of feature tables with labels.csv, as OpenFace and openSMILE write them; nobody's features.

The class shifts some columns of each modality, by more than they scatter; so do arousal and valence where these are
rated. Columns have sizes of their own, action units beside hertz.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["csv", "npz", "parquet"]
Rows = NDArray[np.float64]

CLASSES = ("calm", "happy", "tense")
SPEAKERS: Mapping[str, str] = {"ann": "train", "ben": "train", "cyd": "validation", "dan": "test", "eve": "test"}
"""With the split of each."""
VOICE = (
    *("F0semitone", "jitter", "loudness", "shimmer", "HNR", "flux"),
    *("F1", "F2", "F3", "slope", "alphaRatio", "clock"),
)
FACE = ("AU01", "AU02", "AU04", "AU06", "AU07", "AU10", "AU12", "AU15", "AU25", "pose_Tz")
_VOICE_SIZES = np.array([30.0, 0.02, 1.0, 1.0, 8.0, 0.5, 500.0, 1500.0, 2500.0, 0.1, 10.0, 0.0])
"""The last column, `clock`, never changes."""
_FACE_SIZES = np.array([1.0] * 9 + [600.0])
VOICE_RATE_HZ, FACE_RATE_HZ = 100, 30


def write_features(
    root: Path,
    *,
    kind: Kind = "csv",
    clips: int = 2,
    seconds: float = 1.6,
    traces: bool = False,
    speakers: Mapping[str, str] = SPEAKERS,
    modalities: Sequence[str] = ("voice", "face"),
    seed: int = 0,
) -> Path:
    """Write labels.csv and the files that it names.

    The last clip of every speaker has no face, where there are faces and voices, and the first of all has cells without
    a number and rows without a face. The clips of a speaker are the turns of a dialogue of that speaker alone.

    Args:
        root: is made where it is not there.
        kind: of the files of features.
        clips: of each speaker and class; where ratings are written, of each speaker.
        seconds: of the first clip; the others last a little longer.
        traces: write arousal and valence over time instead of classes.
        speakers: with the split of each.
        modalities: that the corpus has.
        seed: of all numbers.
    """
    rng = np.random.default_rng(seed)
    lines = [f"clip,{','.join(modalities)},{'labels' if traces else 'emotion,dialogue'},speaker,split"]
    for speaker, split in speakers.items():
        labels = [""] * clips if traces else [each for _ in range(clips) for each in CLASSES]
        for number, label in enumerate(labels):
            name, length = f"{speaker}-{number}", seconds + 0.1 * (number % 3)
            wave = _ratings(length, rng.uniform(0, 6)) if traces else None
            has_face = "voice" not in modalities or number + 1 < len(labels)
            cells = []
            for modality in modalities:
                if modality == "face" and not has_face:
                    cells.append("")
                    continue
                rate_hz = VOICE_RATE_HZ if modality == "voice" else FACE_RATE_HZ
                times = np.arange(round(length * rate_hz)) / rate_hz
                rows = _rows(modality, times, label, wave, rng)
                damaged = len(lines) == 1
                cells.append(_write(root / modality / f"{name}.{kind}", times, rows, modality, damaged=damaged))
            if wave is not None:
                (root / "ratings").mkdir(exist_ok=True)
                text = [f"{time:.2f},{pair[0]:.4f},{pair[1]:.4f}" for time, pair in zip(*wave, strict=True)]
                (root / "ratings" / f"{name}.csv").write_text("\n".join(["time,arousal,valence", *text]) + "\n")
            told = f"ratings/{name}.csv" if traces else f"{label},talk-{speaker}"
            lines.append(f"{name},{','.join(cells)},{told},{speaker},{split}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def _ratings(seconds: float, phase: float) -> tuple[Rows, Rows]:
    """Return times [N] and arousal and valence [N, 2], slow waves."""
    times = np.linspace(0, seconds, max(2, round(seconds * 10)))
    return times, 0.8 * np.stack([np.sin(times + phase), np.cos(1.3 * times + phase)], axis=1)


def _rows(modality: str, times: Rows, label: str, wave: tuple[Rows, Rows] | None, rng: np.random.Generator) -> Rows:
    names, sizes = (VOICE, _VOICE_SIZES) if modality == "voice" else (FACE, _FACE_SIZES)
    scores = rng.normal(0, 0.5, (len(times), len(names)))
    if wave is not None:
        scores[:, 0] += 2 * np.interp(times, wave[0], wave[1][:, 0])
        scores[:, 3] += 2 * np.interp(times, wave[0], wave[1][:, 1])
    else:
        scores[:, 2 * CLASSES.index(label)] += 2
    return np.asarray(sizes * (4 + scores) + (sizes == 0))


def _write(path: Path, times: Rows, rows: Rows, modality: str, *, damaged: bool) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = VOICE if modality == "voice" else FACE
    success = np.ones(len(times), dtype=np.int64)
    if damaged:
        rows[3, 1] = np.nan
        success[5:10] = 0
    if path.suffix == ".npz":
        np.savez(path, features=rows, time=times)
    elif path.suffix == ".parquet":
        _write_parquet(path, {"time": times} | dict(zip(names, rows.T, strict=True)))
    elif modality == "voice":
        head = ";".join(("name", "frameTime", *names))
        lines = [f"'unknown';{time:.6f};{_cells(row, ';')}" for time, row in zip(times, rows, strict=True)]
        path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    else:
        head = ", ".join(("frame", "face_id", "timestamp", "confidence", "success", *names))
        lines = [
            f"{at + 1}, 0, {times[at]:.3f}, 0.98, {success[at]}, {_cells(rows[at], ', ')}" for at in range(len(times))
        ]
        path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return f"{modality}/{path.name}"


def _cells(row: Rows, delimiter: str) -> str:
    return delimiter.join(f"{value:.6g}" for value in row)


def _write_parquet(path: Path, columns: Mapping[str, Rows]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), path)
