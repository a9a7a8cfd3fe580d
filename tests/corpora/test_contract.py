"""What holds for every corpus, and what is particular to each, on tiny trees and on the real ones."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import emogator, ferplus, nemo, ravdess
from emotrace.corpora.base import Utterance
from emotrace.errors import CorpusError
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from tests.corpora.trees import face, write_ferplus, write_nemo, write_ravdess, write_sound

Reader = Callable[[Path], list[Utterance]]
READERS = {"ravdess": ravdess.read, "nemo": nemo.read, "emogator": emogator.read}
LABELS = {"ravdess": ravdess.LABELS, "nemo": nemo.LABELS, "emogator": emogator.LABELS}


def named_only(path: Path) -> Path:
    """Make an empty file: listing a corpus opens none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def tree(corpus: str, root: Path) -> Path:
    if corpus == "ravdess":
        for actor in (1, 16, 17, 20, 21, 24):
            named_only(root / f"Actor_{actor:02d}" / f"03-01-05-01-02-01-{actor:02d}.wav")
    elif corpus == "nemo":
        write_nemo(root, ("ann", "bob", "cat", "dan", "eve"))
    else:
        for contributor in (1, 280, 281, 318, 319, 357):
            named_only(root / "mp3" / f"{contributor:06d}-03-1.mp3")
    return root


