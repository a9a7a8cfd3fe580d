"""A picture -> the faces in it, the one that is followed, and its square grey crop."""

import math
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from cv2.data import haarcascades
from numpy.typing import NDArray

from emotrace.downloads import YUNET
from emotrace.errors import EmotraceError
from emotrace.images import resize
from emotrace.media import Box, VideoFrame
from emotrace.recipe import VideoRecipe
from emotrace.types import Face, FloatArray, Image

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
    (x, y), reach = _centre(face), _NEAR_REACH * max(face.width, face.height)
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


_MAX_SPEED = 3.0
"""Sides of the face per second that a followed face may move beyond `_REACH` while it is out of sight."""
_REACH = 0.5
_MAX_REACH = 1.0
"""Distance from the expected place, in sides of the face, within which a face is the same person's."""
_MAX_GROWTH = 1.7
"""Ratio of sizes up to which a face is the same person's."""
_SMOOTHING_SECONDS = 0.06
_VELOCITY_SECONDS = 0.2
_MAX_EXTRAPOLATION_SECONDS = 0.3


@dataclass(frozen=True)
class Follower:
    """What `follow` carries from picture to picture.

    Attributes:
        person: number of the followed person, from 0.
        face: smoothed; None until the first face.
        velocity: [2] of the face's centre, pixels per second.
        seen_seconds: media time at which the face was last seen.
    """

    person: int = 0
    face: Face | None = None
    velocity: tuple[float, float] = (0.0, 0.0)
    seen_seconds: float = -math.inf


def follow(
    state: Follower, faces: list[Face], time_seconds: float, recipe: VideoRecipe
) -> tuple[Follower, Face | None]:
    """Choose the face of the followed person, or none while that person is out of sight.

    The first face of the first picture that has any is followed. A face continues it when it is near the place where
    it is expected and of similar size. Another face is taken only after `switch_seconds` of absence; whoever it belongs
    to then counts as another person, unless the place fits.

    Args:
        state: of the picture before; `Follower()` at the start.
        faces: of `Detector.detect`, the most prominent first.
        time_seconds: media time of the picture, not before that of the state.
        recipe: its `switch_seconds`.

    Returns:
        The next state, and the face with its box and landmarks smoothed over about a picture.
    """
    if state.face is None:
        return (state, None) if not faces else _start(faces[0], state.person, time_seconds)
    absent = time_seconds - state.seen_seconds
    if absent > recipe.switch_seconds and faces:
        same = _mismatch(state, state.face, faces[0], absent) <= 1
        return _start(faces[0], state.person + (not same), time_seconds)
    mismatch = partial(_mismatch, state, state.face, absent_seconds=absent)
    best = min(faces, key=mismatch, default=None)
    if best is None or mismatch(best) > 1:
        return state, None
    return _continue(state, state.face, best, time_seconds)


def continue_face(state: Follower, face: Face, time_seconds: float) -> Follower:
    """Return the next state of a follower whose face is known by other means than its place; the first starts it."""
    if state.face is None:
        return _start(face, state.person, time_seconds)[0]
    return _continue(state, state.face, face, time_seconds)[0]


def expected_face(state: Follower, time_seconds: float) -> Face | None:
    """Return where the followed face should be by now; None once it is out of sight for longer than it is guessed."""
    absent = time_seconds - state.seen_seconds
    if state.face is None or absent > _MAX_EXTRAPOLATION_SECONDS:
        return None
    return _moved(state, state.face, absent)


def _start(face: Face, person: int, time_seconds: float) -> tuple[Follower, Face]:
    return Follower(person=person, face=face, seen_seconds=time_seconds), face


def _continue(state: Follower, before: Face, face: Face, time_seconds: float) -> tuple[Follower, Face]:
    """Blend the new face with where the old one has moved to; the weights depend on time, not on the picture rate."""
    elapsed = max(time_seconds - state.seen_seconds, 1e-3)
    expected = _moved(state, before, elapsed)
    kept = math.exp(-elapsed / _SMOOTHING_SECONDS)
    smooth = _blend(expected, face, kept)
    old_velocity = math.exp(-elapsed / _VELOCITY_SECONDS)
    (x0, y0), (x1, y1) = _centre(before), _centre(smooth)
    velocity = (
        old_velocity * state.velocity[0] + (1 - old_velocity) * (x1 - x0) / elapsed,
        old_velocity * state.velocity[1] + (1 - old_velocity) * (y1 - y0) / elapsed,
    )
    return Follower(state.person, smooth, velocity, time_seconds), smooth


