"""Fetching corpora in parts from a real server on this machine."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotrace.corpora import cremad, ravdess
from emotrace.corpus_download import RECORD, download
from emotrace.download_parts import CREMAD, RAVDESS, Archive, DownloadPart, PointerFolder, Table
from emotrace.downloads import DownloadError
from emotrace.unpacking import UnpackError
from tests.local_server import LocalServer, serving
from tests.published_parts import pointer, publish_archive, publish_folder, tree

SOUNDS = {f"Actor_01/03-01-0{code}-01-01-01-01.wav": bytes([code]) * 50 for code in (3, 4)}
VIDEOS = {"Actor_01/01-01-03-01-01-01-01.mp4": np.random.default_rng(0).bytes(200_000)}
RECORDINGS = {f"1001_{sentence}_ANG_XX": sentence.encode() * 30 for sentence in ("DFA", "IEO", "ITS")}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving() as running:
        yield running


def fetch(parts: list[DownloadPart], root: Path) -> tuple[str, ...]:
    return download(parts, root, allow_http=True)


def corpus_in(root: Path) -> dict[str, bytes]:
    """Return the files of the corpus alone: not the record and the lists of what was unpacked."""
    return {name: content for name, content in tree(root).items() if not name.endswith(".txt")}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_archives_arrive_unpacked_in_the_layout_of_the_corpus(server: LocalServer, tmp_path: Path) -> None:
    parts: list[DownloadPart] = [
        publish_archive(server, "Audio", SOUNDS, sha256=True),
        publish_archive(server, "Video", VIDEOS),
    ]
    seen: list[tuple[str, int, int | None]] = []
    gaps = download(
        parts,
        tmp_path / "new",
        allow_http=True,
        progress=lambda name: lambda done, whole: seen.append((name, done, whole)),
    )
    assert gaps == ()
    assert corpus_in(tmp_path / "new") == {**SOUNDS, **VIDEOS}
    assert len(ravdess.read_clips(tmp_path / "new")) == 2
    record = (tmp_path / "new" / RECORD).read_text().splitlines()
    assert record == [f"{sha256(server.files[f'/{name}.zip'])}  {name}.zip" for name in ("Audio", "Video")]
    assert [name for name, done, whole in seen if done == whole] == ["Audio", "Video"]


def test_parts_that_are_there_are_not_asked_for_again(server: LocalServer, tmp_path: Path) -> None:
    parts: list[DownloadPart] = [
        publish_archive(server, "Audio", SOUNDS),
        publish_folder(server, "AudioWAV", ".wav", RECORDINGS),
    ]
    fetch(parts, tmp_path)
    server.asked.clear()
    assert fetch(parts, tmp_path) == ()
    assert server.asked == []


def test_a_part_of_which_a_file_was_lost_is_fetched_again(server: LocalServer, tmp_path: Path) -> None:
    parts: list[DownloadPart] = [publish_archive(server, "Audio", SOUNDS)]
    fetch(parts, tmp_path)
    lost = tmp_path / next(iter(SOUNDS))
    lost.unlink()
    fetch(parts, tmp_path)
    assert corpus_in(tmp_path) == SOUNDS


def test_an_interrupted_archive_is_continued_where_it_broke_off(server: LocalServer, tmp_path: Path) -> None:
    parts: list[DownloadPart] = [publish_archive(server, "Video", VIDEOS)]
    server.break_after = 70_000
    with pytest.raises(DownloadError, match="again to continue"):
        fetch(parts, tmp_path)
    there = (tmp_path / "Video.zip.part").stat().st_size
    assert 0 < there <= 70_000
    server.break_after = len(server.files["/Video.zip"]) - there
    fetch(parts, tmp_path)
    assert corpus_in(tmp_path) == VIDEOS


def test_an_archive_with_another_md5_is_refused_and_removed(server: LocalServer, tmp_path: Path) -> None:
    part = publish_archive(server, "Audio", SOUNDS)
    with pytest.raises(DownloadError, match=r"md5 .* expected 00000"):
        fetch([replace(part, md5="0" * 32)], tmp_path)
    assert tree(tmp_path) == {}


def test_an_archive_that_was_replaced_at_its_source_with_its_md5_is_refused(
    server: LocalServer, tmp_path: Path
) -> None:
    fetch([publish_archive(server, "Audio", SOUNDS)], tmp_path)
    (tmp_path / next(iter(SOUNDS))).unlink()
    other = publish_archive(server, "Audio", {name: content + b"!" for name, content in SOUNDS.items()})
    with pytest.raises(DownloadError, match="sha256"):
        fetch([other], tmp_path)


def test_an_archive_that_leads_out_of_the_folder_writes_nothing(server: LocalServer, tmp_path: Path) -> None:
    part = publish_archive(server, "Audio", {**SOUNDS, "../../evil.wav": b"x"})
    with pytest.raises(UnpackError, match="evil"):
        fetch([part], tmp_path / "a" / "b")
    assert set(tree(tmp_path)) == {"a/b/Audio.zip", f"a/b/{RECORD}"}


def test_recordings_are_fetched_one_by_one_and_verified_by_their_pointers(server: LocalServer, tmp_path: Path) -> None:
    folder = publish_folder(server, "AudioWAV", ".wav", RECORDINGS)
    fetch([folder], tmp_path)
    recordings = {f"AudioWAV/{name}.wav": content for name, content in RECORDINGS.items()}
    table = {"SentenceFilenames.csv": server.files["/raw/SentenceFilenames.csv"]}
    assert corpus_in(tmp_path) == {**recordings, **table}
    assert len(cremad.read(tmp_path)) == len(RECORDINGS)
    lines = sorted(f"{sha256(content)}  {name}" for name, content in {**recordings, **table}.items())
    assert sorted((tmp_path / RECORD).read_text().splitlines()) == lines


def test_a_folder_goes_on_with_what_is_missing(server: LocalServer, tmp_path: Path) -> None:
    folder = publish_folder(server, "AudioWAV", ".wav", RECORDINGS)
    path = "/media/AudioWAV/1001_IEO_ANG_XX.wav"
    server.files[path] = b"damaged on the way"
    with pytest.raises(DownloadError, match="sha256"):
        fetch([folder], tmp_path)
    server.files[path] = RECORDINGS["1001_IEO_ANG_XX"]
    server.asked.clear()
    assert fetch([folder], tmp_path) == ()
    assert len(list((tmp_path / "AudioWAV").iterdir())) == len(RECORDINGS)
    assert "/media/AudioWAV/1001_DFA_ANG_XX.wav" not in server.asked


def test_a_recording_that_was_replaced_at_its_source_is_refused(server: LocalServer, tmp_path: Path) -> None:
    fetch([publish_folder(server, "AudioWAV", ".wav", RECORDINGS)], tmp_path)
    (tmp_path / "AudioWAV" / "1001_IEO_ANG_XX.wav").unlink()
    changed = {**RECORDINGS, "1001_IEO_ANG_XX": b"another"}
    with pytest.raises(DownloadError, match=sha256(RECORDINGS["1001_IEO_ANG_XX"])):
        fetch([publish_folder(server, "AudioWAV", ".wav", changed)], tmp_path)


def test_files_that_the_publisher_does_not_have_are_told_and_the_others_fetched(
    server: LocalServer, tmp_path: Path
) -> None:
    folder = publish_folder(server, "AudioWAV", ".wav", RECORDINGS)
    del server.files["/media/AudioWAV/1001_DFA_ANG_XX.wav"], server.files["/raw/AudioWAV/1001_IEO_ANG_XX.wav"]
    (gap,) = fetch([folder], tmp_path)
    assert gap.startswith("2 of 3 files of AudioWAV are not at")
    assert "1001_DFA_ANG_XX.wav" in gap
    assert [path.stem for path in (tmp_path / "AudioWAV").iterdir()] == ["1001_ITS_ANG_XX"]


@pytest.mark.parametrize("answer", [b"RIFF sound itself", b"<html>", pointer(b"x") + b"more", b"\xff" * 2000])
def test_what_is_no_pointer_is_refused(server: LocalServer, tmp_path: Path, answer: bytes) -> None:
    folder = publish_folder(server, "AudioWAV", ".wav", RECORDINGS)
    server.files["/raw/AudioWAV/1001_DFA_ANG_XX.wav"] = answer
    with pytest.raises(DownloadError, match=r"expected a pointer|not the file expected"):
        fetch([folder], tmp_path)
    assert not (tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav").exists()


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", "a b", "."])
def test_a_list_with_other_names_than_of_recordings_is_refused(server: LocalServer, tmp_path: Path, name: str) -> None:
    folder = publish_folder(server, "AudioWAV", ".wav", RECORDINGS)
    server.files["/raw/SentenceFilenames.csv"] += f'\n4,"{name}"'.encode()
    with pytest.raises(DownloadError, match="no name of a recording"):
        fetch([folder], tmp_path)
    assert not (tmp_path / "AudioWAV").exists()


def test_a_cut_table_is_not_taken_for_a_whole_one(server: LocalServer, tmp_path: Path) -> None:
    server.files["/votes.csv"] = b"1,2,3\n" * 100
    server.break_after = 60
    with pytest.raises(DownloadError, match="broke off"):
        fetch([Table("results/votes.csv", f"{server.url}/votes.csv", 600)], tmp_path)
    assert tree(tmp_path) == {}


def test_a_damaged_record_is_told_apart_from_none(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("hello")
    with pytest.raises(DownloadError, match="'hello', expected a sha256"):
        fetch([publish_archive(server, "Audio", SOUNDS)], tmp_path)


def test_plain_http_is_refused_unless_asked_for(server: LocalServer, tmp_path: Path) -> None:
    parts: list[DownloadPart] = [
        publish_archive(server, "Audio", SOUNDS),
        publish_folder(server, "AudioWAV", ".wav", RECORDINGS),
    ]
    for part in parts:
        with pytest.raises(DownloadError, match="https"):
            download([part], tmp_path)
    assert server.asked == []


def test_what_is_written_down_about_the_published_parts_is_whole() -> None:
    archives = [part for part in RAVDESS if isinstance(part, Archive)]
    assert len(archives) == len(RAVDESS) == 25
    assert all(part.url == f"https://zenodo.org/records/1188976/files/{part.name}.zip" for part in archives)
    assert len({part.md5 for part in archives}) == 25
    assert all(part.md5 is not None and len(bytes.fromhex(part.md5)) == 16 for part in archives)
    assert all(part.sha256 is None or len(bytes.fromhex(part.sha256)) == 32 for part in archives)
    assert [part.name for part in CREMAD if isinstance(part, PointerFolder)] == ["AudioWAV", "VideoFlash"]