@pytest.mark.parametrize("corpus", READERS)
def test_no_speaker_stands_in_two_splits(corpus: str, tmp_path: Path) -> None:
    utterances = READERS[corpus](tree(corpus, tmp_path))
    splits = {utterance.speaker: set[str]() for utterance in utterances}
    for utterance in utterances:
        splits[utterance.speaker].add(utterance.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {utterance.split for utterance in utterances} == {"train", "validation", "test"}
    assert {utterance.corpus for utterance in utterances} == {corpus}
    assert {utterance.label for utterance in utterances} <= set(LABELS[corpus]) <= set(VOICE_CLASSES)


@pytest.mark.parametrize("corpus", READERS)
def test_two_readings_give_the_same_in_the_same_order(corpus: str, tmp_path: Path) -> None:
    root = tree(corpus, tmp_path)
    assert READERS[corpus](root) == READERS[corpus](root)


@pytest.mark.parametrize(
    ("corpus", "expected"), [("ravdess", "Actor_01 .. Actor_24"), ("nemo", r"data\.tsv"), ("emogator", "mp3/")]
)
def test_an_empty_folder_is_refused_with_the_layout_that_was_expected(
    corpus: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=f"--root must name .*{expected}"):
        READERS[corpus](tmp_path)


@pytest.mark.parametrize("corpus", ["ravdess", "emogator"])
@pytest.mark.parametrize("name", ["holiday.mp3", "01-01-01-01-01-01-99.mp4", "03-01-05-01-02-01-xx.wav", "²-03-1.mp3"])
def test_a_folder_of_other_sound_is_refused(corpus: str, name: str, tmp_path: Path) -> None:
    named_only(tmp_path / "mp3" / name)
    with pytest.raises(CorpusError, match=r"--root|no \.wav"):
        READERS[corpus](tmp_path)


def test_a_folder_that_links_back_up_is_walked_once(tmp_path: Path) -> None:
    root = tree("ravdess", tmp_path / "ravdess")
    (root / "Actor_01" / "back").symlink_to(root, target_is_directory=True)
    assert len(ravdess.read(root)) == 6
    os.rename(root, tmp_path / "elsewhere")
    root.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(ravdess.read(root)) == 6


def test_ravdess_reads_speech_with_sound_once(tmp_path: Path) -> None:
    stem = "01-08-02-01-01-24"
    for name in (
        f"03-{stem}.wav",  # the sound
        f"01-{stem}.mp4",  # the video with the same sound
        f"02-{stem}.mp4",  # the video without
        f"._03-{stem}.wav",  # what a Mac leaves behind
        "03-02-05-01-01-01-24.wav",  # song
    ):
        named_only(tmp_path / "Actor_24" / name)
    [utterance] = ravdess.read(tmp_path)
    assert (utterance.label, utterance.speaker, utterance.split) == ("surprise", "ravdess-24", "test")


def test_ravdess_has_six_folds_of_four_actors_that_cover_all() -> None:
    assert [len(fold) for fold in ravdess.FOLDS] == [4] * 6
    assert [actor for fold in ravdess.FOLDS for actor in fold] == list(range(1, 25))


def test_nemo_tests_on_the_last_two_speakers(tmp_path: Path) -> None:
    utterances = nemo.read(write_nemo(tmp_path, ("eve", "bob", "ann", "dan", "cat")))
    splits = {utterance.speaker: utterance.split for utterance in utterances}
    assert splits == {
        "nemo-ann": "train",
        "nemo-bob": "train",
        "nemo-cat": "validation",
        "nemo-dan": "test",
        "nemo-eve": "test",
    }
    assert len(utterances) == 10
    assert {utterance.label for utterance in utterances} == {"anger", "surprise"}


def test_nemo_names_what_is_wrong(tmp_path: Path) -> None:
    root = write_nemo(tmp_path, ("ann", "bob", "cat", "dan"))
    table = (root / "data.tsv").read_text()
    (root / "samples" / "bob_anger_0.wav").unlink()
    with pytest.raises(CorpusError, match=r"bob_anger_0\.wav is missing"):
        nemo.read(root)
    (root / "data.tsv").write_text(table.replace("surprised\t", "bored\t"))
    with pytest.raises(CorpusError, match="the emotion 'bored': expected neutral"):
        nemo.read(root)
    (root / "data.tsv").write_text(table.replace("speaker_id", "voice"))
    with pytest.raises(CorpusError, match="columns file_id, emotion, speaker_id"):
        nemo.read(root)
    (root / "data.tsv").write_text("\n".join(table.splitlines()[:5]))
    with pytest.raises(CorpusError, match="names 2 speakers"):
        nemo.read(root)
    (root / "data.tsv").write_bytes(b"file_id\n\xff\xfe")
    with pytest.raises(CorpusError, match="is not text"):
        nemo.read(root)


def test_emogator_reads_nine_of_thirty_categories(tmp_path: Path) -> None:
    for category in range(1, 31):
        named_only(tmp_path / "mp3" / f"000001-{category:02d}-2.mp3")
    found = Counter(burst.label for burst in emogator.read(tmp_path))
    assert found.total() == 9
    assert found["surprise"] == 2  # positive and negative


def ferplus_tree(root: Path) -> Path:
    seeds = {"FER2013Train": [1, 2, 3, 4, 5, 6], "FER2013Valid": [2, 10, 10], "FER2013Test": [5, 20]}
    return write_ferplus(root, seeds=seeds)


def test_ferplus_training_holds_no_image_of_validation_or_test(tmp_path: Path) -> None:
    root = ferplus_tree(tmp_path)
    training = ferplus.read(root, "train")
    np.testing.assert_array_equal(training.pixels, [face(seed) for seed in (1, 3, 4, 6)])
    assert len(training.votes) == 4
    assert len(ferplus.read(root, "validation").pixels) == 3
    np.testing.assert_array_equal(ferplus.read(root, "test").pixels, [face(5), face(20)])


def test_ferplus_votes_stand_in_the_order_of_the_emotions(tmp_path: Path) -> None:
    votes = ferplus.read(ferplus_tree(tmp_path), "validation").votes
    names = (*EMOTIONS, "unknown", "not a face")
    assert [{name: row[place] for place, name in enumerate(names) if row[place]} for row in votes] == [
        {"happiness": 8, "unknown": 2},
        {"anger": 8, "unknown": 2},
        {"sadness": 8, "unknown": 2},
    ]


def faces(*votes: list[int]) -> ferplus.FaceImages:
    return ferplus.FaceImages(np.zeros((len(votes), 48, 48), np.uint8), np.array(votes, dtype=np.float32))


def test_the_majority_is_more_than_half_of_what_is_no_single_vote() -> None:
    of = faces(
        [6, 4, 0, 0, 0, 0, 0, 0, 0, 0],  # anger
        [5, 5, 0, 0, 0, 0, 0, 0, 0, 0],  # a tie
        [4, 3, 1, 1, 1, 0, 0, 0, 0, 0],  # 4 of 7 once the single votes are dropped
        [0, 0, 0, 0, 0, 0, 0, 0, 8, 2],  # unknown
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # nothing but single votes
    )
    assert of.majority().tolist() == [0, -1, 0, -1, -1]


def test_the_distribution_drops_single_votes_unless_there_are_no_others() -> None:
    found = faces(
        [6, 3, 1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 8, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
    ).distribution()
    expected = np.array([[6 / 9, 3 / 9, 0], [0.5, 0.5, 0], [0, 0, 0]])
    np.testing.assert_allclose(found[:, :3], expected, rtol=1e-6)
    assert found[:, 3:].max() == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("fer0000000.png,box,1,2", "found 4 fields, expected 12"),
        ("fer0000000.png,box,1,2,3,4,5,6,7,8,9,many", "expected ten vote counts"),
        ("fer0000000.png,box,-1,2,3,4,5,6,7,8,9,0", "expected ten vote counts"),
        ("gone.png,box,1,2,3,4,5,6,7,8,9,10", r"gone\.png is missing"),
        ("../FER2013Test/none.png,box,1,2,3,4,5,6,7,8,9,10", r"FER2013Valid/none\.png is missing"),
        (",box,1,2,3,4,5,6,7,8,9,10", "names no image"),
        ("", r"found 0 fields|names no image"),
        ("\udcff", "is not text"),
    ],
)
def test_a_damaged_ferplus_table_is_refused(tmp_path: Path, row: str, message: str) -> None:
    root = ferplus_tree(tmp_path)
    (root / "FER2013Valid" / "label.csv").write_text(row + "\n", encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CorpusError, match=message):
        ferplus.read(root, "validation")


