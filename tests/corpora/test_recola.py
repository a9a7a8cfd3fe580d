"""The layout of AVEC 2016 is read whole or refused with what is wrong in it; tiny files in the place of real ones."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import recola
from emotrace.corpora.rated import DIMENSIONS, RatedRecording, of_split
from emotrace.corpora.recola_labels import RATERS
from emotrace.errors import CorpusError, SettingsError
from emotrace.media import VideoFrame
from emotrace.media_writer import ClipWriter
from emotrace.ratings import centred_gold_standard, plain_mean
from emotrace.types import AudioChunk, FloatArray
from tests.corpora.trees import write_sound

ROWS = 6


def traces(name: str, dimension: str, rows: int = ROWS) -> FloatArray:
    """Return ratings [6, rows], others for every name, rounded as in a file."""
    seed = 2 * recola.NAMES.index(name) + DIMENSIONS.index(dimension)
    drawn = np.random.default_rng(seed).uniform(-0.9, 0.9, (6, rows + 100)).round(3)[:, :rows]
    return drawn.astype(np.float32)


def gold_text(name: str, values: FloatArray, start: float = 0.0) -> str:
    header = (
        "@relation GOLDSTANDARD\n\n@attribute Instance_name string\n@attribute frameTime numeric\n"
        "@attribute GoldStandard numeric\n\n@data\n\n"
    )
    return header + "".join(f"{name},{start + row / 25:.2f},{value:.6f}\n" for row, value in enumerate(values))


def ratings_text(values: FloatArray, separator: str = ";") -> str:
    # The names end in a blank, as in the challenge's files.
    header = separator.join(["time", *(f"{rater} " for rater in RATERS)])
    rows = [separator.join([f"{row / 25:.2f}", *(f"{each:.6f}" for each in said)]) for row, said in enumerate(values.T)]
    return "\n".join([header, *rows]) + "\n"


def gold_file(root: Path, name: str, dimension: str) -> Path:
    return root / "ratings_gold_standard" / dimension / f"{name}.arff"


def ratings_file(root: Path, name: str, dimension: str) -> Path:
    return root / "ratings_individual" / dimension / f"{name}.csv"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recola")
    (root / "recordings_video").mkdir()
    sound = write_sound(root / "recordings_audio" / "train_1.wav", seconds=0.24)
    with ClipWriter(root / "recordings_video" / "train_1.mp4", width=32, height=24, frame_rate=25) as writer:
        for index in range(ROWS):
            writer.write_frame(index / 25, np.full((24, 32, 3), 100, np.uint8))
    for name in recola.NAMES[1:]:
        shutil.copy(sound, sound.with_stem(name))
        shutil.copy(root / "recordings_video" / "train_1.mp4", root / "recordings_video" / f"{name}.mp4")
    for dimension in DIMENSIONS:
        gold_file(root, "", dimension).parent.mkdir(parents=True)
        ratings_file(root, "", dimension).parent.mkdir(parents=True)
        for name in recola.LABELLED:
            said = traces(name, dimension)
            gold_file(root, name, dimension).write_text(gold_text(name, said[0]))
            ratings_file(root, name, dimension).write_text(ratings_text(said))
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "avec2016"))


def named(recordings: list[RatedRecording], name: str) -> RatedRecording:
    return next(each for each in recordings if each.name == name)


def test_every_recording_has_its_files_split_and_labels(original: Path) -> None:
    recordings = recola.read(original)
    assert [each.name for each in recordings] == list(recola.NAMES)
    assert Counter(each.split for each in recordings) == {"train": 9, "validation": 9, "test": 9}
    assert len({each.subject for each in recordings}) == 27
    for each in recordings:
        assert each.split == {"train": "train", "dev": "validation", "test": "test"}[each.name.split("_")[0]]
        assert each.label_rate_hz == 25
        assert each.audio == original / "recordings_audio" / f"{each.name}.wav"
        assert each.video == original / "recordings_video" / f"{each.name}.mp4"
        if each.split == "test":
            assert each.labels is None
            assert each.ratings is None
        else:
            assert each.labels is not None
            assert each.ratings is not None
            assert each.labels.dtype == np.float32
            assert each.ratings.dtype == np.float32
            for place, dimension in enumerate(DIMENSIONS):
                np.testing.assert_allclose(each.labels[:, place], traces(each.name, dimension)[0], atol=1e-6)
                np.testing.assert_allclose(each.ratings[:, :, place], traces(each.name, dimension), atol=1e-6)


def test_the_withheld_labels_leave_no_test_split(original: Path) -> None:
    recordings = recola.read(original)
    assert len(of_split(recordings, "validation")) == 9
    with pytest.raises(CorpusError, match="9 more without labels"):
        of_split(recordings, "test")


def test_a_recording_opens_as_sound_and_pictures(original: Path) -> None:
    with recola.read(original)[0].open() as source:
        items = list(source.read(sample_rate=16_000, video_rate_hz=None))
    assert sum(isinstance(item, VideoFrame) for item in items) == ROWS
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) == round(0.24 * 16_000)


def test_the_gold_standard_can_be_computed_from_the_raters(original: Path) -> None:
    for gold, computed in (("mean", plain_mean), ("centred", centred_gold_standard)):
        labels = named(recola.read(original, gold=gold), "dev_3").labels
        assert labels is not None
        for place, dimension in enumerate(DIMENSIONS):
            np.testing.assert_allclose(labels[:, place], computed(traces("dev_3", dimension)), atol=1e-6)


def test_only_the_ratings_in_use_are_needed(root: Path) -> None:
    shutil.move(root / "ratings_gold_standard", root / "away")
    assert recola.check(root, gold="mean") == []
    with pytest.raises(CorpusError, match=r"ratings_gold_standard/arousal is missing"):
        recola.read(root)
    shutil.move(root / "away", root / "ratings_gold_standard")
    shutil.rmtree(root / "ratings_individual")
    recordings = recola.read(root)
    assert all(each.ratings is None for each in recordings)
    assert len(of_split(recordings, "train")) == 9
    with pytest.raises(CorpusError, match=r"ratings_individual/arousal is missing"):
        recola.read(root, gold="mean")


def test_individual_ratings_may_have_commas_or_be_arff(root: Path) -> None:
    ratings_file(root, "train_1", "arousal").write_text(ratings_text(traces("train_1", "arousal"), separator=","))
    said = traces("train_2", "valence")
    path = ratings_file(root, "train_2", "valence")
    path.unlink()
    attributes = "".join(f"@attribute {name} numeric\n" for name in ("frameTime", *RATERS))
    rows = "".join(f"{row / 25},{','.join(map(str, each))}\n" for row, each in enumerate(said.T))
    path.with_suffix(".arff").write_text(f"@relation r\n{attributes}@data\n{rows}")
    recordings = recola.read(root)
    for name, dimension in (("train_1", "arousal"), ("train_2", "valence")):
        ratings = named(recordings, name).ratings
        assert ratings is not None
        np.testing.assert_allclose(ratings[:, :, DIMENSIONS.index(dimension)], traces(name, dimension), atol=1e-6)


def test_files_that_differ_by_a_second_at_most_are_cut_to_the_shortest(root: Path) -> None:
    longer = traces("train_1", "arousal", ROWS + 25)
    gold_file(root, "train_1", "arousal").write_text(gold_text("train_1", longer[0]))
    first = named(recola.read(root), "train_1")
    assert first.labels is not None
    assert first.ratings is not None
    assert (first.labels.shape, first.ratings.shape) == ((ROWS, 2), (6, ROWS, 2))
    np.testing.assert_allclose(first.labels[:, 0], longer[0, :ROWS], atol=1e-6)
    gold_file(root, "train_1", "arousal").write_text(gold_text("train_1", traces("train_1", "arousal", ROWS + 26)[0]))
    with pytest.raises(CorpusError, match=rf"train_1\.\w+ has {ROWS} rows but .*train_1\.arff has {ROWS + 26}"):
        recola.read(root)


def test_labels_from_the_second_tick_on_keep_their_times(root: Path) -> None:
    said = traces("dev_1", "valence")[0]
    gold_file(root, "dev_1", "valence").write_text(gold_text("dev_1", said[1:], start=0.04))
    labels = named(recola.read(root), "dev_1").labels
    assert labels is not None
    np.testing.assert_allclose(labels[:, 1], [said[1], *said[1:]], atol=1e-6)


@pytest.mark.parametrize(
    ("values", "start", "complaint"),
    [
        ([0.1, 1.2, 0], 0.0, r"column GoldStandard, holds \[1\.2\d*\] in row 1, expected numbers in \[-1, 1\]"),
        ([0.1, np.nan, 0], 0.0, r"column GoldStandard, has no number in row 1 \(1 such rows\)"),
        ([], 0.0, "holds no row of labels"),
        ([0.1, 0, 0], 0.5, r"row 0 at 0\.5 s, expected 0 s"),
    ],
)
def test_labels_that_are_none_are_refused_by_file(
    values: list[float], start: float, complaint: str, root: Path
) -> None:
    gold_file(root, "dev_9", "arousal").write_text(gold_text("dev_9", np.array(values, np.float32), start))
    with pytest.raises(CorpusError, match=rf"arousal/dev_9\.arff.*{complaint}") as caught:
        recola.read(root)
    assert "1 problem(s)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_uneven_times_are_refused_by_row(root: Path) -> None:
    path = gold_file(root, "dev_9", "arousal")
    path.write_text(path.read_text().replace("dev_9,0.12", "dev_9,0.15"))
    with pytest.raises(CorpusError, match=r"dev_9\.arff has row 3 at 0\.15 s, expected 0\.12 s: labels at 25 Hz"):
        recola.read(root)


def test_a_rater_who_is_not_there_or_says_no_number_is_named(root: Path) -> None:
    path = ratings_file(root, "dev_9", "valence")
    text = path.read_text()
    path.write_text(text.replace("FF3", "XX"))
    with pytest.raises(CorpusError, match=r"valence/dev_9\.csv has no numeric column 'FF3'"):
        recola.read(root)
    path.write_text(text.replace("\n0.04;", "\n0.04;calm", 1))
    with pytest.raises(CorpusError, match=r"valence/dev_9\.csv, row 3: fm1 is 'calm"):
        recola.read(root)


def test_everything_that_is_missing_is_named_at_once(root: Path) -> None:
    for number in range(6, 10):
        (root / "recordings_audio" / f"train_{number}.wav").unlink()
    shutil.rmtree(root / "recordings_video")
    gold_file(root, "dev_2", "valence").unlink()
    problems = recola.check(root)
    assert len(problems) == 6
    for part in ("train_6.wav", "train_7.wav", "train_8.wav", "train_9.wav", "recordings_video", "valence/dev_2.arff"):
        assert sum(f"{part} is missing" in each for each in problems) == 1
    with pytest.raises(CorpusError, match=r"6 problem\(s\): .*train_6\.wav is missing.* And 2 more\."):
        recola.read(root)


def test_all_files_with_wrong_labels_are_named_at_once(root: Path) -> None:
    for name in ("train_3", "dev_4"):
        gold_file(root, name, "arousal").write_text("no table")
    assert [("train_3.arff, line 1" in each, "dev_4.arff, line 1" in each) for each in recola.check(root)] == [
        (True, False),
        (False, True),
    ]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not RECOLA as AVEC 2016 lays it out"):
        recola.read(tmp_path / "nowhere")


def test_liu2021_splits_the_labelled_recordings_two_to_one(original: Path) -> None:
    splits = {each.name: each.split for each in recola.read(original, protocol="liu2021")}
    assert set(splits) == set(recola.LABELLED)
    assert Counter(splits.values()) == {"train": 10, "validation": 2, "test": 6}
    assert splits == {each.name: each.split for each in recola.read(original, protocol="liu2021")}
    assert splits != {each.name: each.split for each in recola.read(original, protocol="liu2021", seed=1)}


def test_liu2021_takes_the_subjects_that_it_is_given(original: Path) -> None:
    trained, tested = ["dev_1", "train_2", "train_3", "train_4", "dev_5"], ["train_1", "dev_2"]
    recordings = recola.read(original, protocol="liu2021", subjects=(trained, tested))
    assert sorted(each.name for each in recordings if each.split == "test") == sorted(tested)
    assert sorted(each.name for each in recordings if each.split != "test") == sorted(trained)
    assert Counter(each.split for each in recordings) == {"train": 3, "validation": 2, "test": 2}


@pytest.mark.parametrize(
    ("trained", "tested", "complaint"),
    [
        (["train_1", "train_2", "train_3", "test_4"], ["dev_1", "dev_2"], "test_4: correct"),
        (["train_1", "train_2", "train_3", "train_4"], ["dev_1", "train_1"], "named twice"),
        (["train_1", "train_2", "train_3"], ["dev_1", "dev_2"], "names 3 recordings to train on"),
        (["train_1", "train_2", "train_3", "train_4"], ["dev_1"], "and 1 to test on"),
    ],
)
def test_subjects_that_do_not_fit_are_refused(
    trained: list[str], tested: list[str], complaint: str, original: Path
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        recola.read(original, protocol="liu2021", subjects=(trained, tested))


def test_unknown_settings_are_refused(original: Path) -> None:
    with pytest.raises(SettingsError, match="choose one of avec2016, liu2021"):
        recola.read(original, protocol="avec2018")
    with pytest.raises(SettingsError, match="choose one of official, mean, centred"):
        recola.read(original, gold="median")
    with pytest.raises(SettingsError, match="avec2016 has its own subjects"):
        recola.read(original, subjects=(["train_1"], ["dev_1"]))


def test_only_the_challenge_s_own_split_is_comparable() -> None:
    assert {name: each.comparable for name, each in recola.PROTOCOLS.items()} == {"avec2016": True, "liu2021": False}
    assert all(name == each.name and each.note for name, each in recola.PROTOCOLS.items())


def features_text(values: list[list[float]]) -> str:
    rows = "".join(f"'test_2',{row / 25},{','.join(map(str, each))}\n" for row, each in enumerate(values))
    attributes = "@attribute name string\n@attribute frameTime numeric\n@attribute a numeric\n@attribute b numeric\n"
    return f"@relation r\n{attributes}@data\n{rows}"


def test_provided_features_come_with_times_and_names(tmp_path: Path) -> None:
    for dimension, value in (("arousal", 1.5), ("valence", 2.5)):
        folder = tmp_path / "features_audio" / dimension
        folder.mkdir(parents=True)
        (folder / "test_2.arff").write_text(features_text([[value, 3], [value, 4]]))
    (tmp_path / "features_video_geometric").mkdir()
    (tmp_path / "features_video_geometric" / "test_2.arff").write_text(features_text([[5, 6]]))
    heard = recola.provided_features(tmp_path, "audio", "test_2", dimension="valence")
    assert heard.times.tolist() == [0, 0.04]
    assert heard.names == ("a", "b")
    assert heard.values.dtype == np.float32
    assert heard.values.tolist() == [[2.5, 3], [2.5, 4]]
    assert recola.provided_features(tmp_path, "audio", "test_2").values[0, 0] == 1.5
    assert recola.provided_features(tmp_path, "video_geometric", "test_2").values.tolist() == [[5, 6]]


def test_provided_features_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "features_audio").mkdir()
    with pytest.raises(CorpusError, match="no features of kind 'physio', but audio"):
        recola.provided_features(tmp_path, "physio", "test_2")
    with pytest.raises(CorpusError, match=r"features_audio/test_2\.arff is not a file"):
        recola.provided_features(tmp_path, "audio", "test_2")
    for name, dimension in (("../secret", "arousal"), ("test_2", "joy")):
        with pytest.raises(SettingsError, match="expected a name such as train_1"):
            recola.provided_features(tmp_path, "audio", name, dimension=dimension)
