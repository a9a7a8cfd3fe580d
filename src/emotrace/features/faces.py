"""A picture -> the faces in it: two detectors."""

import math
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from cv2.data import haarcascades

from emotrace.errors import EmotraceError
from emotrace.features.following import centre
from emotrace.media import Box, VideoFrame
from emotrace.model_files import YUNET
from emotrace.types import Face, FloatArray

MIN_FACE_PIXELS = 32.0
"""Longer side of the smallest face that is reported: below it a face shows no expression."""
_SEARCH_SIDE = 320
"""Pixels of the longer side of the picture that the detectors see."""
_NEAR_REACH = 0.85
"""Half the side of the square in which a detector looks near a face, in sides of the face."""


class Detector(Protocol):
    """Finds faces in one picture; no memory between pictures."""

    @property
    def name(self) -> Literal["haar", "yunet"]:
        """Which crop geometry of the recipe belongs to its boxes."""

    @property
    def is_free(self) -> bool:
        """Whether looking costs nothing, so that every picture can be searched as a whole."""

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """Return the faces, boxes in pixels of the upright frame, the most prominent face first.

        Prominent is what is large, near the middle and certain, see `prominence`.

        Args:
            frame: the picture.
            near: where a face is expected. The detector may then look around it alone, for faces of about its size,
                which costs a fraction.
        """


def prominence(face: Face, frame_width: int, frame_height: int) -> float:
    """Return area in pixels x confidence x a weight that falls from 1 in the middle to 0.5 in the corners."""
    off_centre = math.hypot(
        (face.x + face.width / 2) / frame_width - 0.5, (face.y + face.height / 2) / frame_height - 0.5
    )
    return face.width * face.height * face.confidence * (1 - off_centre / math.sqrt(2))


def _around(face: Face, width: int, height: int) -> Box:
    """Return the square around a face in a picture of this size, as far as it lies inside; it may be empty."""
    (x, y), reach = centre(face), _NEAR_REACH * max(face.width, face.height)
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    return left, top, max(left, min(width, math.ceil(x + reach))), max(top, min(height, math.ceil(y + reach)))


def _by_prominence(faces: list[Face], frame: VideoFrame) -> list[Face]:
    large = [face for face in faces if max(face.width, face.height) >= MIN_FACE_PIXELS]
    return sorted(large, key=lambda face: -prominence(face, frame.width, frame.height))


class HaarDetector:
    """The boosted cascade that comes with OpenCV: frontal faces, no landmarks.

    Source: P. Viola and M. Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001.
    The cascade gives no probability. Its confidence here is n / (n + 3), where n counts the overlapping windows that
    agreed on the face: 0.5 at the fewest that are accepted, about 0.9 for a clear frontal face. Steps of 1.2 instead of
    1.1 find 4 % fewer faces in FER+ images (427 instead of 446 of 600) in half the time.
    """

    name: Literal["haar"] = "haar"
    is_free: Literal[False] = False
    _SCALE_STEP = 1.2
    _MIN_AGREEING = 3
    _MIN_SHARE = 0.12
    """Side of the smallest face looked for, as a share of the shorter side of the picture."""
    _NEAR_SIZES = (0.75, 1.4)
    """Sides of the faces looked for near another, as shares of its side."""

    def __init__(self) -> None:
        path = Path(haarcascades) / "haarcascade_frontalface_alt2.xml"
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise EmotraceError(
                f"OpenCV's face cascade is missing at {path}. Reinstall opencv-python-headless, at least 4.11, below 5."
            )

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """See `Detector.detect`."""
        shrink = max(1.0, max(frame.width, frame.height) / _SEARCH_SIDE)
        box: Box = (0, 0, frame.width, frame.height)
        least, most = self._MIN_SHARE * min(frame.width, frame.height), float(max(frame.width, frame.height))
        if near is not None:
            box = _around(near, frame.width, frame.height)
            least, most = (max(least, share * max(near.width, near.height)) for share in self._NEAR_SIZES)
        width, height = box[2] - box[0], box[3] - box[1]
        if min(width, height) < 20 * shrink:
            return []
        part = frame.grey_part(box, round(max(width, height) / shrink))
        boxes, agreeing = self._cascade.detectMultiScale2(
            part,
            scaleFactor=self._SCALE_STEP,
            minNeighbors=self._MIN_AGREEING,
            minSize=(max(20, round(least / shrink)),) * 2,
            maxSize=(round(most / shrink),) * 2,
        )
        faces = [
            Face(
                x=box[0] + float(found[0]) * shrink,
                y=box[1] + float(found[1]) * shrink,
                width=float(found[2]) * shrink,
                height=float(found[3]) * shrink,
                confidence=float(count) / (float(count) + self._MIN_AGREEING),
            )
            for found, count in zip(boxes, agreeing, strict=True)
        ]
        return _by_prominence(faces, frame)


