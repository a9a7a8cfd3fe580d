"""What is known of every corpus, and what a check says of whole and broken copies."""

from collections.abc import Callable
from pathlib import Path

import pytest

from emotrace.catalogue import CATALOGUE, MAX_PROBLEMS, check, clips_of, entry_of
from emotrace.corpora import feature_tables
from emotrace.errors import CorpusError, SettingsError
from emotrace.labels import POLARITY
from tests.corpora import miniature_acted, miniature_ave, miniature_features, miniature_open, trees

EVENT_CORPORA = ("ave",)
"""Whose classes are no emotions."""
CLASS_TREES: dict[str, Callable[[Path], Path]] = {
    "afew": lambda root: miniature_open.write_afew(root),
    "iemocap": lambda root: miniature_acted.write_iemocap(root, clips=False),
    "iemocap-6": lambda root: miniature_acted.write_iemocap(root, clips=False),
    "iemocap-improvised": lambda root: miniature_acted.write_iemocap(
        root, clips=False, dialogues=("F_impro01", "M_impro02")
    ),
    "cremad": lambda root: miniature_acted.write_cremad(root, clips=False),
    "ravdess": lambda root: miniature_acted.write_ravdess_av(root, clips=False),
    "videoemotion8": lambda root: miniature_open.write_videoemotion8(root),
    "ekman6": lambda root: miniature_open.write_ekman6(root),
    "ave": lambda root: miniature_ave.write_ave(root),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_says_all_that_a_user_needs(name: str) -> None:
    entry = entry_of(name)
    assert entry.name == name
    assert all((entry.title, entry.licence, entry.citation, entry.homepage, entry.layout))
    assert entry.homepage.startswith(("https://", "docs/"))
    assert bool(entry.classes) == (entry.task not in ("trace", "tables"))
    assert len(set(entry.classes)) == len(entry.classes)
    assert set(entry.classes) <= set(POLARITY) or name in EVENT_CORPORA


def test_only_the_two_corpora_whose_licence_allows_it_can_be_downloaded() -> None:
    assert {name for name, entry in CATALOGUE.items() if entry.parts} == {"ravdess", "cremad"}


def test_every_corpus_of_classes_is_tried_here() -> None:
    assert {name for name, entry in CATALOGUE.items() if entry.task == "classes"} == set(CLASS_TREES)


@pytest.mark.parametrize("name", CLASS_TREES)
def test_clips_have_the_classes_of_their_entry(name: str, tmp_path: Path) -> None:
    clips = clips_of(name, CLASS_TREES[name](tmp_path / "corpus"))
    assert {clip.label for clip in clips} == set(entry_of(name).classes)


@pytest.mark.parametrize("name", CLASS_TREES)
def test_a_quick_check_counts_and_finds_every_empty_file(name: str, tmp_path: Path) -> None:
    root = CLASS_TREES[name](tmp_path / "corpus")
    clips = clips_of(name, root)
    report = check(name, root, quick=True)
    assert report.items == len(clips) == sum(report.splits.values()) == sum(report.classes.values())
    assert report.subjects == len({clip.subject for clip in clips})
    files = {path for clip in clips for path in (clip.video, clip.audio) if path is not None}
    assert report.num_problems == len(files)
    assert len(report.problems) == min(MAX_PROBLEMS, len(files))
    assert report.problems[0].endswith(" is empty.")


def test_a_whole_copy_has_a_length_and_no_problem(tmp_path: Path) -> None:
    root = miniature_acted.write_cremad(tmp_path, clips=True, actors=(1001,), sentences=("DFA",), seconds=0.8)
    report = check("cremad", root)
    assert (report.items, report.num_problems, report.problems) == (6, 0, ())
    assert report.splits == {"train": 6}
    assert report.classes == dict.fromkeys(sorted(entry_of("cremad").classes), 1)
    assert report.seconds == pytest.approx(6 * 0.8, rel=0.1)


def test_a_file_that_cannot_be_read_is_named_with_its_reason(tmp_path: Path) -> None:
    root = miniature_acted.write_cremad(tmp_path, clips=True, actors=(1001,), sentences=("DFA",), seconds=0.8)
    (root / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    report = check("cremad", root)
    assert report.num_problems == 1
    assert "1001_DFA_ANG_XX.wav holds text, not media" in report.problems[0]
    assert check("cremad", root, quick=True).num_problems == 0


def test_a_dialogue_counts_with_its_utterances_alone(tmp_path: Path) -> None:
    root = miniature_acted.write_iemocap(tmp_path, clips=True, dialogues=("F_impro01",), seconds=0.16)
    report = check("iemocap-6", root)
    assert report.num_problems == 0
    assert report.seconds == pytest.approx(report.items * 0.16, rel=0.01)


def test_voices_and_faces_are_checked_too(tmp_path: Path) -> None:
    root = trees.write_nemo(tmp_path / "nemo", ("ann", "bob", "cat", "dan", "eve"))
    report = check("nemo", root)
    assert (report.items, report.subjects, report.num_problems) == (10, 5, 0)
    assert report.classes == {"anger": 5, "surprise": 5}
    seeds = {"FER2013Train": [1, 2, 3], "FER2013Valid": [4], "FER2013Test": [5]}
    faces = check("ferplus", trees.write_ferplus(tmp_path / "ferplus", seeds=seeds))
    assert (faces.items, faces.splits["train"], faces.num_problems, faces.seconds) == (5, 3, 0, None)


def test_recordings_with_traces_are_checked_too(tmp_path: Path) -> None:
    report = check("affwild2", miniature_open.write_affwild2(tmp_path))
    assert report.num_problems == 0
    assert set(report.splits) == {"train", "validation"}
    assert report.classes == {}


@pytest.mark.parametrize("traces", [True, False])
def test_tables_of_features_are_checked_too(traces: bool, tmp_path: Path) -> None:
    root = miniature_features.write_features(tmp_path, traces=traces)
    report = check("features", root)
    clips = feature_tables.read(root)
    assert (report.items, report.subjects, report.num_problems) == (len(clips), 5, 0)
    assert report.classes == ({} if traces else dict.fromkeys(miniature_features.CLASSES, 10))
    assert report.seconds == pytest.approx(sum(clip.ticks for clip in clips) / 25)
    (root / "voice" / "ann-0.csv").write_text("time,loudness\n")
    with pytest.raises(CorpusError, match=r"ann-0\.csv has no row"):
        check("features", root)


def test_a_folder_of_something_else_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="--root"):
        check("cremad", tmp_path)


def test_an_unknown_corpus_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="recola, affwild2"):
        check("imagenet", tmp_path)
    with pytest.raises(SettingsError, match="no corpus of clips with classes"):
        clips_of("recola", tmp_path)
