"""The ledger: what is written is found again, what is no line of it is nothing."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrace.app.content import Content, read_content
from emotrace.app.ledger import NAME, Line, open_ledger
from emotrace.errors import EmotraceError, SettingsError


def line(target: str, size: int = 3) -> Line:
    return Line(
        source=f"../{target}.mp4",
        target=target,
        content=Content(sha256="0" * 64, bytes=size, mtime_ns=5),
        bundle="b",
        emotrace="1",
        wishes="w",
        asked=("csv",),
        sizes={"csv": 7},
        failure=None,
    )


def test_the_last_line_of_a_target_is_found_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "new", ()) as ledger:
        for each in (line("a"), line("b"), line("a", 4)):
            ledger.add(each)
    with open_ledger(tmp_path / "new", ("a", "c")) as ledger:
        assert ledger.last("a") == line("a", 4)
        assert ledger.last("b") is None  # nobody asked for it
        assert ledger.last("c") is None


@pytest.mark.parametrize(
    "damage",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"format": 1}\n',
        b"\xff\xfe\x00\n",
        b"\n\n",
        b"[" * 100_000 + b"\n",
        b"x" * 3_000_000 + b"\n",
        line("a", 9).model_dump_json().replace('"csv":7', '"csv":"7"').encode() + b"\n",
        line("a", 9).model_dump_json().replace("{", '{"more":1,', 1).encode() + b"\n",
        line("a", 9).model_dump_json().replace('"bytes":9', '"bytes":-9').encode() + b"\n",
        line("a", 9).model_dump_json().encode()[:-20],
        line("a", 9).model_dump_json().encode()[:-1],
        b"x" * 3_000_000,
    ],
)
def test_what_is_no_line_counts_for_nothing_and_hides_no_other(damage: bytes, tmp_path: Path) -> None:
    with open_ledger(tmp_path, ()) as ledger:
        ledger.add(line("a"))
    with (tmp_path / NAME).open("ab") as file:
        file.write(damage)
    with open_ledger(tmp_path, ("a", "b")) as ledger:
        assert ledger.last("a") == line("a")
        ledger.add(line("b"))
    with open_ledger(tmp_path, ("a", "b")) as ledger:
        assert (ledger.last("a"), ledger.last("b")) == (line("a"), line("b"))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / NAME).write_bytes(content)
    with open_ledger(folder, ("a",)) as ledger:
        ledger.add(line("a"))
    with open_ledger(folder, ("a",)) as ledger:
        assert ledger.last("a") == line("a")


def test_a_second_run_on_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    with open_ledger(tmp_path, ()), pytest.raises(SettingsError, match="Another run"), open_ledger(tmp_path, ()):
        pass
    with open_ledger(tmp_path, ()):
        pass


def test_a_place_where_no_ledger_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmotraceError, match="cannot be written"), open_ledger(tmp_path / "file", ()):
        pass


def test_content_is_digest_size_and_time_and_only_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 5))
    parts: list[None] = []
    found = read_content(path, lambda: parts.append(None))
    assert found == Content(
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", bytes=3, mtime_ns=5
    )
    assert parts == [None]
    os.mkfifo(tmp_path / "pipe")
    assert read_content(tmp_path / "pipe", lambda: None) is None
    assert read_content(tmp_path, lambda: None) is None


def test_content_that_changes_while_it_is_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_content(path, lambda: os.utime(path, ns=(1, 5))) is None
