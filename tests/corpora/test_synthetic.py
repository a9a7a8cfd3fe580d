"""The generated corpus: its files are what the challenge's are, and what they show follows the truth."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora.synthetic import generate, read_truth
from emotrace.corpora.synthetic_face import film
from emotrace.corpora.synthetic_ratings import RATERS, Raters
from emotrace.corpora.synthetic_story import Story, slow, tell
from emotrace.corpora.synthetic_voice import speak
from emotrace.errors import CorpusError, SettingsError
from emotrace.features.faces import make_detector
from emotrace.media import VideoFrame, open_clip
from emotrace.metrics import pearson
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray, Image

SECONDS = 4.0
TICKS = 100
NAMES = tuple(f"{split}_{number}" for split in ("train", "dev", "test") for number in (1, 2))
RATED = NAMES[:4]
DIMENSIONS = ("arousal", "valence")
SOUNDS, PICTURES, TRUTH = "recordings_audio", "recordings_video", "truth"
GOLD, INDIVIDUAL = "ratings_gold_standard", "ratings_individual"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "corpus"
    generate(root, seconds=SECONDS, seed=3, per_split=2)
    return root


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def table(path: Path, separator: str, header_lines: int, first_column: int = 0) -> FloatArray:
    rows = [line.split(separator)[first_column:] for line in path.read_text().splitlines()[header_lines:]]
    return np.array(rows, np.float32)


def samples_of(root: Path, name: str) -> FloatArray:
    with wave.open(str(root / SOUNDS / f"{name}.wav")) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, SAMPLE_RATE)
        values = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return np.asarray(values / 32768, dtype=np.float32)


def frames_of(root: Path, name: str) -> list[VideoFrame]:
    with open_clip(root / PICTURES / f"{name}.mp4") as clip:
        assert not clip.info.has_audio
        return [item for item in clip.read() if isinstance(item, VideoFrame)]


def story(seconds: float, seed: int = 0) -> Story:
    return tell(seconds, np.random.default_rng(seed))


def level(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def test_layout_is_the_challenges_and_test_has_no_ratings(corpus: Path) -> None:
    expected = {f"{SOUNDS}/{name}.wav" for name in NAMES} | {f"{PICTURES}/{name}.mp4" for name in NAMES}
    expected |= {f"{GOLD}/{dimension}/{name}.arff" for name in RATED for dimension in DIMENSIONS}
    expected |= {f"{INDIVIDUAL}/{dimension}/{name}.csv" for name in RATED for dimension in DIMENSIONS}
    expected |= {f"{TRUTH}/{name}.csv" for name in NAMES} | {"generated.json"}
    assert set(files(corpus)) == expected


@pytest.mark.parametrize("name", ["train_1", "test_2"])
def test_sound_pictures_and_truth_have_the_length_asked_for(corpus: Path, name: str) -> None:
    truth = read_truth(corpus, name)
    assert len(samples_of(corpus, name)) == SECONDS * SAMPLE_RATE
    np.testing.assert_allclose([frame.time_seconds for frame in frames_of(corpus, name)], np.arange(TICKS // 2) / 12.5)
    for values in (truth.arousal, truth.valence, truth.voice_reliability, truth.face_reliability):
        assert values.shape == (TICKS,)
    np.testing.assert_allclose(table(corpus / TRUTH / f"{name}.csv", ";", 1)[:, 0], np.arange(TICKS) / 25, atol=1e-6)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("name", RATED)
def test_labels_are_numbers_between_minus_one_and_one_at_25_hz(corpus: Path, name: str, dimension: str) -> None:
    gold, individual = corpus / GOLD / dimension / f"{name}.arff", corpus / INDIVIDUAL / dimension / f"{name}.csv"
    lines = gold.read_text().splitlines()
    header = [line for line in lines[: lines.index("@data") + 1] if line]
    assert header == [
        "@relation gold_standard",
        "@attribute Instance_name string",
        "@attribute frameTime numeric",
        "@attribute GoldStandard numeric",
        "@data",
    ]
    assert lines[len(lines) - TICKS].startswith(f"'{name}',0.00,")
    assert individual.read_text().splitlines()[0] == "time;FM1;FM2;FM3;FF1;FF2;FF3"
    standard, ratings = table(gold, ",", lines.index("@data") + 1, first_column=1), table(individual, ";", 1)
    assert standard.shape == (TICKS, 2)
    assert ratings.shape == (TICKS, 7)
    for rows in (standard, ratings):
        np.testing.assert_allclose(rows[:, 0], np.arange(TICKS) / 25, atol=1e-6)
        assert np.abs(rows[:, 1:]).max() <= 1
    assert pearson(standard[:, 1], ratings[:, 1:].mean(axis=1)) > 0.999


def test_truth_is_bounded_and_changes_clearly_in_every_recording(corpus: Path) -> None:
    for name in NAMES:
        truth = read_truth(corpus, name)
        for mood in (truth.arousal, truth.valence):
            assert np.abs(mood).max() < 1
            assert mood.std() > 0.25
            assert np.abs(np.diff(mood)).max() < 0.1


def test_same_seed_gives_the_same_recordings_however_many_are_made(corpus: Path, tmp_path: Path) -> None:
    generate(tmp_path, seconds=SECONDS, seed=3, per_split=1)
    again, first = files(tmp_path), files(corpus)
    assert len(again) == 1 + 2 * (3 + 4) + 3
    for path, content in again.items():
        assert content == first[path], path


def test_same_seed_gives_the_same_pictures() -> None:
    told, speech = story(2), np.zeros(2 * SAMPLE_RATE, np.float32)
    one, again, other = (list(film(told, speech, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not any(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_another_seed_or_another_recording_differs_in_every_file(corpus: Path, tmp_path: Path) -> None:
    generate(tmp_path, seconds=SECONDS, seed=4, per_split=1)
    other, first = files(tmp_path), files(corpus)
    assert all(content != first[path] for path, content in other.items())
    assert len(set(first.values())) == len(first)


def test_second_call_makes_only_what_is_missing(corpus: Path) -> None:
    lost = corpus / SOUNDS / "test_1.wav"
    content = lost.read_bytes()
    lost.unlink()
    ages = {path: path.stat().st_mtime_ns for path in corpus.rglob("*") if path.is_file() and "test_1" not in path.name}
    told: list[tuple[int, int]] = []
    for _ in range(2):
        generate(corpus, seconds=SECONDS, seed=3, per_split=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(6, 6)]
    assert lost.read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in ages} == ages


@pytest.mark.parametrize(("seconds", "seed"), [(SECONDS, 4), (5.0, 3)])
def test_folder_of_other_settings_is_refused(corpus: Path, seconds: float, seed: int) -> None:
    with pytest.raises(CorpusError, match=r"'seed': 3.*asked for"):
        generate(corpus, seconds=seconds, seed=seed, per_split=2)


def test_folder_that_was_not_generated_is_refused(tmp_path: Path) -> None:
    (tmp_path / SOUNDS).mkdir()
    with pytest.raises(CorpusError, match="not generated"):
        generate(tmp_path, seconds=SECONDS)
    assert not list((tmp_path / SOUNDS).iterdir())


@pytest.mark.parametrize("content", ["{", "\xff"])
def test_damaged_settings_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "generated.json").write_text(content, encoding="latin-1")
    with pytest.raises(CorpusError, match=r"generated\.json"):
        generate(tmp_path, seconds=SECONDS)


def test_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot be written"):
        generate(tmp_path / "file", seconds=SECONDS)


@pytest.mark.parametrize("settings", [{"seconds": 1.0}, {"seconds": float("nan")}, {"seed": -1}, {"per_split": 0}])
def test_impossible_corpus_is_refused(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="cannot be made"):
        generate(tmp_path, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [None, "time;arousal\n0;0\n", "time\n0;0;0;0;x\n", "time\n0;0;0;0;0;\n1;1\n"])
def test_missing_or_damaged_truth_is_refused(tmp_path: Path, content: str | None) -> None:
    (tmp_path / TRUTH).mkdir()
    if content is not None:
        (tmp_path / TRUTH / "train_1.csv").write_text(content)
    with pytest.raises(CorpusError, match=r"train_1\.csv"):
        read_truth(tmp_path, "train_1")


def test_settings_are_written_in_the_folder(corpus: Path) -> None:
    assert json.loads((corpus / "generated.json").read_text()) == {"version": 1, "seconds": SECONDS, "seed": 3}


def test_detector_finds_one_face_where_the_truth_has_one_and_none_where_it_has_none(corpus: Path) -> None:
    detector = make_detector("haar")
    found, reliability = [], []
    for name in NAMES[1::2]:
        reliability.append(read_truth(corpus, name).face_reliability[::2])
        found += [len(detector.detect(frame)) for frame in frames_of(corpus, name)]
    sure, gone = np.concatenate(reliability) == 1, np.concatenate(reliability) == 0
    assert np.mean(np.array(found)[sure] == 1) >= 0.97
    assert not np.array(found)[gone].any()
    assert min(sure.mean(), 5 * gone.mean()) > 0.5


def test_sound_is_faint_where_nothing_is_said_and_loud_without_pause_in_noise(corpus: Path) -> None:
    for name in NAMES:
        samples = samples_of(corpus, name).reshape(TICKS, -1)
        levels, reliability = np.sqrt((samples**2).mean(axis=1)), read_truth(corpus, name).voice_reliability
        noisy = (reliability > 0) & (reliability < 1)
        assert levels[reliability == 0][1:-1].max() < 1e-3
        assert levels[reliability == 0].min() > 1e-4  # a room is never quite silent
        assert np.median(levels[noisy]) > 0.4 * level(samples[reliability == 1])
        assert levels[noisy][1:-1].min() > 0.01


@pytest.mark.parametrize("seconds", [2.0, 12.0, 300.0])
def test_every_disturbance_takes_an_eighth_of_the_time_and_starts_with_a_picture(seconds: float) -> None:
    told = story(seconds)
    for reliability in (told.voice_reliability, told.face_reliability):
        for kind in (0, 0.3):
            assert np.mean(np.isclose(reliability, kind)) == pytest.approx(0.12, abs=2 / 50)
        changes = np.flatnonzero(np.diff(reliability)) + 1
        assert (changes % 2 == 0).all()
        assert len(changes) >= 2 * round(seconds / 60)


def test_voice_tells_more_of_arousal_and_face_more_of_valence() -> None:
    def error(expressed: FloatArray, told: Story, axis: int) -> float:
        return level(expressed[:, axis] - told.mood[:, axis])

    told = story(60)
    assert error(told.voice, told, 0) < 0.1 < 0.2 < error(told.voice, told, 1)
    assert error(told.face, told, 1) < 0.1 < 0.2 < error(told.face, told, 0)


def test_level_and_brightness_of_the_voice_follow_arousal_and_valence() -> None:
    told = story(60)
    windows = speak(told, np.random.default_rng(1)).reshape(20, -1, SAMPLE_RATE // 5)  # 20 of 3 s
    spectra = (np.abs(np.fft.rfft(windows)) ** 2).sum(axis=1)
    voiced = told.voice_reliability.reshape(20, 75).mean(axis=1) > 0.5
    arousal, valence = told.voice.reshape(20, 75, 2).mean(axis=1)[voiced].T
    low, high = np.log(spectra[voiced, 20:300].sum(axis=1)), np.log(spectra[voiced, 600:].sum(axis=1))
    aroused = np.polynomial.Polynomial.fit(arousal, high - low, 1)
    assert pearson(low, arousal) > 0.7
    assert pearson(high - low - aroused(arousal), valence) > 0.4


def test_valence_can_be_read_from_the_face() -> None:
    inputs, valences = [], []
    for seed in range(4):
        told = story(12, seed)
        person = film(told, np.zeros(12 * SAMPLE_RATE, np.float32), np.random.default_rng(1))
        sure = told.face_reliability[::2] == 1
        inputs.append(np.array([cells(picture) for picture in person])[sure])
        valences.append(told.mood[::2, 1][sure])
    known = np.concatenate(inputs[:3])
    mean = known.mean(axis=0)
    known -= mean
    weights = np.linalg.solve(known.T @ known + 1e3 * np.eye(known.shape[1]), known.T @ np.concatenate(valences[:3]))
    assert pearson((inputs[3] - mean) @ weights, valences[3]) > 0.7


def cells(picture: Image) -> FloatArray:
    """The middle of the picture in cells of 4x4 pixels."""
    grey = picture[40:136, 50:150].mean(axis=2)
    return np.asarray(grey.reshape(24, 4, 25, 4).mean(axis=(1, 3)).ravel(), dtype=np.float32)


def test_mouth_moves_when_there_is_speech() -> None:
    told = story(4)
    rest = list(film(told, np.zeros(4 * SAMPLE_RATE, np.float32), np.random.default_rng(1)))
    talk = list(film(told, np.full(4 * SAMPLE_RATE, 0.2, np.float32), np.random.default_rng(1)))
    sure = told.face_reliability[::2] == 1
    for one, other, same in zip(rest, talk, ~sure & (told.face_reliability[::2] == 0), strict=True):
        assert np.array_equal(one, other) == same


def test_mean_rating_follows_the_truth_after_the_delay() -> None:
    told = story(60)
    raters = Raters.draw(np.random.default_rng(5))
    mean = raters.rate(told.mood, np.random.default_rng(6)).mean(axis=0)
    delay = round(raters.delays.mean() * 25)
    assert 2.0 < raters.delays.mean() < 3.6
    for axis in range(2):
        undone = pearson(mean[delay:, axis], told.mood[:-delay, axis])
        assert undone > 0.97
        assert undone > pearson(mean[:, axis], told.mood[:, axis]) + 0.1


def test_raters_keep_their_habits_and_are_not_alike() -> None:
    raters = Raters.draw(np.random.default_rng(5))
    recordings = [raters.rate(story(120, seed).mood, np.random.default_rng(seed)) for seed in range(2)]
    assert all(each.shape == (len(RATERS), 3000, 2) and np.abs(each).max() <= 1 for each in recordings)
    for axis in range(2):
        means = np.array([each[..., axis].mean(axis=1) for each in recordings])
        means -= means.mean(axis=1, keepdims=True)
        assert pearson(*means) > 0.95
        assert means.std() > 0.03


def test_delay_is_short_in_a_short_recording() -> None:
    mood = np.where(np.arange(300) < 150, -0.5, 0.5).astype(np.float32)[:, None].repeat(2, axis=1)
    ratings = Raters.draw(np.random.default_rng(5)).rate(mood, np.random.default_rng(6))
    late = np.abs(np.diff(ratings[..., 0])).argmax(axis=1) - 149
    assert np.abs(late - 0.1 * 300).max() <= 8  # half of the smoothing


def test_slow_course_has_mean_zero_and_deviation_one() -> None:
    course = slow(100, (5.0, 20.0), np.random.default_rng(0))
    np.testing.assert_allclose(course.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(course.std(axis=0), 1)
