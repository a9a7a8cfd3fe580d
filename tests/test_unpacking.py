"""Archives of strangers: what is unpacked stays inside its folder and within bounds."""

import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from emotrace.unpacking import UnpackError, unpack

FILES = {"Actor_01/a.wav": b"sound" * 1000, "Actor_01/deep/b.wav": b"", "readme.txt": b"hello"}


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_arrive_with_their_content_and_their_sizes_are_told(tmp_path: Path) -> None:
    sizes = unpack(archive(tmp_path / "a.zip", FILES), tmp_path / "new" / "out")
    assert tree(tmp_path / "new" / "out") == FILES
    assert sizes == {name: len(content) for name, content in FILES.items()}


def test_unpacking_again_replaces_what_is_there(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", FILES)
    unpack(path, tmp_path / "out")
    (tmp_path / "out" / "readme.txt").write_bytes(b"half a f")
    (tmp_path / "out" / "mine.txt").write_bytes(b"mine")
    unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {**FILES, "mine.txt": b"mine"}


@pytest.mark.parametrize(
    "name",
    [
        "../up.txt",
        "a/../../up.txt",
        "/etc/up.txt",
        "a\\..\\up.txt",
        "C:/up.txt",
        "a//up.txt",
        "./up.txt",
        "a/.. /x",
        "a\nb",
    ],
)
def test_a_name_that_could_lead_out_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"first.txt": b"1", name: b"2"})
    with pytest.raises(UnpackError, match="no name inside"):
        unpack(path, tmp_path / "inner" / "out")
    assert tree(tmp_path) == {"a.zip": path.read_bytes()}


def test_a_link_in_the_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(link, "/etc")
    with pytest.raises(UnpackError, match="a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_that_is_there_already_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "Actor_01").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UnpackError, match="leads out of"):
        unpack(archive(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert tree(tmp_path / "elsewhere") == {}


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(10_000_000)})
    assert path.stat().st_size < 20_000
    with pytest.raises(UnpackError, match="10000000 bytes, expected at most"):
        unpack(path, tmp_path / "out", max_bytes=9_999_999)
    assert not (tmp_path / "out").exists()
    assert unpack(path, tmp_path / "out", max_bytes=10_000_000) == {"zeros": 10_000_000}


def test_a_bomb_that_declares_little_gives_no_more_than_that(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(10_000_000)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 10_000_000), struct.pack("<I", 1000)))
    with pytest.raises(UnpackError, match="damaged"):
        unpack(path, tmp_path / "out", max_bytes=1000)
    assert tree(tmp_path / "out") == {}


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{number}.txt": b"" for number in range(11)})
    with pytest.raises(UnpackError, match="11 files"):
        unpack(path, tmp_path / "out", max_files=10)


def test_two_files_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="twice"):
        unpack(archive(tmp_path / "a.zip", {"a.wav": b"1", "A.wav": b"2"}), tmp_path / "out")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.wav": b"1"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(UnpackError, match="encrypted"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("damage", ["not a zip", "cut", "flipped"])
def test_a_damaged_archive_is_named_and_leaves_no_half_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.wav", b"sound" * 1000)
    content = path.read_bytes()
    path.write_bytes(
        {"not a zip": b"<html>", "cut": content[:-30], "flipped": content.replace(b"soundsound", b"soundsounD", 1)}[
            damage
        ]
    )
    with pytest.raises(UnpackError, match=r"a\.zip is damaged or no zip"):
        unpack(path, tmp_path / "out")
    assert tree(tmp_path) == {"a.zip": path.read_bytes()}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(UnpackError, match="cannot be unpacked into"):
        unpack(archive(tmp_path / "a.zip", FILES), tmp_path / "out")


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(zipfile.ZipInfo(""), b"nameless")
    with pytest.raises(UnpackError, match="damaged or no zip archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
