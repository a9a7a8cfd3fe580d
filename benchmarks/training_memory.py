"""Numbers of recordings -> the memory that end-to-end training on their crops takes, each in a process of its own.

`python -m benchmarks.training_memory` prints a table in Markdown. The crops lie in files that are mapped into memory:
the operating system may drop what it has read of them, so only the process's own memory must not grow with them.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from emotrace.corpora.labelled import LabelledClip
from emotrace.training.arrays import Arrays, write_arrays
from emotrace.training.extraction import stored, stored_voice
from emotrace.training.presets import PRESETS
from emotrace.training.settings import override
from emotrace.training.tracks import Track, load_track
from emotrace.training.train import train

_CLASSES = ("anger", "happiness")
_TICKS, _SIDE = 250, 112


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, nargs="+", default=[25, 100, 400])
    parser.add_argument("--folder", type=Path, help="of one measurement; used by the command itself")
    options = parser.parse_args()
    if options.folder is not None:
        print(*_measured(options.folder, options.recordings[0]))
        return
    print("| recordings | crops on disk (MB) | own memory after an epoch (MB) | mapped files (MB) |")
    print("|---|---|---|---|")
    for count in options.recordings:
        with tempfile.TemporaryDirectory() as folder:
            size = _write(Path(folder), count)
            command = [
                sys.executable,
                "-m",
                "benchmarks.training_memory",
                "--recordings",
                str(count),
                "--folder",
                folder,
            ]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"| {count} | {size / 1e6:.0f} | {told[-2]} | {told[-1]} |", flush=True)


def _clip(number: int) -> LabelledClip:
    return LabelledClip(f"clip-{number}", str(number), "train", _CLASSES[number % 2], None, None)


def _write(folder: Path, count: int) -> int:
    """Write the features of recordings, and return the bytes of their crops."""
    rng = np.random.default_rng(0)
    for number in range(count):
        crops = rng.integers(0, 255, (_TICKS // 2, _SIDE, _SIDE), dtype=np.uint8)
        base: Arrays = {
            "waveform": np.zeros(_TICKS * 640, dtype=np.int16),
            "speech": np.ones(_TICKS, dtype=bool),
            "speech_energy": np.ones(_TICKS, dtype=np.float32),
            "crops": crops,
            "face_index": np.arange(_TICKS) // 2,
        }
        heard: Arrays = {
            "voice": rng.normal(size=(_TICKS, 4, 64)).astype(np.float16),
            "voice_index": np.arange(_TICKS),
            "audio_valid": np.ones(_TICKS, dtype=bool),
        }
        write_arrays(stored(folder, _clip(number)), base, "")
        write_arrays(stored_voice(folder, _clip(number), "log-mel"), heard, "")
        write_arrays(
            folder / "regions" / f"clip-{number}.safetensors", {"regions": np.zeros((125, 1, 1), np.float16)}, ""
        )
    return count * crops.nbytes


def _measured(folder: Path, count: int) -> tuple[int, int]:
    """Train an epoch over all recordings; return the process's own memory, and what is mapped, in MB."""
    torch.set_num_threads(1)
    tracks: list[Track] = [
        load_track(folder, _clip(number), "log-mel", folder / "regions", 25.0, _CLASSES) for number in range(count)
    ]
    settings = override(PRESETS["vaanet"].settings, ["visual.backbone=own", "epochs=1", "batch_size=4"])
    train(tracks, tracks[:4], settings, folder / "training", whole=True)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous, mapped = (int(status[name].split()[0]) // 1000 for name in ("RssAnon", "RssFile"))
    return anonymous, mapped


if __name__ == "__main__":
    main()
