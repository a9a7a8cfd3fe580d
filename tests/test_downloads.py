"""Fetching against a real server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from emotrace.downloads import DownloadError, fetch, file_sha256
from emotrace.model_files import YUNET, cache_folder

CONTENT = bytes(range(256)) * 1200
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class _Behaviour:
    """How the server answers: `break_after` bytes it hangs up; `ranges` whether it can continue; `says_length`."""

    break_after: int | None = None
    ranges: bool = True
    says_length: bool = True
    asked: list[str | None] = field(default_factory=list)


@dataclass
class _Server:
    url: str
    behaviour: _Behaviour


@pytest.fixture
def server() -> Iterator[_Server]:
    behaviour = _Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behaviour.asked.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and behaviour.ranges else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if behaviour.says_length:
                self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : behaviour.break_after])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield _Server(f"http://127.0.0.1:{http_server.server_port}/model.onnx", behaviour)
        http_server.shutdown()
        thread.join()


def test_a_whole_file_arrives_and_progress_ends_at_its_size(server: _Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "folder" / "model.onnx"
    path = fetch(server.url, DIGEST, target, allow_http=True, progress=lambda done, total: seen.append((done, total)))
    assert path == target
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert [entry.name for entry in target.parent.iterdir()] == ["model.onnx"]


def test_an_interrupted_file_is_continued_where_it_broke_off(server: _Server, tmp_path: Path) -> None:
    server.behaviour.break_after = 100_000
    target = tmp_path / "model.onnx"
    with pytest.raises(DownloadError, match="again to continue"):
        fetch(server.url, DIGEST, target, allow_http=True)
    assert not target.exists()
    there = (tmp_path / "model.onnx.part").stat().st_size
    assert 0 < there <= 100_000
    server.behaviour.break_after = None
    assert fetch(server.url, DIGEST, target, allow_http=True).read_bytes() == CONTENT
    assert server.behaviour.asked == [None, f"bytes={there}-"]


def test_a_server_that_cannot_continue_gives_the_file_from_its_start(server: _Server, tmp_path: Path) -> None:
    server.behaviour.ranges = False
    (tmp_path / "model.onnx.part").write_bytes(CONTENT[:70_000])
    path = fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_taken(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.part").write_bytes(CONTENT)
    path = fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert path.read_bytes() == CONTENT
    assert not (tmp_path / "model.onnx.part").exists()


def test_a_file_with_another_digest_is_removed_and_refused(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=DIGEST):
        fetch(server.url, "0" * 64, tmp_path / "model.onnx", allow_http=True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_does_not_stand_in_the_way_of_the_next_try(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="sha256"):
        fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True).read_bytes() == CONTENT


@pytest.mark.parametrize("says_length", [True, False])
def test_too_long_a_file_is_refused_and_not_kept(server: _Server, tmp_path: Path, says_length: bool) -> None:
    server.behaviour.says_length = says_length
    with pytest.raises(DownloadError, match="at most 1000"):
        fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True, max_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_and_right_is_not_fetched_again(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT)
    fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert server.behaviour.asked == []


def test_a_file_that_is_there_and_wrong_is_replaced(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    fetch(server.url, DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert file_sha256(tmp_path / "model.onnx") == DIGEST


@pytest.mark.parametrize("url", ["http://127.0.0.1/model", "file:///etc/hostname", "ftp://127.0.0.1/model", "model"])
def test_only_https_is_fetched_unless_asked_otherwise(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an https address"):
        fetch(url, DIGEST, tmp_path / "model.onnx")


def test_no_connection_says_so_and_where_the_file_belongs(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be reached") as raised:
        fetch("http://127.0.0.1:1/model.onnx", DIGEST, tmp_path / "model.onnx", allow_http=True)
    assert str(tmp_path / "model.onnx") in str(raised.value)


def test_a_destination_that_cannot_be_written_is_named(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(server.url, DIGEST, tmp_path / "file" / "model.onnx", allow_http=True)


def test_yunet_is_kept_in_the_cache_and_is_the_file_at_hand(data_root: Path) -> None:
    assert YUNET.path == cache_folder() / "yunet.onnx"
    file = data_root / "models" / "face_detection_yunet_n_320.onnx"
    assert (file_sha256(file), file.stat().st_size) == (YUNET.sha256, YUNET.size)
