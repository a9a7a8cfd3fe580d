"""Tables of features on the label clock, standardised by what is learnt from, as recordings that any system reads."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emotrace.corpora import feature_tables
from emotrace.corpora.feature_tables import TabledClip
from emotrace.errors import CorpusError
from emotrace.training.table_features import REPORT, SCALES, Scale, load_table, prepare_tables
from emotrace.training.tracks import Track
from tests.corpora.miniature_features import CLASSES, FACE, VOICE, write_features

TRAIN = 12
"""Clips of the speakers who are learnt from, the first of the table."""


def prepared(clips: Sequence[TabledClip], folder: Path, training: Sequence[TabledClip] | None = None) -> None:
    """Make the files of clips, and the scales by those that are learnt from."""
    learnt = [clip for clip in clips if clip.split == "train"] if training is None else training
    prepare_tables(clips, learnt, folder, lambda done, total: None)


def loaded(clip: TabledClip, folder: Path, *, slices: bool = False) -> Track:
    return load_table(folder, clip, CLASSES, slices=slices)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def clips(root: Path) -> list[TabledClip]:
    return feature_tables.read(root)


@pytest.fixture(scope="module")
def folder(clips: list[TabledClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("prepared")
    prepared(clips, made)
    return made


def test_columns_are_standardised_by_the_clips_to_learn_from(clips: list[TabledClip], folder: Path) -> None:
    learnt = [loaded(clip, folder) for clip in clips[:TRAIN]]
    voice, face = torch.cat([track.voice for track in learnt]), torch.cat([track.regions[:, 0] for track in learnt])
    torch.testing.assert_close(voice.mean(dim=0), torch.zeros(len(VOICE)), atol=1e-3, rtol=0)
    torch.testing.assert_close(face.mean(dim=0), torch.zeros(len(FACE)), atol=1e-3, rtol=0)
    torch.testing.assert_close(voice.std(dim=0)[:-1], torch.ones(len(VOICE) - 1), atol=1e-2, rtol=0)
    torch.testing.assert_close(face.std(dim=0), torch.ones(len(FACE)), atol=1e-2, rtol=0)


def test_other_clips_change_no_scale(clips: list[TabledClip], folder: Path, tmp_path: Path) -> None:
    prepared(clips[:TRAIN], tmp_path)
    assert (tmp_path / SCALES).read_bytes() == (folder / SCALES).read_bytes()
    prepared(clips, tmp_path, clips)
    assert (tmp_path / SCALES).read_bytes() != (folder / SCALES).read_bytes()


def test_a_column_that_never_changed_tells_nothing_later_either(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root")
    test = root / "voice" / "dan-0.csv"
    lines = test.read_text().splitlines()
    test.write_text("\n".join([lines[0], *(f"{line.rsplit(';', 1)[0]};7.5" for line in lines[1:])]))
    clips = feature_tables.read(root)
    prepared(clips, tmp_path / "out")
    for clip in clips:
        assert (loaded(clip, tmp_path / "out").voice[:, -1] == 0).all()


def test_a_small_variation_far_from_zero_is_told(tmp_path: Path) -> None:
    root = write_features(tmp_path / "root", kind="npz", modalities=("voice",))
    rng = np.random.default_rng(0)
    for path in sorted((root / "voice").iterdir()):
        np.savez(path, features=40_000 + rng.normal(0, 1, (50, 1)), time=np.arange(50) / 25)
    clips = feature_tables.read(root)
    prepared(clips, tmp_path / "out")
    voice = torch.cat([loaded(clip, tmp_path / "out").voice for clip in clips[:TRAIN]])
    assert float(voice.std()) == pytest.approx(1, abs=0.01)


def test_a_system_of_spectrograms_gets_slices_of_one_row(clips: list[TabledClip], folder: Path) -> None:
    vectors, slices = loaded(clips[0], folder), loaded(clips[0], folder, slices=True)
    assert vectors.voice.shape == (len(slices.voice), len(VOICE))
    assert slices.voice.shape == (len(vectors.voice), 1, len(VOICE))
    torch.testing.assert_close(slices.voice[:, 0], vectors.voice)


def test_a_recording_has_the_labels_and_the_names_of_its_clip(clips: list[TabledClip], folder: Path) -> None:
    for clip in clips:
        track = loaded(clip, folder)
        assert (track.name, track.subject, track.dialogue) == (clip.name, clip.subject, clip.dialogue)
        assert len(track) == clip.ticks
        assert CLASSES[track.clip_class] == clip.label
        assert (track.emotion == track.label).all()
        assert track.arousal_valence.shape == (clip.ticks, 2)
        assert track.arousal_valence.isfinite().all()
        assert (track.regions.shape[1:], track.crops.shape[1:]) == ((1, len(FACE)), (1, 1))
        assert len(track.voice) - 2 <= int(track.voice_index.max()) < len(track.voice)


def test_lost_faces_and_cells_without_numbers_stay_finite(clips: list[TabledClip], folder: Path) -> None:
    first, last = loaded(clips[0], folder), loaded(clips[TRAIN - 1], folder)
    assert first.video_valid.float().mean() > 0.9
    assert all(part.isfinite().all() for part in (first.voice, first.regions))
    assert not last.video_valid.any()
    assert last.regions.shape == (0, 1, len(FACE))
    assert last.audio_valid.any()


@pytest.mark.parametrize("only", ["voice", "face"])
def test_a_corpus_may_lack_a_modality(only: str, tmp_path: Path) -> None:
    clips = feature_tables.read(write_features(tmp_path / "root", modalities=(only,)))
    prepared(clips, tmp_path / "out")
    track = loaded(clips[0], tmp_path / "out", slices=True)
    assert bool(track.audio_valid.any()) == (only == "voice")
    assert bool(track.video_valid.any()) == (only == "face")
    lacking = track.regions if only == "voice" else track.voice
    assert lacking.shape == (0, 1, 1)


def test_ratings_over_time_are_kept_as_they_are(tmp_path: Path) -> None:
    clips = feature_tables.read(write_features(tmp_path / "root", traces=True))
    prepared(clips, tmp_path / "out")
    track = loaded(clips[0], tmp_path / "out")
    assert clips[0].labels is not None
    np.testing.assert_array_equal(track.arousal_valence.numpy(), clips[0].labels)
    assert (track.label, set(track.emotion.tolist())) == (-1, {-1})


def test_the_report_has_a_row_for_each_clip_and_modality(clips: list[TabledClip], folder: Path) -> None:
    with (folder / REPORT).open(encoding="utf-8") as file:
        rows = {(row["clip"], row["modality"]): row for row in csv.DictReader(file)}
    assert len(rows) == 2 * len(clips)
    assert (rows["ann-0", "face"]["invalid_rows"], rows["ann-0", "voice"]["nan_cells"]) == ("5", "1")
    assert float(rows["ann-0", "voice"]["rate_hz"]) == 100
    assert (rows["ann-5", "face"]["rows"], rows["ann-5", "face"]["rate_hz"]) == ("0", "")


def test_a_split_that_is_judged_alone_leaves_scales_and_report(clips: list[TabledClip], tmp_path: Path) -> None:
    prepared(clips, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (SCALES, REPORT)}
    prepared([clip for clip in clips if clip.split == "test"], tmp_path, [])
    assert {name: (tmp_path / name).read_bytes() for name in (SCALES, REPORT)} == before


def test_what_is_there_is_kept_and_a_changed_file_is_made_again(tmp_path: Path) -> None:
    root, out = write_features(tmp_path / "root"), tmp_path / "out"
    prepared(feature_tables.read(root), out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    prepared(feature_tables.read(root), out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    told = loaded(feature_tables.read(root)[-1], out).voice.clone()
    changed = root / "voice" / "eve-5.csv"
    changed.write_text("\n".join(changed.read_text().splitlines()[:-40]) + "\n")
    clips = feature_tables.read(root)
    prepared(clips, out)
    made = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert made == {"eve-5.safetensors"}
    assert len(loaded(clips[-1], out).voice) < len(told)


def test_without_scales_nothing_is_judged(clips: list[TabledClip], tmp_path: Path) -> None:
    prepared(clips, tmp_path, [])
    with pytest.raises(CorpusError, match=r"scales\.safetensors is missing, .* copy it there"):
        loaded(clips[0], tmp_path)


def test_other_columns_than_those_learnt_from_are_refused(clips: list[TabledClip], folder: Path) -> None:
    swapped = replace(clips[0], voice_names=(*VOICE[1:], VOICE[0]))
    with pytest.raises(CorpusError, match=r"ann-0 has 12 voice columns .*the same in another order"):
        loaded(swapped, folder)
    with pytest.raises(CorpusError, match=r"ann-0 has 11 face columns .*\(gaze, \.\.\.\), but 10 were learnt from"):
        loaded(replace(clips[0], face_names=(*FACE, "gaze")), folder)


def test_clips_without_a_modality_that_was_learnt_from_can_be_judged(tmp_path: Path) -> None:
    prepared(feature_tables.read(write_features(tmp_path / "root")), tmp_path / "out")
    rmtree(tmp_path / "root")
    heard = feature_tables.read(write_features(tmp_path / "root", modalities=("voice",)))
    prepared(heard, tmp_path / "out", [])
    track = loaded(heard[-1], tmp_path / "out")
    assert track.regions.shape == (0, 1, len(FACE))
    assert not track.video_valid.any()


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=20), finite, st.floats(0, 2.0**127, width=32))
def test_scores_are_finite_and_bounded_whatever_the_values(values: list[float], mean: float, deviation: float) -> None:
    scale = Scale(("a",), torch.tensor([mean]), torch.tensor([deviation]))
    scores = scale.scores(torch.tensor(values)[:, None])
    assert scores.isfinite().all()
    assert scores.abs().max() <= 10
    assert deviation > 0 or not scores.any()
