"""A folder of features: files as the tools write them, tables as people write them, and every way to get it wrong."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import feature_rows, feature_tables
from emotrace.corpora.feature_tables import TabledClip, load, read
from emotrace.errors import CorpusError, SettingsError

HEAD = "clip,voice,face,emotion,speaker,split,dialogue"
OPENFACE = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU45_r"


def voice(path: Path, seconds: float = 2.0, names: str = "loudness;F0") -> Path:
    """Write what openSMILE writes per frame, 100 a second; loudness is the time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = (number / 100 for number in range(round(100 * seconds)))
    lines = [f"'unknown';{time:.6f};{time:.6e};{5:.6e}" for time in times]
    path.write_text("\n".join([f"name;frameTime;{names}", *lines]) + "\n", encoding="utf-8")
    return path


def face(path: Path, seconds: float = 2.0, lost: range = range(0)) -> Path:
    """Write what OpenFace writes, 30 a second; AU01_r is the time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = range(round(30 * seconds))
    lines = [f"{row + 1}, 0, {row / 30:.3f}, 0.98, {int(row not in lost)}, {row / 30:.3f}, 0.5, 0" for row in rows]
    path.write_text("\n".join([OPENFACE, *lines]) + "\n", encoding="utf-8")
    return path


def tree(root: Path, *lines: str) -> Path:
    """Write labels.csv of the lines, and a file for each that they name as v*.csv or f*.csv."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for cell in (cell for line in lines[1:] for cell in line.replace(";", ",").split(",")):
        if cell.endswith(".csv") and ".." not in cell and not cell.startswith("/"):
            (voice if cell.startswith("v") else face)(root / cell)
    return root


def classed(count: int, per_speaker: int = 1, turns: int | None = None) -> list[str]:
    """Return rows of two classes by turns; `turns` clips in a row are a dialogue."""
    return [
        "clip,voice,emotion,speaker,dialogue",
        *(
            f"c{number:02d},v{number}.csv,{'Happy' if number % 2 else 'sad'},s{number // per_speaker},"
            f"{'' if turns is None else f'd{number // turns}'}"
            for number in range(count)
        ),
    ]


def splits(clips: list[TabledClip]) -> dict[str, str]:
    return {clip.name: clip.split for clip in clips}


def test_clips_with_classes_are_read_in_the_order_of_the_table(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        HEAD,
        "talk 1,v/1.csv,f/1.csv,Happy,ann,train,d1",
        "talk 2,v/2.csv,,sad,ben,test,d1",
        "talk 3,,f/3.csv,neutral,ann,train,",
        "talk 4,v/4.csv,f/4.csv,sad,ben,test,",
    )
    clips = read(root)
    assert [clip.name for clip in clips] == ["talk-1", "talk-2", "talk-3", "talk-4"]
    assert [clip.label for clip in clips] == ["happy", "sad", "neutral", "sad"]
    assert [clip.subject for clip in clips] == ["ann", "ben", "ann", "ben"]
    assert [clip.split for clip in clips] == ["train", "test", "train", "test"]
    assert [clip.dialogue for clip in clips] == ["d1", "d1", None, None]
    assert feature_tables.classes(clips) == ("happy", "neutral", "sad")
    assert all(clip.labels is None and clip.ticks == 50 for clip in clips)
    assert clips[0].voice == (root / "v" / "1.csv").resolve()
    assert (clips[1].face, clips[1].face_report, clips[2].voice) == (None, None, None)
    assert {clip.voice_names for clip in clips} == {("loudness", "F0")}
    assert {clip.face_names for clip in clips} == {("AU01_r", "AU12_r", "AU45_r")}


def test_both_modalities_stand_on_one_clock_and_a_missing_one_is_invalid(tmp_path: Path) -> None:
    lines = ("a,va.csv,fa.csv,x,p,test,", "b,vb.csv,,y,p,test,", "c,,fc.csv,y,p,test,")
    both, heard, seen = map(load, read(tree(tmp_path, HEAD, *lines)))
    assert both.audio_valid.all()
    assert (both.face_index >= 0).all()
    ticks = np.arange(50) / 25
    np.testing.assert_allclose(both.voice[both.voice_index[1:], 0], ticks[1:] - 0.015, atol=1e-6)
    np.testing.assert_allclose(both.face[both.face_index, 0], ticks, atol=1 / 30)
    assert (both.face[both.face_index, 0] <= ticks + 1e-6).all()
    assert (heard.face.shape, set(heard.face_index.tolist()), len(heard.face_index)) == ((0, 3), {-1}, 50)
    assert (seen.voice.shape, len(seen.audio_valid)) == ((0, 2), 50)
    assert not seen.audio_valid.any()
    assert both.voice.dtype == both.face.dtype == np.float32


