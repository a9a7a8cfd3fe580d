"""Detection on real pictures, following on made-up boxes, crops of pictures whose content is known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrace.errors import EmotraceError
from emotrace.features.face_crops import crop_face
from emotrace.features.faces import Detector, HaarDetector, YuNetDetector, make_detector, prominence
from emotrace.features.following import Follower, continue_face, follow
from emotrace.images import read_grey, resize
from emotrace.media import VideoFrame, open_clip
from emotrace.model_files import YUNET
from emotrace.recipe import CropGeometry, VideoRecipe
from emotrace.types import Face, FloatArray, Image

AS_BOXED = CropGeometry(scale=1.0, shift_y=0.0)
RECIPE = VideoRecipe(switch_seconds=1.0, haar_geometry=AS_BOXED, yunet_geometry=AS_BOXED)
STEP = 0.08


def face_at(x: float, y: float, side: float = 100.0, confidence: float = 0.9) -> Face:
    """A square box by its centre."""
    return Face(x - side / 2, y - side / 2, side, side, confidence)


def centre_x(face: Face | None) -> float:
    assert face is not None
    return face.x + face.width / 2


def frame_of(grey: Image) -> VideoFrame:
    return VideoFrame.from_rgb(0.0, np.repeat(grey[..., None], 3, axis=2))


def run(
    pictures: list[list[Face]], state: Follower | None = None, first: int = 0
) -> tuple[Follower, list[tuple[int, Face | None]]]:
    """Follow through pictures 80 ms apart; for each the person and the face."""
    state = state or Follower()
    seen = []
    for index, faces in enumerate(pictures, first):
        state, face = follow(state, faces, index * STEP, RECIPE)
        seen.append((state.person, face))
    return state, seen


# Detection


@pytest.fixture
def detectors(data_root: Path) -> list[Detector]:
    return [HaarDetector(), YuNetDetector(data_root / "models" / "face_detection_yunet_n_320.onnx")]


def frame_after(path: Path, seconds: float) -> VideoFrame:
    with open_clip(path) as clip:
        for item in clip.read(video_rate_hz=2):
            if isinstance(item, VideoFrame) and item.time_seconds >= seconds:
                return VideoFrame.from_rgb(item.time_seconds, item.rgb())
    raise AssertionError(f"{path} ends before {seconds} s")


def test_both_detectors_find_the_same_face_in_a_real_picture(data_root: Path, detectors: list[Detector]) -> None:
    frame = frame_after(data_root / "clips" / "debate_640x360.mp4", 4.0)
    haar, yunet = (detector.detect(frame)[0] for detector in detectors)
    assert math.hypot(centre_x(haar) - centre_x(yunet), haar.y + haar.height / 2 - yunet.y - yunet.height / 2) < 20
    assert 0.8 < haar.height / yunet.height < 1.25
    assert haar.confidence > 0.5
    assert yunet.confidence > 0.8


def test_landmarks_lie_in_the_box_and_pairs_go_from_left_to_right(data_root: Path, detectors: list[Detector]) -> None:
    frame = frame_after(data_root / "clips" / "selfie_1920x1080.mp4", 0.0)
    face = detectors[1].detect(frame)[0]
    assert face.landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert face.x < left_eye[0] < nose[0] < right_eye[0] < face.x + face.width
    assert left_mouth[0] < right_mouth[0]
    assert face.y < left_eye[1] < nose[1] < left_mouth[1] < face.y + face.height


def test_most_training_images_are_found(data_root: Path, detectors: list[Detector]) -> None:
    paths = sorted((data_root / "ferplus" / "FER2013Train").glob("*.png"))[:400:20]
    frames = [frame_of(np.pad(resize(read_grey(path), 120, 120), 60, mode="edge")) for path in paths]
    found = [sum(bool(detector.detect(frame)) for frame in frames) for detector in detectors]
    assert found[0] >= 14
    assert found[1] >= 18


def test_near_a_face_the_same_face_is_found_and_others_are_not(data_root: Path, detectors: list[Detector]) -> None:
    frame = frame_after(data_root / "clips" / "selfie_1920x1080.mp4", 1.0)
    beside = VideoFrame.from_rgb(0.0, np.concatenate([frame.rgb(480), frame.rgb(480)], axis=1))
    for detector in detectors:
        faces = detector.detect(beside)
        assert len(faces) == 2, detector.name
        for face in faces:
            [found] = detector.detect(beside, near=face)
            assert abs(centre_x(found) - centre_x(face)) < 0.1 * face.width, detector.name
            assert 0.8 < found.height / face.height < 1.25, detector.name


def test_far_from_a_face_none_is_found(data_root: Path, detectors: list[Detector]) -> None:
    frame = frame_after(data_root / "clips" / "selfie_1920x1080.mp4", 1.0)
    places = [face_at(1700, 200), face_at(-500, 500), face_at(5000, 500), face_at(960, 500, side=30)]
    assert [detector.detect(frame, near=place) for detector in detectors for place in places] == [[]] * 8


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 7), (240, 320)])
def test_a_picture_without_a_face_has_none(shape: tuple[int, int]) -> None:
    assert HaarDetector().detect(frame_of(np.full(shape, 128, np.uint8))) == []


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 7), (240, 320)])
def test_yunet_takes_any_shape(shape: tuple[int, int], detectors: list[Detector]) -> None:
    assert detectors[1].detect(frame_of(np.full(shape, 128, np.uint8))) == []


def test_a_large_central_certain_face_is_the_most_prominent() -> None:
    middle = face_at(320, 240)
    assert prominence(middle, 640, 480) == pytest.approx(100 * 100 * 0.9)
    assert prominence(face_at(320, 240, 120), 640, 480) > prominence(middle, 640, 480)
    assert prominence(replace(middle, confidence=0.5), 640, 480) < prominence(middle, 640, 480)
    assert prominence(face_at(0, 0), 640, 480) == pytest.approx(prominence(middle, 640, 480) / 2)


def test_another_file_than_yunet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"\0" * YUNET.size)
    with pytest.raises(EmotraceError, match="emotrace models fetch yunet"):
        YuNetDetector(tmp_path / "yunet.onnx")


def test_without_the_file_auto_is_haar_and_yunet_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if not YUNET.path.is_relative_to(tmp_path):
        pytest.skip("the cache folder of this system is not set by XDG_CACHE_HOME")
    assert make_detector("auto").name == make_detector("haar").name == "haar"
    with pytest.raises(EmotraceError, match="emotrace models fetch yunet"):
        make_detector("yunet")


def test_auto_is_yunet_where_its_file_is(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if not YUNET.path.is_relative_to(tmp_path):
        pytest.skip("the cache folder of this system is not set by XDG_CACHE_HOME")
    YUNET.path.parent.mkdir(parents=True)
    YUNET.path.write_bytes((data_root / "models" / "face_detection_yunet_n_320.onnx").read_bytes())
    assert make_detector("auto").name == "yunet"


# Following


def test_nobody_is_followed_before_the_first_face() -> None:
    state, seen = run([[], []])
    assert seen == [(0, None), (0, None)]
    assert follow(state, [face_at(100, 100)], 1.0, RECIPE)[1] == face_at(100, 100)


def test_a_still_face_is_returned_as_it_is() -> None:
    _, seen = run([[face_at(100, 100)]] * 20)
    for person, face in seen:
        assert person == 0
        assert face is not None
        assert (face.x, face.y, face.width, face.height) == pytest.approx((50, 50, 100, 100))


@given(
    away=st.integers(1, 12),
    jitter=st.lists(st.floats(-5, 5), min_size=40, max_size=40),
    other_side=st.floats(60, 160),
)
@settings(max_examples=25, deadline=None)
def test_while_the_followed_person_is_briefly_lost_nobody_else_is_taken(
    away: int, jitter: list[float], other_side: float
) -> None:
    main = [face_at(150 + dx, 200 + dx, 100) for dx in jitter]
    other = [face_at(450 - dx, 200, other_side) for dx in jitter]
    pictures = [[other[i]] if 20 <= i < 20 + away else [main[i], other[i]] for i in range(40)]
    _, seen = run(pictures)
    for index, (person, face) in enumerate(seen):
        assert person == 0
        assert (face is None) == (20 <= index < 20 + away)
        assert face is None or abs(centre_x(face) - 150) < 20


def test_after_switch_seconds_of_absence_the_other_person_is_followed_and_counted() -> None:
    main, other = face_at(150, 200), face_at(450, 200)
    _, seen = run([[main, other]] * 10 + [[other]] * 30)
    lost = [index for index, (_, face) in enumerate(seen) if face is None]
    assert lost == list(range(10, 22))  # pictures up to 0.96 s after the last one with the face; 1.04 s is too long
    assert all(person == 1 and centre_x(face) == pytest.approx(450) for person, face in seen[22:])


def test_a_person_who_comes_back_to_the_same_place_after_long_is_the_same() -> None:
    _, seen = run([[face_at(150, 200)]] * 5 + [[]] * 40 + [[face_at(160, 205)]] * 5)
    assert {person for person, _ in seen} == {0}
    assert centre_x(seen[-1][1]) == pytest.approx(160, abs=1)


@pytest.mark.parametrize(("speed", "hidden_within"), [(120.0, 0.0), (300.0, 0.0), (300.0, 60.0)])
def test_of_two_people_who_cross_each_is_kept(speed: float, hidden_within: float) -> None:
    xs = 100 + speed * STEP * np.arange(int(400 / (speed * STEP)))
    pictures = []
    for x in xs:
        followed, in_front = face_at(float(x), 200, 100), face_at(float(600 - x), 230, 95)
        hidden = abs(followed.x - in_front.x) < hidden_within
        pictures.append([in_front] if hidden else [followed, in_front])
    _, seen = run(pictures)
    assert seen[-1][0] == 0
    assert centre_x(seen[-1][1]) == pytest.approx(float(xs[-1]), abs=10)


@given(st.lists(st.tuples(st.floats(250, 600), st.floats(0, 480), st.floats(40, 200)), min_size=20, max_size=20))
@settings(max_examples=25, deadline=None)
def test_false_faces_elsewhere_are_ignored(false_faces: list[tuple[float, float, float]]) -> None:
    pictures = [[face_at(*false), face_at(100, 200)] for false in false_faces]
    _, seen = run([[face_at(100, 200)], *pictures])
    assert all(centre_x(face) == pytest.approx(100, abs=1) for _, face in seen)


def test_a_small_false_face_inside_the_followed_one_is_ignored() -> None:
    _, seen = run([[face_at(100, 100)]] + [[face_at(105, 105, 40)]] * 3 + [[face_at(100, 100)]])
    assert [face is None for _, face in seen] == [False, True, True, True, False]


def test_a_moving_face_is_followed_without_lag() -> None:
    xs = 100 + 400 * STEP * np.arange(25)
    _, seen = run([[face_at(float(x), 200)] for x in xs])
    assert [centre_x(face) for _, face in seen[8:]] == pytest.approx(xs[8:].tolist(), abs=3)


def test_a_face_that_is_known_otherwise_is_followed_as_one_that_fits_and_also_wherever_it_is() -> None:
    begun = continue_face(Follower(), face_at(300, 300), 0.0)
    assert begun == follow(Follower(), [face_at(300, 300)], 0.0, RECIPE)[0]
    assert continue_face(begun, face_at(310, 300), STEP) == follow(begun, [face_at(310, 300)], STEP, RECIPE)[0]
    assert follow(begun, [face_at(1500, 300)], STEP, RECIPE)[1] is None
    assert continue_face(begun, face_at(1500, 300), STEP).seen_seconds == STEP
    assert centre_x(continue_face(begun, face_at(1500, 300), 10.0).face) == pytest.approx(1500, abs=0.01)


def test_smoothing_takes_a_third_of_the_jitter_away() -> None:
    xs = 200 + 4 * np.random.default_rng(0).standard_normal(400)
    _, seen = run([[face_at(float(x), 200)] for x in xs])
    smooth = np.array([centre_x(face) for _, face in seen])
    assert np.abs(np.diff(smooth)).mean() < 0.67 * np.abs(np.diff(xs)).mean()


@given(st.integers(0, 30), st.lists(st.sampled_from([0, 1, 2, 3]), min_size=30, max_size=30))
@settings(max_examples=25, deadline=None)
def test_two_halves_with_carry_equal_the_whole(cut: int, who: list[int]) -> None:
    both = [face_at(150, 200), face_at(400, 200)]
    pictures = [[[], both[:1], both[1:], both][choice] for choice in who]
    state, whole = run(pictures)
    carried, first = run(pictures[:cut])
    end, second = run(pictures[cut:], carried, first=cut)
    assert first + second == whole
    assert end == state


# Crops


def disc(height: int, width: int, x: float, y: float, radius: float) -> Image:
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.where(np.hypot(columns - x, rows - y) < radius, 220, 20).astype(np.uint8)


def bright_extent(crop: Image) -> tuple[float, float, float]:
    """Centre x, centre y and diameter of the bright part, in pixels of the crop."""
    weight = np.clip((crop.astype(float) - 20) / 200, 0, 1)
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    total = weight.sum()
    return (weight * columns).sum() / total, (weight * rows).sum() / total, 2 * math.sqrt(total / math.pi)


@pytest.mark.parametrize("side", [24.0, 48.0, 77.0, 300.0])
def test_centre_and_scale_of_the_crop_are_right_to_a_pixel(side: float) -> None:
    frame = frame_of(disc(480, 640, 350.5, 233.0, side / 4))
    crop = crop_face(frame, face_at(350.5, 233.0, side), RECIPE, "haar")
    assert crop.shape == (48, 48)
    assert crop.dtype == np.uint8
    assert bright_extent(crop) == pytest.approx((24, 24, 24), abs=0.75)


def test_each_detector_has_its_geometry() -> None:
    recipe = replace_geometry(haar=CropGeometry(scale=2.0, shift_y=0.0), yunet=CropGeometry(scale=1.0, shift_y=0.25))
    frame = frame_of(disc(480, 640, 320, 240, 24))
    face = face_at(320, 240, 96)
    assert bright_extent(crop_face(frame, face, recipe, "haar")) == pytest.approx((24, 24, 12), abs=0.75)
    assert bright_extent(crop_face(frame, face, recipe, "yunet")) == pytest.approx((24, 12, 24), abs=0.75)


def replace_geometry(haar: CropGeometry, yunet: CropGeometry) -> VideoRecipe:
    return RECIPE.model_copy(update={"haar_geometry": haar, "yunet_geometry": yunet})


def tilted_ramp(degrees: float) -> Image:
    """Brightness that grows downwards along an axis turned clockwise by so many degrees about (320, 240)."""
    rows, columns = np.mgrid[:480, :640] + 0.5
    angle = math.radians(degrees)
    along = (rows - 240) * math.cos(angle) - (columns - 320) * math.sin(angle)
    return np.asarray(np.clip(128 + along, 0, 255), dtype=np.uint8)


def landmarks_of(degrees: float) -> FloatArray:
    angle = math.radians(degrees)
    upright = np.array([[-20, -15], [20, -15], [0, 5], [-15, 25], [15, 25]])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return np.asarray(upright @ turn + [320, 240], dtype=np.float32)


@pytest.mark.parametrize("degrees", [-29.0, -10.0, 0.0, 15.0, 29.0])
def test_a_turned_picture_comes_out_upright(degrees: float) -> None:
    face = replace(face_at(320, 240), landmarks=landmarks_of(degrees))
    crop = crop_face(frame_of(tilted_ramp(degrees)), face, RECIPE, "yunet").astype(float)
    expected = 128 + (np.arange(48) + 0.5 - 24) * 100 / 48
    np.testing.assert_allclose(crop, np.repeat(expected[:, None], 48, axis=1), atol=2)


def test_more_than_thirty_degrees_are_not_undone() -> None:
    frame = frame_of(tilted_ramp(50))
    far = crop_face(frame, replace(face_at(320, 240), landmarks=landmarks_of(50)), RECIPE, "yunet")
    limit = crop_face(frame, replace(face_at(320, 240), landmarks=landmarks_of(30)), RECIPE, "yunet")
    np.testing.assert_array_equal(far, limit)


def test_outside_the_picture_its_edge_goes_on() -> None:
    ramp = np.tile(np.arange(100, 200, dtype=np.uint8), (100, 1))
    crop = crop_face(frame_of(ramp), face_at(0, 50, 96), RECIPE, "haar")
    assert (crop[:, :23] == 100).all()
    np.testing.assert_allclose(crop[24, 25:].astype(float), 100 + 2 * (np.arange(25, 48) - 24) + 0.5, atol=1)


@pytest.mark.parametrize("face", [face_at(50, 40, 5000), face_at(-400, 900, 300), face_at(50, 50, 0.5)])
def test_a_face_larger_than_the_picture_or_outside_it_still_gives_a_crop(face: Face) -> None:
    crop = crop_face(frame_of(disc(80, 100, 50, 40, 20)), face, RECIPE, "haar")
    assert crop.shape == (48, 48)


def test_a_large_face_is_averaged_not_sampled() -> None:
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (480, 480))
    crop = crop_face(frame_of(fine), face_at(480, 480, 800), RECIPE, "haar")
    assert np.ptp(crop.astype(int)) < 40
    assert abs(crop.mean() - 127.5) < 5