def test_ferplus_says_which_folder_or_split_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"FER2013Test/label\.csv is missing: --root must name the FER\+ folder"):
        ferplus.read(tmp_path, "test")
    with pytest.raises(CorpusError, match="no split 'holiday': expected one of train, validation, test"):
        ferplus.read(tmp_path, "holiday")


def test_an_utterance_of_a_tree_is_sound_that_can_be_decoded(tmp_path: Path) -> None:
    from emotrace.inference.recordings import decode

    path = write_sound(tmp_path / "one.wav", seconds=0.5)
    assert decode(path).shape == (8000,)
    assert len(ravdess.read(write_ravdess(tmp_path / "ravdess", (1,)))) == 8


def test_ferplus_has_the_published_counts(data_root: Path) -> None:
    def rows(folder: str) -> int:
        lines = (data_root / "ferplus" / folder / "label.csv").read_text().splitlines()
        return sum(1 for line in lines if not line.startswith((",", '"",')))

    assert [rows(ferplus.FOLDERS[split]) for split in ferplus.FOLDERS] == [28_558, 3_579, 3_573]
    assert len(ferplus.read(data_root / "ferplus", "validation").pixels) == 3_579
    assert len(ferplus.read(data_root / "ferplus", "test").pixels) == 3_573


def test_the_voices_have_the_published_counts(data_root: Path) -> None:
    found = {corpus: READERS[corpus](data_root / corpus) for corpus in READERS}
    assert {corpus: len(utterances) for corpus, utterances in found.items()} == {
        "ravdess": 1440,
        "nemo": 4481,
        "emogator": 9625,
    }
    assert set(Counter(utterance.speaker for utterance in found["ravdess"]).values()) == {60}
    assert {corpus: len({each.speaker for each in found[corpus]}) for corpus in found} == {
        "ravdess": 24,
        "nemo": 9,
        "emogator": 357,
    }
    for corpus, utterances in found.items():
        assert {utterance.label for utterance in utterances} == set(LABELS[corpus])
