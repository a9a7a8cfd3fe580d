"""A clip -> what following a face changes against searching every picture as a whole: prints JSON.

`python -m benchmarks.following CLIP`. Both ways go through the same features and networks; what differs is whether the
detector may look around the face alone.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emotrace.bundle import Bundle, load_bundle
from emotrace.features.extract import extract
from emotrace.features.faces import Detector, make_detector
from emotrace.inference.system_session import open_session
from emotrace.media import VideoFrame, open_clip
from emotrace.types import BoolArray, Face, FloatArray


@dataclass(frozen=True)
class Searching:
    """A detector that always looks through the whole picture.

    Attributes:
        inner: finds the faces.
    """

    inner: Detector

    @property
    def name(self) -> Literal["haar", "yunet"]:
        """Whose boxes they are."""
        return self.inner.name

    @property
    def is_free(self) -> bool:
        """Nobody is asked to save a search."""
        return True

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """Return all faces of the picture."""
        return self.inner.detect(frame)


@dataclass(frozen=True)
class Trace:
    """What one way gives at every tick.

    Attributes:
        detected: [T] whether there is a face.
        boxes: [T, 4] x, y, width, height in pixels; NaN without a face.
        arousal: [T] in [-1, 1]; NaN where nothing is known.
        valence: [T] likewise.
        processor_seconds: of all threads.
    """

    detected: BoolArray
    boxes: FloatArray
    arousal: FloatArray
    valence: FloatArray
    processor_seconds: float


def trace(path: Path, bundle: Bundle, detector: Detector) -> Trace:
    """Return the trace of a clip."""
    session = open_session(bundle, num_threads=1)
    state: Any = session.initial_state()
    begin = time.process_time()
    features, estimates = [], []
    with open_clip(path) as clip:
        for block in extract(clip, bundle.recipe, detector):
            said, state = session.run(block, state)
            features.append((block.face_detected, block.face_box))
            estimates.append((said.arousal, said.valence))
    detected, boxes = (np.concatenate(parts) for parts in zip(*features, strict=True))
    arousal, valence = (np.concatenate(parts) for parts in zip(*estimates, strict=True))
    return Trace(detected, boxes, arousal, valence, time.process_time() - begin)


def compared(followed: Trace, searched: Trace) -> dict[str, Any]:
    """Return how far two traces of the same clip agree; None where there is nothing to compare."""
    both = followed.detected & searched.detected
    found: dict[str, Any] = {
        "ticks": len(both),
        "share_followed": float(followed.detected.mean()),
        "share_searched": float(searched.detected.mean()),
        "share_both": float(both.mean()),
        "median_overlap": float(np.median(overlap(followed.boxes[both], searched.boxes[both]))) if both.any() else None,
        "processor_seconds_followed": followed.processor_seconds,
        "processor_seconds_searched": searched.processor_seconds,
    }
    for name, one, other in (
        ("arousal", followed.arousal, searched.arousal),
        ("valence", followed.valence, searched.valence),
    ):
        apart = np.abs(one - other)
        apart = apart[np.isfinite(apart)]
        known = len(apart) > 0
        found[name] = {
            "median": float(np.median(apart)) if known else None,
            "percentile_95": float(np.percentile(apart, 95)) if known else None,
            "largest": float(apart.max()) if known else None,
        }
    return found


def overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return [N]: intersection over union of boxes [N, 4] of x, y, width, height."""
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    shared = np.prod(np.maximum(0, high - low), axis=1)
    joined = np.prod(one[:, 2:], axis=1) + np.prod(other[:, 2:], axis=1) - shared
    return np.asarray(shared / joined, np.float32)


def main() -> None:
    """Print the agreement of both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    clip = parser.parse_args().clip
    bundle = load_bundle("default")
    detector = make_detector(bundle.recipe.video.detector)
    ways = [trace(clip, bundle, each) for each in (detector, Searching(detector))]
    print(json.dumps({"detector": detector.name, **compared(*ways)}))


if __name__ == "__main__":
    main()
