"""A bundle in float and the corpora -> the same bundle with a face network that computes with 8-bit integers.

The last step of `emotrace train default`, for a bundle that was trained before: `runs/default/float` of a training run,
or the default bundle of a commit before its face network was quantised. Prints the figures on validation data before
and after, and the CPU time of a crop on one core (least and median of several runs).

Run: python -m benchmarks.quantize_default FLOAT_BUNDLE --data DIR --output FOLDER
"""

import argparse
import time
from pathlib import Path

import numpy as np

from emotrace.bundle import Bundle, load_bundle
from emotrace.inference.session import FaceEncoder
from emotrace.training.quantization import quantise_bundle

_CROPS = 64
_RUNS = 15


def milliseconds(bundles: dict[str, Bundle]) -> dict[str, tuple[float, float]]:
    """Return the least and the median CPU time of a crop on one core; runs of the bundles take turns."""
    crops = np.random.default_rng(0).integers(0, 256, size=(_CROPS, 48, 48), dtype=np.uint8)
    encoders = {name: FaceEncoder(bundle.read("face.onnx"), num_threads=1) for name, bundle in bundles.items()}
    spent: dict[str, list[float]] = {name: [] for name in bundles}
    for run in range(_RUNS + 1):
        for name, encoder in encoders.items():
            start = time.process_time()
            encoder.see(crops)
            if run > 0:  # the first makes room
                spent[name].append(1e3 * (time.process_time() - start) / _CROPS)
    return {name: (min(times), float(np.median(times))) for name, times in spent.items()}


def main() -> None:
    """Quantise, write, and print what it gained and cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a bundle in float")
    parser.add_argument("--data", type=Path, required=True, help="folder with ferplus, ravdess and nemo")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new bundle")
    arguments = parser.parse_args()
    given = load_bundle(arguments.bundle)
    made = quantise_bundle(given, arguments.data, arguments.output)
    told = made.manifest.face_quantised
    assert told is not None
    for name, value in told.before.items():
        print(f"{name:34} float {value:.4f}  integers {told.after[name]:.4f}")
    for name, (least, median) in milliseconds({"float": given, "integers": made}).items():
        print(f"{name}: {least:.2f} ms of CPU per crop on one core (least), {median:.2f} (median)")


if __name__ == "__main__":
    main()
