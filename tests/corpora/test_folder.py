"""A user's own folder: tiny real media, tables as people and spreadsheets write them, and every way to get it wrong."""

import csv
import os
import shutil
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import folder, label_table
from emotrace.corpora.rated import SPLITS, RatedRecording, of_split
from emotrace.errors import CorpusError, SettingsError
from emotrace.media import VideoFrame
from emotrace.media_writer import ClipWriter
from emotrace.types import AudioChunk
from tests.media_factory import Pictures, flat_images, write_clip

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "own-data"
RATE = 8000


def sound(path: Path, seconds: float = 0.4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * round(seconds * RATE)))
    return path


def video(path: Path, seconds: float = 4.0, *, has_sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ClipWriter(path, width=32, height=32, frame_rate=5, sample_rate=RATE if has_sound else None) as clip:
        for index in range(round(seconds * 5)):
            clip.write_frame(index / 5, np.full((32, 32, 3), 40 + index, dtype=np.uint8))
        if has_sound:
            clip.write_audio(np.zeros(round(seconds * RATE), dtype=np.float32))
    return path


def tree(root: Path, *lines: str, seconds: float = 0.4) -> Path:
    """Write labels.csv of the lines, and a sound for every file that they name in the first cell."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in lines[1:]:
        name = line.replace(";", ",").split(",")[0]
        if name.endswith(".wav") and ".." not in name and not name.startswith("/"):
            sound(root / name, seconds)
    return root


def rows(count: int, per_subject: int = 1) -> list[str]:
    named = (f"{number:02d}.wav,{number / 100},-0.5,s{number // per_subject}" for number in range(count))
    return ["file,arousal,valence,subject", *named]


def over_time(root: Path, *lines: str, seconds: float = 4.0) -> list[RatedRecording]:
    """Read two recordings, of which the first has a table of the lines."""
    tree(root, "file,labels,arousal,valence,split", "a.wav,a.csv,,,test", "b.wav,,0,0,test", seconds=seconds)
    (root / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder.read(root)


def splits(recordings: list[RatedRecording]) -> dict[str, str]:
    return {each.name: each.split for each in recordings}


def test_the_example_is_read_with_both_ways_of_labelling(tmp_path: Path) -> None:
    root = Path(shutil.copytree(EXAMPLE, tmp_path / "own-data"))
    with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            (video if row["file"].endswith(".mp4") else sound)(root / row["file"], 4.0)
    found = {each.name: each for each in folder.read(root)}
    assert splits(list(found.values())) == {
        "clips-anna-monday": "train",
        "clips-anna-tuesday": "train",
        "clips-ben-monday": "validation",
        "clips-ben-call": "validation",
        "clips-cleo-monday": "test",
        "clips-cleo-tuesday": "test",
    }
    monday, tuesday, call = (found[f"clips-{name}"] for name in ("anna-monday", "anna-tuesday", "ben-call"))
    assert monday.labels is not None
    assert tuesday.labels is not None
    assert tuesday.ratings is not None
    np.testing.assert_array_equal(monday.labels, np.tile(np.array([0.4, 0.6], dtype=np.float32), (100, 1)))
    assert tuesday.ratings.shape == (3, 100, 2)
    np.testing.assert_allclose(tuesday.labels[50], [0.5, 0.35], atol=1e-6)
    np.testing.assert_allclose(tuesday.ratings[1, 50], [0.45, 0.3], atol=1e-6)
    assert (call.video, call.subject, call.ratings) == (None, "ben", None)
    assert (monday.video, monday.subject, monday.label_rate_hz) == (monday.audio, "anna", 25.0)
    assert all(len(of_split(list(found.values()), split)) == 2 for split in SPLITS)


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (EXAMPLE.parent.parent / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    assert (EXAMPLE / "labels.csv").read_text(encoding="utf-8") in page
    assert (EXAMPLE / "ratings" / "ben-call.csv").read_text(encoding="utf-8") in page
    assert all(f"`{column}`" in page for column in folder.COLUMNS)


def test_sound_alone_pictures_alone_and_both_are_told_apart(tmp_path: Path) -> None:
    tree(tmp_path, "file,arousal,valence,split", "a.wav,0,0,test", "b.mp4,0,0,test", "c.mp4,0,0,test")
    video(tmp_path / "b.mp4", 0.4, has_sound=False)
    video(tmp_path / "c.mp4", 0.4)
    heard, seen, both = folder.read(tmp_path)
    assert (heard.video, heard.audio and heard.audio.name) == (None, "a.wav")
    assert (seen.video and seen.video.name, seen.audio) == ("b.mp4", None)
    assert both.video == both.audio is not None
    for recording, kinds in ((heard, {AudioChunk}), (seen, {VideoFrame}), (both, {AudioChunk, VideoFrame})):
        with recording.open() as source:
            assert {type(item) for item in source.read(sample_rate=RATE, video_rate_hz=None)} == kinds


def test_labels_over_time_are_interpolated_and_held_at_both_ends(tmp_path: Path) -> None:
    first = over_time(tmp_path, "time,valence,arousal", "0.5,0,-1", "1.5,0.5,0", "3.5,-0.5,1")[0]
    assert first.labels is not None
    assert first.labels.dtype == np.float32
    assert first.labels.shape == (100, 2)
    np.testing.assert_allclose(first.labels[[0, 12, 25, 50, 87, 99], 0], [-1, -1, -0.5, 0.25, 0.99, 1], atol=0.021)
    np.testing.assert_allclose(first.labels[[0, 25, 50, 99], 1], [0, 0.25, 0.25, -0.5], atol=1e-6)


def test_ratings_stand_in_the_order_of_the_names_of_the_raters_and_their_mean_is_the_label(tmp_path: Path) -> None:
    lines = ("time,arousal_Zoe,valence_ann,valence_zoe,arousal_ann", "0,0.1,0.2,0.3,0.5", "4,0.1,0.2,0.3,0.5")
    first = over_time(tmp_path, *lines)[0]
    assert first.ratings is not None
    assert first.labels is not None
    np.testing.assert_allclose(first.ratings[:, 0], [[0.5, 0.2], [0.1, 0.3]], atol=1e-6)
    np.testing.assert_allclose(first.labels, np.tile([0.3, 0.25], (100, 1)), atol=1e-6)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "lines",
    [
        ["file,arousal,valence,split", "ä b.wav,0.5,-0.25,test", '"c.wav", 0,0 ,Test'],
        ["File;Arousal;Valence;Split", "ä b.wav;0,5;-0,25;test", ";;;", "c.wav;0;0;test"],
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(
    tmp_path: Path, start: bytes, line_end: str, lines: list[str]
) -> None:
    sound(tmp_path / "ä b.wav")
    sound(tmp_path / "c.wav")
    (tmp_path / "labels.csv").write_bytes(start + line_end.join([*lines, "", ""]).encode())
    first, second = folder.read(tmp_path)
    assert (first.name, second.name) == ("ä-b", "c")
    assert first.labels is not None
    np.testing.assert_allclose(first.labels, np.tile([0.5, -0.25], (10, 1)))


def test_dev_is_validation_and_a_folder_may_hold_one_split_alone(tmp_path: Path) -> None:
    root = tree(tmp_path, "file,arousal,valence,split", "a.wav,0,0,dev", "b.wav,0,0,Validation")
    assert splits(folder.read(root)) == {"a": "validation", "b": "validation"}


def test_drawn_splits_part_no_subject_and_keep_near_the_shares(tmp_path: Path) -> None:
    found = folder.read(tree(tmp_path, *rows(40, per_subject=4)))
    assert len({(each.subject, each.split) for each in found}) == 10
    assert Counter(each.split for each in found) == {"train": 24, "validation": 8, "test": 8}
    wider = folder.read(tmp_path, validation_share=0.1, test_share=0.4)
    assert Counter(each.split for each in wider) == {"train": 20, "validation": 4, "test": 16}


def test_drawn_splits_depend_on_the_seed_and_not_on_the_order_of_the_rows(tmp_path: Path) -> None:
    head, *lines = rows(12)
    first = splits(folder.read(tree(tmp_path, head, *lines)))
    assert splits(folder.read(tree(tmp_path, head, *reversed(lines)))) == first
    others = [splits(folder.read(tmp_path, seed=seed)) for seed in (1, 2, 3)]
    assert any(other != first for other in others)
    assert splits(folder.read(tmp_path, seed=1)) == others[0]


def test_without_subjects_every_file_is_its_own_and_six_are_enough(tmp_path: Path) -> None:
    lines = [f"{number}.wav,0,0" for number in range(6)]
    found = folder.read(tree(tmp_path, "file,arousal,valence", *lines))
    assert [each.subject for each in found] == [each.name for each in found]
    assert Counter(each.split for each in found) == {"train": 2, "validation": 2, "test": 2}
    with pytest.raises(CorpusError, match=r"5 recordings of 5 subjects gave splits of 1 \(train\), 2 \(validation\)"):
        folder.read(tree(tmp_path, "file,arousal,valence", *lines[:5]))


@pytest.mark.parametrize("shares", [(0.0, 0.2), (0.5, 0.5), (0.2, float("nan"))])
def test_shares_that_leave_a_split_empty_are_refused(tmp_path: Path, shares: tuple[float, float]) -> None:
    with pytest.raises(SettingsError, match="expected numbers above 0"):
        folder.read(tmp_path, validation_share=shares[0], test_share=shares[1])


HEAD = "file,arousal,valence,labels,subject,split"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD, "a.wav,0,0,,x,train", "a.wav,0,0,,x,train"], r"row 3: 'a\.wav' is the file of row 2"),
        ([HEAD, "a.wav,0,0,,x,train", "./a.wav,0,0,,x,train"], r"row 3: '\./a\.wav' is the file of row 2"),
        ([HEAD, "a/b.wav,0,0,,x,train", "A-B.wav,0,0,,x,train"], r"row 3: 'A-B\.wav' and 'a/b\.wav' of row 2"),
        ([HEAD, "gone.mp4,0,0,,x,train"], r"row 2: 'gone\.mp4' is missing"),
        ([HEAD, ",0,0,,x,train"], "row 2: file is empty"),
        ([HEAD, "../a.wav,0,0,,x,train"], r"row 2: '\.\./a\.wav' leads out of the folder"),
        ([HEAD, "b\\..\\..\\a.wav,0,0,,x,train"], r"row 2: .* leads out of the folder"),
        ([HEAD, "/etc/hostname,0,0,,x,train"], "row 2: '/etc/hostname' leads out of the folder"),
        ([HEAD, f"{'n' * 300}.mp4,0,0,,x,train"], r"row 2: 'nnn.* (cannot be found|is missing)"),
        ([HEAD, "labels.csv,0,0,,x,train", "a.wav,0,0,,x,train"], r"row 2: .*labels\.csv holds text, not media"),
        (
            [HEAD, "a.wav,0,1.5,,x,train", "b.wav,0,0,,x,train"],
            r"row 2: valence is 1\.5, .*\(x - 5\) / 4.*\(x - 3\) / 2",
        ),
        ([HEAD, "a.wav,nan,0,,x,train", "b.wav,0,0,,x,train"], "row 2: arousal is 'nan', expected a number"),
        ([HEAD, "a.wav,,0,,x,train", "b.wav,0,0,,x,train"], "row 2: arousal is '', expected a number"),
        ([HEAD, "a.wav,,,,x,train", "b.wav,0,0,,x,train"], "row 2: there is no label"),
        ([HEAD, "a.wav,0,0,b.csv,x,train", "b.wav,0,0,,x,train"], "row 2: there is both numbers and a file"),
        ([HEAD, "a.wav,,,b.csv,x,train", "b.wav,0,0,,x,train"], r"row 2: 'b\.csv' is missing"),
        ([HEAD, "a.wav,,,../b.csv,x,train", "b.wav,0,0,,x,train"], r"row 2: '\.\./b\.csv' leads out"),
        ([HEAD, "a.wav,0,0,,x,train", "b.wav,0,0,,x,test"], "row 3: subject 'x' is in test, but in row 2 in train"),
        ([HEAD, "a.wav,0,0,,x,train", "b.wav,0,0,,,train"], "row 3: subject is empty, but not in all rows"),
        ([HEAD, "a.wav,0,0,,x,", "b.wav,0,0,,y,train"], "row 2: split is empty, but not in all rows"),
        ([HEAD, "a.wav,0,0,,x,holdout"], "row 2: split is 'holdout': expected one of train, validation, dev, test"),
        ([HEAD, "a.wav,0,0,,x,train", "b.wav,0,0,,x,train", "c.wav,0,0,,y,test"], "split test has one recording"),
        ([HEAD, "a.wav,0,0,,x"], "row 2: found 5 cells, expected 6"),
        ([HEAD], r"labels\.csv has no rows"),
        ([""], r"labels\.csv is empty: expected a first row"),
        ([HEAD, 'a.wav,0,0,"b,x,train'], "row 2: not a table"),
        (
            ["file,arousal,valance", "a.wav,0,0"],
            r"unknown column\(s\) 'valance': known are file, arousal, valence, labels",
        ),
        (["file,arousal,valence,", "a.wav,0,0,"], r"unknown column\(s\) ''"),
        (["file,arousal,valence,File", "a.wav,0,0,1"], r"column\(s\) 'file' more than once"),
        (["file,arousal,labels", "a.wav,0,"], "expected file, and both arousal and valence, or labels"),
        (["arousal,valence", "0,0"], "expected file, and both arousal and valence, or labels"),
        (["file\tarousal\tvalence", "a.wav\t0\t0"], "known are file, arousal, valence"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(tmp_path: Path, lines: list[str], message: str) -> None:
    root = tree(tmp_path / "root", *lines)
    sound(tmp_path / "a.wav")
    (tmp_path / "b.csv").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CorpusError, match=message) as refused:
        folder.read(root)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["time,arousal,valence", "0,0,0", "2,0,0", "2,0,0", "4,0,0"],
            "row 4: time is 2 after 2: expected times that rise",
        ),
        (["time,arousal,valence", "0,0,0", "inf,0,0"], "row 3: time is 'inf', expected a number"),
        (["time,arousal,valence", "0,0,0", "00:04,0,0"], "row 3: time is '00:04', expected a number"),
        (["time,arousal,valence", "0,0,0", "4,0,7"], r"row 3: valence is 7, expected -1 to 1: rescale"),
        (
            ["time,arousal,valence", "0,0,0", "2.9,0,0"],
            r"labels in 'a\.csv' run from 0 to 2\.9 s, but 'a\.wav' from 0 to 4",
        ),
        (["time,arousal,valence", "0,0,0", "4000,0,0"], "from 0 to 4000 s, but .* that the times are seconds"),
        (["time,arousal,valence", "1.1,0,0", "4,0,0"], r"from 1\.1 to 4 s"),
        (["time,arousal,valence"], r"a\.csv has no row of labels"),
        (["time,arousal", "0,0"], "expected time, arousal and valence, or time and a pair"),
        (["seconds,arousal,valence", "0,0,0"], "the columns 'seconds', 'arousal', 'valence': expected time"),
        (["time,arousal_a,valence_b", "0,0,0"], "arousal_NAME and valence_NAME for every rater"),
        (["time,arousal,valence,arousal_a,valence_a", "0,0,0,0,0"], "arousal_NAME and valence_NAME for every rater"),
        (["time," + ",".join(f"arousal_{n},valence_{n}" for n in range(101))], "has 101 raters: expected 100 at most"),
    ],
)
def test_wrong_labels_over_time_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        over_time(tmp_path, *lines)


def test_labels_may_end_a_second_or_a_twentieth_away_from_the_end(tmp_path: Path) -> None:
    lines = ("time,arousal,valence", "0,0,0")
    assert over_time(tmp_path, *lines, "5,0,0", seconds=4)
    assert over_time(tmp_path, *lines, "57.1,0,0", seconds=60)
    with pytest.raises(CorpusError, match=r"expected the same within 3\.0 s"):
        over_time(tmp_path, *lines, "56.9,0,0", seconds=60)


def test_a_link_does_not_lead_out_of_the_folder_and_may_stay_inside(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "file,arousal,valence,split", "in/a.wav,0,0,test", "b.wav,0,0,test")
    sound(tmp_path / "elsewhere" / "a.wav")
    shutil.rmtree(root / "in")
    (root / "in").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(CorpusError, match=r"row 2: 'in/a\.wav' leads out of the folder through a link"):
        folder.read(root)
    (root / "in").unlink()
    (tmp_path / "elsewhere").rename(root / "real")
    (root / "in").symlink_to("real", target_is_directory=True)
    assert [each.name for each in folder.read(root)] == ["in-a", "b"]
    (root / "b.wav").unlink()
    (root / "b.wav").symlink_to("in/a.wav")
    with pytest.raises(CorpusError, match=r"row 3: 'b\.wav' is the file of row 2"):
        folder.read(root)
    (root / "b.wav").unlink()
    (root / "b.wav").symlink_to("b.wav")
    with pytest.raises(CorpusError, match=r"row 3: 'b\.wav' (cannot be found|is missing)"):
        folder.read(root)


def test_a_table_of_links_out_of_the_folder_is_refused_too(tmp_path: Path) -> None:
    tree(tmp_path / "other", "file,arousal,valence", "a.wav,0,0")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "labels.csv").symlink_to(tmp_path / "other" / "labels.csv")
    with pytest.raises(CorpusError, match="leads out of the folder through a link"):
        folder.read(tmp_path / "root")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("file,arousal,valence\na.wav,0,0\nänne.wav,0,0\n".encode("latin-1"), "row 3: not UTF-8 text"),
        ("file,arousal,valence\n".encode("utf-16"), "row 1: not UTF-8 text"),
        ("file,arousal,valence\n".encode("utf-16-le"), "is not UTF-8 text, but UTF-16 or no text"),
        (b"", r"labels\.csv is empty"),
        (b"\xef\xbb\xbf", r"labels\.csv is empty"),
        (b"\n\n;;\n", r"labels\.csv is empty"),
    ],
)
def test_what_is_no_text_in_utf_8_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        folder.read(tmp_path)


def test_a_huge_table_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "labels.csv").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(CorpusError, match="has 1024 MB, expected 64 MB at most"):
        folder.read(tmp_path)
    os.truncate(tmp_path / "labels.csv", label_table.MAX_TABLE_BYTES + 1)
    with pytest.raises(CorpusError, match="expected 64 MB at most"):
        folder.read(tmp_path)


def test_a_folder_without_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"--root .*'labels\.csv' is missing"):
        folder.read(tmp_path / "nowhere")


def test_media_of_no_length_or_of_days_are_refused_by_their_row(tmp_path: Path) -> None:
    root = tree(tmp_path, "file,arousal,valence,split", "a.h264,0,0,test", "b.wav,0,0,test")
    (root / "a.h264").touch()
    with pytest.raises(CorpusError, match=r"row 2: .*a\.h264 is empty"):
        folder.read(root)
    write_clip(root / "a.h264", pictures=Pictures(flat_images([40, 80]), [0.0, 0.04]))
    with pytest.raises(CorpusError, match=r"row 2: a\.h264 declares no length, expected up to 86400 s: convert it"):
        folder.read(root)
    tree(tmp_path, "file,arousal,valence,split", "b.wav,0,0,test", "c.mkv,0,0,test")
    write_clip(root / "c.mkv", pictures=Pictures(flat_images([40, 80]), [0.0, 90_000.0]))
    with pytest.raises(CorpusError, match=r"row 3: c\.mkv declares a length of 90000 s, expected up to 86400 s"):
        folder.read(root)
