"""FER+ training images -> the crop geometry of each detector: how its boxes lie in images framed like FER+.

Each 48x48 image is enlarged and set in the middle of a square canvas that goes on with its blurred edge, because the
detectors need surroundings. Where a detector finds a face, the image's side and centre relative to the box are the
crop that would have given that image back. Their medians are the defaults in `emotrace.recipe`.

Run: python benchmarks/crop_geometry.py FERPLUS_ROOT [--yunet FILE] [--images 3000]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from emotrace.features.faces import Detector, HaarDetector, YuNetDetector
from emotrace.images import read_grey, resize
from emotrace.media import VideoFrame
from emotrace.model_files import YUNET
from emotrace.types import FloatArray, Image

CANVAS_SIDE = 320
IMAGE_SIDE = 180
_MARGIN = (CANVAS_SIDE - IMAGE_SIDE) // 2


def on_canvas(image: Image) -> VideoFrame:
    """Return the image, enlarged, in the middle of a canvas; around it its edge goes on, coarsened."""
    large = resize(image, IMAGE_SIDE, IMAGE_SIDE)
    edged = np.pad(resize(image, 12, 12), 5, mode="edge")
    side = IMAGE_SIDE * len(edged) // 12
    cut = (side - CANVAS_SIDE) // 2
    canvas = resize(edged, side, side)[cut : cut + CANVAS_SIDE, cut : cut + CANVAS_SIDE].copy()
    canvas[_MARGIN : _MARGIN + IMAGE_SIDE, _MARGIN : _MARGIN + IMAGE_SIDE] = large
    return VideoFrame.from_rgb(0.0, np.repeat(canvas[..., None], 3, axis=2))


def measure(detector: Detector, paths: list[Path]) -> tuple[FloatArray, float]:
    """Return [found, 3] scale, shift_x and shift_y of the images with a face, and CPU milliseconds per picture."""
    rows, spent = [], 0.0
    for path in paths:
        frame = on_canvas(read_grey(path))
        start = time.process_time()
        faces = detector.detect(frame)
        spent += time.process_time() - start
        if faces:
            face = faces[0]
            longer = max(face.width, face.height)
            shift_x = CANVAS_SIDE / 2 - (face.x + face.width / 2)
            shift_y = CANVAS_SIDE / 2 - (face.y + face.height / 2)
            rows.append([IMAGE_SIDE / longer, shift_x / longer, shift_y / longer])
    return np.array(rows, np.float32).reshape(-1, 3), 1e3 * spent / len(paths)


def main() -> None:
    """Print detection rate, time and the quartiles of the geometry for each detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="FER+ in its official layout")
    parser.add_argument("--yunet", type=Path, default=YUNET.path, help="the YuNet file, if not in the cache")
    parser.add_argument("--images", type=int, default=3000, help="how many, spread over the training split")
    arguments = parser.parse_args()
    found = sorted((arguments.root / "FER2013Train").glob("*.png"))
    if not found:
        parser.error(f"no images in {arguments.root / 'FER2013Train'}; expected FER+ in its official layout")
    paths = found[:: max(1, len(found) // arguments.images)][: arguments.images]
    detectors: list[Detector] = [HaarDetector()]
    if arguments.yunet.is_file():
        detectors.append(YuNetDetector(arguments.yunet))
    for detector in detectors:
        rows, milliseconds = measure(detector, paths)
        found_share = f"{len(rows)} of {len(paths)} found"
        print(f"{detector.name}: {found_share}, {milliseconds:.1f} ms of CPU per picture", flush=True)
        if not len(rows):
            continue
        for name, column in zip(("scale", "shift_x", "shift_y"), rows.T, strict=True):
            low, median, high = np.percentile(column, [25, 50, 75])
            print(f"  {name:8} median {median:+.3f}  quartiles {low:+.3f} {high:+.3f}")


if __name__ == "__main__":
    main()
