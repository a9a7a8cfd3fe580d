"""`emotrace corpora` as a user meets it: what is shown, checked and downloaded, and how it ends."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner, Result

from emotrace import catalogue, corpus_download
from emotrace.app.cli import app
from emotrace.catalogue import CATALOGUE
from tests.corpora import miniature_acted
from tests.local_server import LocalServer, serving
from tests.published_parts import publish_archive, publish_folder, tree


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server that publishes two archives of RAVDESS and the sound of CREMA-D, which the catalogue names."""
    with serving() as running:
        names = [f"03-01-{code}-01-01-01-{actor}.wav" for actor in ("01", "21") for code in ("03", "05")]
        sounds = {f"Actor_{name[-6:-4]}/{name}": b"sound" for name in names}
        ravdess = (publish_archive(running, "Audio", sounds), publish_archive(running, "More", {"readme": b"text"}))
        cremad = (publish_folder(running, "AudioWAV", ".wav", {"1001_DFA_ANG_XX": b"sound"}),)
        entries = {
            "ravdess": replace(CATALOGUE["ravdess"], parts=ravdess),
            "cremad": replace(CATALOGUE["cremad"], parts=cremad),
        }
        monkeypatch.setattr(catalogue, "CATALOGUE", MappingProxyType({**CATALOGUE, **entries}))
        monkeypatch.setattr(corpus_download, "download", partial(corpus_download.download, allow_http=True))
        yield running


@pytest.mark.parametrize("name", [*CATALOGUE, "synthetic"])
def test_every_corpus_that_is_listed_is_shown(name: str) -> None:
    text, document = run("corpora", "show", name), run("corpora", "show", name, "--json")
    assert (text.exit_code, document.exit_code) == (0, 0)
    assert text.stdout.startswith(f"name: {name}\n")
    assert json.loads(document.stdout)["name"] == name


def test_a_corpus_is_shown_with_licence_layout_and_the_size_of_its_download() -> None:
    shown = run("corpora", "show", "ravdess").stdout
    for piece in ("CC BY-NC-SA 4.0", "https://zenodo.org/records/1188976", "Actor_01/", "13.6 GB in 25 parts"):
        assert piece in shown
    assert "not by emotrace" in run("corpora", "show", "recola").stdout


def test_a_check_counts_and_exits_by_what_it_found(tmp_path: Path) -> None:
    root = miniature_acted.write_cremad(tmp_path, clips=True, actors=(1001,), sentences=("DFA",), seconds=0.4)
    good = run("corpora", "check", "cremad", "--root", root)
    assert (good.exit_code, good.stderr) == (0, "")
    assert "cremad: 6 items of 1 subjects, 0.00 hours" in good.stdout
    bad = root / "VideoFlash" / "1001_DFA_ANG_XX.flv"
    bad.write_bytes(b"")
    result = run("corpora", "check", "cremad", "--root", root, "--quick")
    assert result.exit_code == 1
    assert result.stderr == f"{bad} is empty.\n"
    document = run("corpora", "check", "cremad", "--root", root, "--json")
    assert document.exit_code == 1
    assert json.loads(document.stdout)["num_problems"] == 1


def test_a_download_ends_with_a_check_and_says_the_licence(server: LocalServer, tmp_path: Path) -> None:
    result = run("corpora", "download", "ravdess", "--root", tmp_path, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "CC BY-NC-SA 4.0" in result.stdout
    assert "ravdess: 4 items of 2 subjects" in result.stdout
    assert (tmp_path / "readme").is_file()
    assert run("corpora", "download", "cremad", "--root", tmp_path / "c", "--yes").exit_code == 0


def test_one_part_alone_can_be_fetched(server: LocalServer, tmp_path: Path) -> None:
    result = run("corpora", "download", "ravdess", "--root", tmp_path, "--yes", "--only", "Audio")
    assert result.exit_code == 0
    assert not (tmp_path / "readme").exists()
    unknown = run("corpora", "download", "ravdess", "--root", tmp_path, "--yes", "--only", "Video")
    assert unknown.exit_code == 2
    assert "no part 'Video': choose of Audio, More" in unknown.stderr


def test_a_file_that_is_not_there_is_told_at_the_end(server: LocalServer, tmp_path: Path) -> None:
    publish_folder(server, "AudioWAV", ".wav", {"1001_DFA_ANG_XX": b"sound", "1001_IEO_ANG_XX": b"more"})
    del server.files["/media/AudioWAV/1001_IEO_ANG_XX.wav"]
    result = run("corpora", "download", "cremad", "--root", tmp_path, "--yes")
    assert result.exit_code == 1
    assert "1 of 2 files of AudioWAV are not at" in result.stderr
    assert "cremad: 1 items" in result.stdout


def test_a_wrong_digest_is_one_line(server: LocalServer, tmp_path: Path) -> None:
    server.files["/Audio.zip"] += b"damage"
    result = run("corpora", "download", "ravdess", "--root", tmp_path, "--yes")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "md5" in result.stderr


def test_without_anybody_to_ask_the_licence_is_not_taken_as_accepted(server: LocalServer, tmp_path: Path) -> None:
    result = run("corpora", "download", "ravdess", "--root", tmp_path / "new")
    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert server.asked == []
    assert not (tmp_path / "new").exists()


def test_a_refused_licence_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emotrace", "corpora", "download", "ravdess", "--root", str(tmp_path / "new")]
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 1
    assert "Do you accept the licence?" in done.stdout
    assert "not accepted: nothing was fetched" in done.stderr
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["recola", "afew", "nobody"])
def test_what_may_not_be_downloaded_is_wrong_usage(name: str, tmp_path: Path) -> None:
    result = run("corpora", "download", name, "--root", tmp_path, "--yes")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert tree(tmp_path) == {}