def test_a_clip_lasts_as_long_as_the_longer_of_its_files(tmp_path: Path) -> None:
    root = tree(tmp_path, HEAD, "a,va.csv,fa.csv,x,p,test,", "b,vb.csv,fb.csv,y,p,test,")
    voice(root / "va.csv", seconds=3.0)
    clip = read(root)[0]
    features = load(clip)
    assert clip.ticks == len(features.face_index) == len(features.voice_index) == 75
    assert (features.face_index[:61] >= 0).all()
    assert (features.face_index[62:] == -1).all()  # half a second after the last picture
    assert features.audio_valid.all()


def test_a_modality_that_the_corpus_lacks_is_invalid_throughout(tmp_path: Path) -> None:
    clips = read(tree(tmp_path, "clip,voice,emotion,split", "a,va.csv,x,test", "b,vb.csv,y,test"))
    assert clips[0].face_names == ()
    assert load(clips[0]).face.shape == (0, 1)


def test_features_of_whole_clips_last_a_second_and_hold_beside_frames_of_the_other_modality(tmp_path: Path) -> None:
    root = tree(tmp_path, HEAD, "a,va.csv,,x,p,test,", "b,vb.csv,fb.csv,y,p,test,")
    for name in "ab":
        (root / f"v{name}.csv").write_text("name;F0_amean;HNR_amean\n'x';1.5;2.5\n", encoding="utf-8")
    alone, beside = read(root)
    assert (alone.ticks, beside.ticks) == (25, 50)
    features = load(beside)
    assert features.voice.tolist() == [[1.5, 2.5]]
    assert features.voice_index.tolist() == [0] * 50
    assert len(features.face) > 40


def test_arousal_and_valence_are_one_number_each_or_a_table_over_time(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        "clip;voice;arousal;valence;labels;split",
        "a;va.csv;0,5;-0,25;;test",
        "b;vb.csv;;;b.txt;test",
    )
    (root / "b.txt").write_text("time,arousal,valence\n0,0,0\n2,1,-1\n", encoding="utf-8")
    still, moving = read(root)
    assert still.labels is not None
    assert moving.labels is not None
    np.testing.assert_array_equal(still.labels, np.tile(np.array([0.5, -0.25], dtype=np.float32), (50, 1)))
    np.testing.assert_allclose(moving.labels[:, 0], np.arange(50) / 50, atol=1e-6)
    np.testing.assert_allclose(moving.labels[:, 1], -np.arange(50) / 50, atol=1e-6)
    assert moving.labels.dtype == np.float32
    assert (still.label, moving.label, feature_tables.classes([still, moving])) == (None, None, ())


def test_a_table_of_labels_tells_the_length_where_no_feature_has_times(tmp_path: Path) -> None:
    root = tree(tmp_path, "clip,voice,labels,split", "a,a.npy,a.txt,test", "b,b.npy,b.txt,test")
    for name in "ab":
        np.save(root / f"{name}.npy", np.ones(3))
        (root / f"{name}.txt").write_text("time,arousal,valence\n0,0,0\n4,1,1\n", encoding="utf-8")
    clip = read(root)[0]
    assert clip.labels is not None
    assert clip.ticks == len(clip.labels) == 100
    assert len(load(clip).voice_index) == 100


def test_drawn_splits_never_part_a_speaker_and_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    head, *lines = classed(40, per_speaker=4)
    found = read(tree(tmp_path, head, *lines))
    assert len({(clip.subject, clip.split) for clip in found}) == 10
    assert Counter(clip.split for clip in found) == {"train": 24, "validation": 8, "test": 8}
    (tmp_path / "labels.csv").write_text("\n".join([head, *reversed(lines)]), encoding="utf-8")
    assert splits(read(tmp_path)) == splits(found)
    assert any(splits(read(tmp_path, seed=seed)) != splits(found) for seed in (1, 2))