class YuNetDetector:
    """A small convolutional detector with five landmarks; finds turned and partly hidden faces too.

    Source: W. Wu, H. Peng and S. Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20
    (2023) 656-665. It sees the picture in grey, as the face network does, in a square of 320 pixels a side; near a face
    of 128.
    """

    name: Literal["yunet"] = "yunet"
    is_free: Literal[False] = False
    _NEAR_SIDE = 128
    _MIN_SCORE = 0.6
    _MAX_OVERLAP = 0.3
    _MAX_CANDIDATES = 100

    def __init__(self, path: Path) -> None:
        """Load the file.

        Raises:
            EmotraceError: the file is missing, or is not the published one.
        """
        try:
            content = path.read_bytes() if path.stat().st_size == YUNET.size else b""
        except OSError as error:
            raise EmotraceError(
                f"{path} cannot be read ({error.strerror}). `emotrace models fetch yunet` fetches it; "
                "`--detector haar` does without."
            ) from error
        if sha256(content).hexdigest() != YUNET.sha256:
            raise EmotraceError(
                f"{path} is not the published YuNet file (sha256 {YUNET.sha256[:16]}... expected). Remove it and run "
                "`emotrace models fetch yunet`."
            )
        buffer = np.frombuffer(content, np.uint8)
        self._network = cv2.FaceDetectorYN.create(
            "onnx",
            buffer,
            np.empty(0, np.uint8),
            (_SEARCH_SIDE, _SEARCH_SIDE),
            self._MIN_SCORE,
            self._MAX_OVERLAP,
            self._MAX_CANDIDATES,
        )

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """See `Detector.detect`."""
        box: Box = (0, 0, frame.width, frame.height) if near is None else _around(near, frame.width, frame.height)
        if box[0] == box[2] or box[1] == box[3]:
            return []
        side = _SEARCH_SIDE if near is None else self._NEAR_SIDE
        part = frame.grey_part(box, side)
        height, width = part.shape
        canvas = np.zeros((side, side, 3), np.uint8)
        canvas[:height, :width] = part[:, :, None]
        self._network.setInputSize((side, side))
        _, rows = self._network.detect(canvas)
        if rows is None:
            return []
        scale = np.array([(box[2] - box[0]) / width, (box[3] - box[1]) / height], np.float32)
        corner = np.array(box[:2], np.float32)
        faces = [_yunet_face(row, scale, corner) for row in rows if np.isfinite(row).all()]
        return _by_prominence(faces, frame)


def _yunet_face(row: FloatArray, scale: FloatArray, corner: FloatArray) -> Face:
    """Turn [15] x, y, width, height, five points and score into a face; scale [2] and corner [2] lead to the frame."""
    points = row[4:14].reshape(5, 2) * scale + corner
    eyes, nose, mouth = points[:2], points[2:3], points[3:]
    pairs = [pair[np.argsort(pair[:, 0], kind="stable")] for pair in (eyes, mouth)]
    x, y = (row[:2] * scale + corner).tolist()
    width, height = (row[2:4] * scale).tolist()
    return Face(
        x=x,
        y=y,
        width=width,
        height=height,
        confidence=min(1.0, max(0.0, float(row[14]))),
        landmarks=np.concatenate([pairs[0], nose, pairs[1]]),
    )


def make_detector(choice: Literal["auto", "yunet", "haar"]) -> Detector:
    """Return the detector; "auto" is YuNet when its file has been fetched, Haar otherwise.

    Raises:
        EmotraceError: YuNet was asked for and its file is missing or damaged.
    """
    cv2.setNumThreads(1)  # pictures this small gain nothing from more
    if choice == "haar" or (choice == "auto" and not YUNET.path.is_file()):
        return HaarDetector()
    return YuNetDetector(YUNET.path)
