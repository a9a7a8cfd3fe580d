"""The demonstration clip: what is seen and heard is what the truth says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emotrace.demo import DemoTruth, make_demo
from emotrace.demo_face import EXPRESSIONS, HeadPainter
from emotrace.demo_voice import Mood, babble
from emotrace.errors import MediaError, SettingsError
from emotrace.labels import CIRCUMPLEX
from emotrace.media import VideoFrame, open_clip
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import AudioChunk, FloatArray, Image


class Recorded:
    """A made clip, read back."""

    def __init__(self, path: Path, truth: DemoTruth) -> None:
        self.truth = truth
        self.times: list[float] = []
        self.pictures: list[Image] = []
        chunks = []
        with open_clip(path) as clip:
            for stretch in clip.read():
                if isinstance(stretch, VideoFrame):
                    self.times.append(stretch.time_seconds)
                    self.pictures.append(stretch.rgb())
                elif isinstance(stretch, AudioChunk):
                    chunks.append(stretch.samples)
        self.samples = np.concatenate(chunks)

    def without_face(self) -> NDArray[np.bool_]:
        start, end = self.truth.no_face
        return (np.array(self.times) >= start) & (np.array(self.times) < end)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    path = tmp_path_factory.mktemp("demo") / "story.mp4"
    return Recorded(path, make_demo(path, size=(240, 180), frame_rate=3))


def level(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def said(mood: Mood, seconds: float) -> FloatArray:
    sounds, length = [], 0
    for sound in babble(lambda _: mood, (1e9, 1e9), seed=1):
        sounds.append(sound)
        length += len(sound)
        if length > seconds * SAMPLE_RATE:
            break
    return np.concatenate(sounds)


def pitch_hz(samples: FloatArray) -> float:
    """The median over the loud frames of 64 ms of the highest peak of the autocorrelation between 60 and 400 Hz."""
    frames = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024)
    frames = frames[frames.std(axis=1) > 0.5 * frames.std(axis=1).max()]
    spectra = np.abs(np.fft.rfft(frames, 2048)) ** 2
    correlation = np.fft.irfft(spectra)[:, : SAMPLE_RATE // 60]
    shortest = SAMPLE_RATE // 400
    return float(np.median(SAMPLE_RATE / (shortest + correlation[:, shortest:].argmax(axis=1))))


def test_pictures_and_sound_have_the_length_asked_for(story: Recorded) -> None:
    np.testing.assert_allclose(story.times, np.arange(72) / 3, atol=1e-3)
    np.testing.assert_allclose(story.truth.times, np.arange(72) / 3)
    assert len(story.samples) / SAMPLE_RATE == pytest.approx(24, abs=0.1)


def test_both_cascades_find_one_face_where_the_truth_has_one_and_none_on_the_card(story: Recorded) -> None:
    away = story.without_face()
    assert away.sum() == 9
    for name in ("haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml"):
        cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))
        greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in story.pictures]
        found = np.array([len(cascade.detectMultiScale(grey, 1.1, 4, minSize=(40, 40))) for grey in greys])
        assert np.mean(found[~away] == 1) >= 0.95
        assert not found[away].any()


def test_yunet_finds_the_face_in_every_picture_that_has_one(story: Recorded, data_root: Path) -> None:
    model = str(data_root / "models" / "face_detection_yunet_n_320.onnx")
    detector = cv2.FaceDetectorYN.create(model, "", (240, 180), 0.7)
    faces = [detector.detect(picture[..., ::-1].copy())[1] for picture in story.pictures]
    assert [each is None for each in faces] == story.without_face().tolist()


def test_nothing_is_said_in_the_silent_stretch_and_the_voice_goes_on_without_the_face(story: Recorded) -> None:
    def between(start: float, end: float) -> FloatArray:
        return story.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    silence = level(between(*story.truth.no_speech))
    assert level(between(*story.truth.no_face)) > 50 * silence
    assert level(between(0, story.truth.no_speech[0])) > 50 * silence
    assert level(between(story.truth.no_speech[1], 24)) > 50 * silence


def test_truth_rests_on_the_published_coordinates_of_each_emotion(story: Recorded) -> None:
    truth = story.truth
    assert list(dict.fromkeys(truth.emotion)) == ["neutral", "happiness", "surprise", "sadness", "anger"]
    for time, emotion in ((2, "neutral"), (7, "happiness"), (13, "surprise"), (17, "sadness"), (23, "anger")):
        tick = int(np.searchsorted(truth.times, time))
        assert truth.emotion[tick] == emotion
        assert truth.arousal[tick] == pytest.approx(CIRCUMPLEX[emotion].arousal, abs=1e-6)
        assert truth.valence[tick] == pytest.approx(CIRCUMPLEX[emotion].valence, abs=1e-6)


def test_face_lies_still_in_no_picture_and_card_lies_still(story: Recorded) -> None:
    away = story.without_face()
    change = np.array(
        [np.abs(a.astype(int) - b.astype(int)).mean() for a, b in zip(story.pictures, story.pictures[1:], strict=False)]
    )
    assert change[~away[1:]].min() > 0.2
    assert change[away[1:] & away[:-1]].max() < 0.2


def test_same_arguments_give_the_same_file_and_another_seed_another_voice(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_demo(tmp_path / f"{name}.mp4", seconds=1, size=(64, 64), frame_rate=10, seed=seed)
    first, again, other = ((tmp_path / f"{name}.mp4").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_story_is_stretched_to_the_length(tmp_path: Path) -> None:
    truth = make_demo(tmp_path / "short.mp4", seconds=2.4, size=(65, 97), frame_rate=10)
    assert truth.no_face == pytest.approx((0.9, 1.2))
    assert truth.no_speech == pytest.approx((1.7, 2.0))
    assert set(truth.emotion) == set(EXPRESSIONS)


def test_sound_of_an_hour_of_silence_comes_in_small_pieces() -> None:
    pieces = babble(lambda _: Mood(0, 0), (0, 3600), seed=0)
    lengths = [len(next(pieces)) for _ in range(100)]
    assert max(lengths) <= SAMPLE_RATE
    assert sum(lengths) > 90 * SAMPLE_RATE


def test_arousal_raises_pitch_and_level() -> None:
    calm, excited = said(Mood(-0.3, 0), 4), said(Mood(0.6, 0), 4)
    assert pitch_hz(calm) == pytest.approx(118 * 2 ** (0.75 * -0.3), rel=0.12)
    assert pitch_hz(excited) == pytest.approx(118 * 2 ** (0.75 * 0.6), rel=0.12)
    assert level(excited) > 1.5 * level(calm)


def test_mouth_of_a_happy_face_shows_teeth_and_of_a_sad_face_does_not() -> None:
    painter = HeadPainter(40)
    x, y = (round(edge) for edge in painter.origin)
    mouths = {emotion: painter.paint(EXPRESSIONS[emotion])[y + 30 : y + 45, x - 15 : x + 15] for emotion in EXPRESSIONS}
    teeth = {emotion: int((mouth.min(axis=2) > 210).sum()) for emotion, mouth in mouths.items()}
    assert teeth["happiness"] > 30
    assert teeth["sadness"] == 0


@pytest.mark.parametrize(
    "settings", [{"seconds": 0}, {"seconds": float("nan")}, {"size": (10, 480)}, {"frame_rate": 0}]
)
def test_impossible_clip_is_refused(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="cannot be made"):
        make_demo(tmp_path / "demo.mp4", **settings)  # type: ignore[arg-type]


def test_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be written"):
        make_demo(tmp_path / "nowhere" / "demo.mp4", seconds=1, size=(64, 64))