def test_drawn_splits_never_part_a_dialogue_nor_speakers_who_share_one(tmp_path: Path) -> None:
    found = read(tree(tmp_path, *classed(24, per_speaker=2, turns=3)))
    assert len({(clip.dialogue, clip.split) for clip in found}) == 8
    assert len({(clip.subject, clip.split) for clip in found}) == 12
    assert set(splits(found).values()) == {"train", "validation", "test"}
    with pytest.raises(CorpusError, match="12 recordings of 1 speakers without a shared dialogue gave splits"):
        read(tree(tmp_path, *classed(12, per_speaker=1, turns=12)))


def test_without_speakers_every_clip_is_its_own(tmp_path: Path) -> None:
    lines = [f"c{number},v{number}.csv,{'ab'[number % 2]}" for number in range(6)]
    found = read(tree(tmp_path, "clip,voice,emotion", *lines))
    assert [clip.subject for clip in found] == [clip.name for clip in found]
    assert Counter(splits(found).values()) == {"train": 2, "validation": 2, "test": 2}
    with pytest.raises(SettingsError, match="expected numbers above 0"):
        read(tmp_path, validation_share=0.5, test_share=0.5)


def test_the_report_says_what_was_found_in_every_file(tmp_path: Path) -> None:
    root = tree(tmp_path, HEAD, "a,va.csv,fa.csv,x,p,test,", "b,vb.csv,,y,p,test,")
    face(root / "fa.csv", lost=range(10, 25))
    lines = (root / "va.csv").read_text(encoding="utf-8").splitlines()
    lines[5] = lines[4]  # one of 200 rows is there twice
    lines[9] = lines[9].rsplit(";", 1)[0] + ";nan"
    (root / "va.csv").write_text("\n".join(lines), encoding="utf-8")
    rows = feature_tables.report(read(root))
    assert [(row["clip"], row["modality"]) for row in rows] == [
        ("a", "voice"),
        ("a", "face"),
        ("b", "voice"),
        ("b", "face"),
    ]
    heard, seen, _, missing = rows
    assert (heard["rows"], heard["rate_hz"], heard["dropped_rows"], heard["nan_cells"]) == (200, 100.0, 1, 1)
    assert (heard["valid_share"], heard["clip_seconds"], heard["longest_gap_seconds"]) == (1.0, 2.0, 0.01)
    assert (seen["rows"], seen["invalid_rows"], seen["valid_share"], seen["faces"]) == (60, 15, 0.75, 1)
    assert seen["longest_gap_seconds"] == pytest.approx(0.5, abs=0.002)
    assert (missing["rows"], missing["valid_share"], missing["rate_hz"]) == (0, 0.0, "")
    with (tmp_path / "report.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writerows(rows)  # all rows have the same keys


def test_files_of_a_modality_have_the_same_columns_in_all_clips(tmp_path: Path) -> None:
    root = tree(tmp_path, HEAD, "a,va.csv,,x,p,test,", "b,vb.csv,,y,p,test,")
    voice(root / "vb.csv", names="loudness;F1")
    with pytest.raises(CorpusError, match=r"row 3: clip 'b', voice: has 'F1' as column 2 .* expected 'F0' as clip 'a'"):
        read(root)
    (root / "vb.csv").write_text("loudness\n1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="row 3: clip 'b', voice: has 1 columns of features, expected 2"):
        read(root)


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, HEAD, "a,va.csv,,x,p,test,", "b,vb.csv,,y,p,test,")
    clip = read(root)[0]
    voice(root / "va.csv", names="F0;loudness")
    with pytest.raises(CorpusError, match=r"clip 'a': has 'F0' as column 1 .* as when the corpus was read"):
        load(clip)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD, "a,v.csv,,x,p,train,", "a,v2.csv,,y,p,train,"], "row 3: 'a' and 'a' of row 2 would both be called 'a'"),
        ([HEAD, "a b,v.csv,,x,p,train,", "A-B,v2.csv,,y,p,train,"], "row 3: 'A-B' and 'a b' of row 2 would both"),
        ([HEAD, "a,v.csv,,x,p,train,", "b,v.csv,,y,p,train,"], r"row 3: 'v\.csv' also stands in row 2"),
        ([HEAD, "a,v.csv,v.csv,x,p,train,", "b,v2.csv,,y,p,train,"], r"row 2: 'v\.csv' also stands in row 2"),
        ([HEAD, ",v.csv,,x,p,train,"], "row 2: clip is empty"),
        ([HEAD, "a,,,x,p,train,"], "row 2: voice and face are empty"),
        ([HEAD, "a,../v.csv,,x,p,train,"], r"row 2: '\.\./v\.csv' leads out of the folder"),
        ([HEAD, "a,/etc/hostname,,x,p,train,"], "row 2: '/etc/hostname' leads out of the folder"),
        ([HEAD, "a,gone.npz,,x,p,train,"], r"row 2: 'gone\.npz' is missing"),
        ([HEAD, "a,v.csv,,x,p,train,", "b,v2.csv,,,p,train,"], "row 3: emotion is empty, but not in all rows"),
        ([HEAD, "a,v.csv,,x,p,train,", "b,v2.csv,,y,,train,"], "row 3: speaker is empty, but not in all rows"),
        ([HEAD, "a,v.csv,,x,p,,", "b,v2.csv,,y,p,train,"], "row 2: split is empty, but not in all rows"),
        ([HEAD, "a,v.csv,,x,p,train,", "b,v2.csv,,y,p,test,"], "row 3: speaker 'p' is in test, but in row 2 in train"),
        ([HEAD, "a,v.csv,,x,p,train,", "b,v2.csv,,X,p,train,"], "has 1 classes in emotion: expected 2 to 100"),
        ([HEAD, "a,v.csv,,=x(),p,train,", "b,v2.csv,,y,p,train,"], r"row 2: emotion is '=x\(\)': expected a word"),
        ([HEAD, "a,v.csv,,x,p,eval,"], "row 2: split is 'eval': expected one of"),
        ([HEAD], r"labels\.csv has no rows"),
        (["clip,voice,emotion,arousal,valence", "a,v.csv,x,0,0"], "there is an emotion and arousal, valence or labels"),
        (["clip,voice,arousal,valence,labels", "a,v.csv,,,"], "row 2: there is no label: expected an emotion in all"),
        (["clip,voice,arousal,emotion", "a,v.csv,0,x"], "expected clip; voice, face or both; and emotion, or arousal"),
        (["clip,emotion", "a,x"], "expected clip; voice, face or both"),
        (["clip,voice", "a,v.csv"], "expected clip; voice, face or both"),
        (["voice,emotion", "v.csv,x"], "expected clip; voice, face or both"),
        (["clip,voice,emotion,age", "a,v.csv,x,3"], r"unknown column\(s\) 'age': known are clip, voice, face, emotion"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(tmp_path: Path, lines: list[str], message: str) -> None:
    root = tree(tmp_path / "root", *lines)
    voice(tmp_path / "v.csv")
    with pytest.raises(CorpusError, match=message) as refused:
        read(root)
    assert "\n" not in str(refused.value)


def test_ratings_out_of_range_or_of_another_length_are_refused(tmp_path: Path) -> None:
    head = "clip,voice,arousal,valence,labels,split"
    with pytest.raises(CorpusError, match="row 2: valence is 7, expected -1 to 1"):
        read(tree(tmp_path, head, "a,va.csv,0,7,,test", "b,vb.csv,0,0,,test"))
    tree(tmp_path, head, "a,va.csv,,,a.txt,test", "b,vb.csv,0,0,,test")
    (tmp_path / "a.txt").write_text("time,arousal,valence\n0,0,0\n9,0,0\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"labels in 'a\.txt' run from 0 to 9 s, but 'a' from 0 to 2\.00 s"):
        read(tmp_path)


def test_times_of_a_longer_recording_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "clip,voice,emotion,split", "a,va.csv,x,test", "b,vb.csv,y,test")
    (root / "va.csv").write_text("time,loudness,F0\n3600,1,2\n3600.1,1,2\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"row 2: the features of 'a' run from 3600 to 3600\.2 s: .* Subtract"):
        read(root)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "clip,voice,emotion,split", "a,va.csv,x,test", "b,vb.csv,y,test")
    (root / "va.csv").rename(tmp_path / "va.csv")
    (root / "va.csv").symlink_to(tmp_path / "va.csv")
    with pytest.raises(CorpusError, match=r"row 2: .* leads out of the folder through a link"):
        read(root)


def test_more_clips_than_the_bound_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_rows, "MAX_CLIPS", 3)
    with pytest.raises(CorpusError, match="has too many rows: expected 1 to 3"):
        read(tree(tmp_path, *classed(4)))