def _mismatch(state: Follower, before: Face, face: Face, absent_seconds: float) -> float:
    """Return how badly a face continues the followed one: the same person's up to 1."""
    (x0, y0), (x1, y1) = _centre(_moved(state, before, absent_seconds)), _centre(face)
    size, new_size = max(before.width, before.height), max(face.width, face.height)
    reach = min(_REACH + _MAX_SPEED * max(0.0, absent_seconds - 0.1), _MAX_REACH) * size
    growth = abs(math.log(new_size / size)) / math.log(_MAX_GROWTH)
    return max(math.hypot(x1 - x0, y1 - y0) / reach, growth)


def _moved(state: Follower, face: Face, seconds: float) -> Face:
    """Return the face where it is after going on at its velocity."""
    seconds = min(seconds, _MAX_EXTRAPOLATION_SECONDS)
    step = np.array(state.velocity, np.float32) * seconds
    landmarks = None if face.landmarks is None else face.landmarks + step
    return replace(face, x=face.x + float(step[0]), y=face.y + float(step[1]), landmarks=landmarks)


def _blend(old: Face, new: Face, kept: float) -> Face:
    landmarks = new.landmarks
    if landmarks is not None and old.landmarks is not None:
        landmarks = kept * old.landmarks + (1 - kept) * landmarks
    return Face(
        x=kept * old.x + (1 - kept) * new.x,
        y=kept * old.y + (1 - kept) * new.y,
        width=kept * old.width + (1 - kept) * new.width,
        height=kept * old.height + (1 - kept) * new.height,
        confidence=new.confidence,
        landmarks=landmarks,
    )


def _centre(face: Face) -> tuple[float, float]:
    return face.x + face.width / 2, face.y + face.height / 2


_MAX_TILT = math.radians(30)
_MAX_WARP_SIDE = 1024
"""Pixels; bounds the work for faces that are much larger than the crop."""


def crop_face(frame: VideoFrame, face: Face, recipe: VideoRecipe, detector_name: Literal["haar", "yunet"]) -> Image:
    """Cut out the square around a face, framed as the training images are.

    The crop's side and centre follow from the box through the recipe's geometry of the detector. With landmarks it is
    turned so that the eyes are level, by 30 degrees at most. Outside the picture its edge goes on.

    Args:
        frame: upright picture.
        face: in pixels of the frame; may lie partly outside.
        recipe: its `crop_size` and geometry.
        detector_name: whose box it is.

    Returns:
        [crop_size, crop_size] grey, 0..255.
    """
    geometry = recipe.yunet_geometry if detector_name == "yunet" else recipe.haar_geometry
    size = recipe.crop_size
    longer = max(face.width, face.height)
    side = geometry.scale * longer
    tilt = _tilt(face.landmarks)
    right = np.array([math.cos(tilt), math.sin(tilt)])
    down = np.array([-math.sin(tilt), math.cos(tilt)])
    centre = np.array(_centre(face)) + geometry.shift_y * longer * down
    # Large faces are cut out at a multiple of the crop's size and then averaged: no aliasing.
    multiple = min(max(1, math.ceil(side / size)), max(1, _MAX_WARP_SIDE // size))
    box = _covering(centre, right, down, side, frame)
    grey, origin = frame.grey_part(box), np.array(box[:2], np.float64)
    warped = _warp(grey, centre - origin, right, down, side, size * multiple)
    return resize(warped, size, size) if multiple > 1 else warped


def _covering(
    centre: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64], side: float, frame: VideoFrame
) -> Box:
    """Return the part of the picture that a turned square shows: at its edge the picture ends, or is not seen."""
    reach = side / 2 * (np.abs(right) + np.abs(down)) + 2
    low, high = np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int)
    # A square beside the picture shows the picture's nearest pixels.
    left, top = (
        int(min(max(0, place), size - 1)) for place, size in zip(low, (frame.width, frame.height), strict=True)
    )
    stop_x, stop_y = (int(place) for place in high)
    return left, top, max(left + 1, min(frame.width, stop_x)), max(top + 1, min(frame.height, stop_y))


def _tilt(landmarks: FloatArray | None) -> float:
    """Return the angle of the line through the eyes, clockwise on the screen, in radians."""
    if landmarks is None:
        return 0.0
    across, downward = (landmarks[1] - landmarks[0]).tolist()
    return min(max(math.atan2(downward, across), -_MAX_TILT), _MAX_TILT)


def _warp(
    grey: Image,
    centre: NDArray[np.float64],
    right: NDArray[np.float64],
    down: NDArray[np.float64],
    side: float,
    size: int,
) -> Image:
    """Sample [size, size] pixels of a turned square, bilinearly; coordinates have pixel centres at one half."""
    step = side / size
    corner = centre + (0.5 - size / 2) * step * (right + down) - 0.5
    matrix = np.column_stack([right * step, down * step, corner])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(grey, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)
