"""Files of strangers: whatever stands in one, its reader answers with a value or with one of our errors."""

import resource
import shutil
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emotrace.errors import EmotraceError
from tests.parser_table import PARSERS, Parser

_NAMES = [parser.name for parser in PARSERS]
_MEGABYTES = 250
"""That a reader may take for a file of a few kilobytes."""
_ODD = (  # marks, line ends and numbers of other kinds, long cells, paths, and what means something to a parser
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\r", b"\n\n", b"\0", b"\x1b[31m", b"\xe2\x80\xa8", b"\t", b"%", b"'"),
    *(b'"', b",", b";", b"{", b"}", b"[[[[", b"&", b"NaN", b"-inf", b"1e999", b"-1", b"0x10", b"1_000", b"1e-320"),
    *(b"\xd9\xa1", b"9" * 5000, b"x" * 200_000, b"../" * 9, b"/etc/passwd", b"*a", b"&a [*a]", b"!!python/tuple"),
    *(b"null", b"true", b'""', b"?", b"\\u0000", b"\\ud800"),
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw what may become of a valid file: bits flipped, a part lost, doubled or replaced, something odd put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        stop = min(len(data), place + draw(st.integers(1, 60)))
        kind = draw(st.sampled_from(["flip", "cut off", "lose", "double", "put in", "put in", "replace"]))
        if kind == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut off":
            del data[place:]
        elif kind == "lose":
            del data[place:stop]
        elif kind == "double":
            data[place:place] = data[place:stop] * draw(st.integers(1, 50))
        else:
            odd = draw(st.one_of(st.sampled_from(_ODD), st.binary(max_size=12)))
            data[place : stop if kind == "replace" else place] = odd
    return bytes(data)


@pytest.fixture(params=PARSERS, ids=_NAMES)
def parser(request: pytest.FixtureRequest) -> Parser:
    found: Parser = request.param
    return found


@pytest.fixture
def valid(parser: Parser, tmp_path: Path) -> Path:
    return parser.make(tmp_path)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Let an attempt to take what no file of a few kilobytes is worth fail, and not the machine."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def put(path: Path, content: bytes) -> None:
    """Write a file anew: one that is cut to nothing first is waited for by the disk, and has readers that map it."""
    path.unlink()
    path.write_bytes(content)


def read_or_refuse(parser: Parser, path: Path) -> None:
    """Read the file; an error must be ours, and fit on a line."""
    try:
        parser.read(path)
    except EmotraceError as error:
        told = str(error)
        assert told.strip()
        assert len(told) < 2000 + len(str(path)), told[:3000]
        assert "\x1b" not in told
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def check(parser: Parser, path: Path, examples: int) -> None:
    content = path.read_bytes()

    @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged(content) | st.binary(max_size=300))
    @example(b"")
    @example(b"\xef\xbb\xbf" + content)
    @example(content.replace(b"\n", b"\r\n"))
    @example(content.replace(b"\n", b"\n\n"))
    def reads(data: bytes) -> None:
        put(path, data)
        read_or_refuse(parser, path)

    reads()


def test_a_valid_file_is_read(parser: Parser, valid: Path) -> None:
    parser.read(valid)


def test_a_damaged_file_ends_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    check(parser, valid, 10 if parser.is_costly else 30)


@pytest.mark.slow
def test_many_damaged_files_end_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    check(parser, valid, 3000)


def test_something_odd_anywhere_ends_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    content = valid.read_bytes()
    places = [len(content) // 2] if parser.is_costly else sorted({0, len(content) // 2, len(content) - 1})
    for odd in _ODD:
        for place in places:
            put(valid, content[:place] + odd + content[place:])
            read_or_refuse(parser, valid)


def test_line_ends_and_marks_of_other_systems_change_nothing(parser: Parser, valid: Path) -> None:
    if not parser.is_text:
        pytest.skip("no table of text")
    content = valid.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for data in (content, b"\xef\xbb\xbf" + content):
        for end in (b"\n", b"\r\n"):
            put(valid, data.replace(b"\n", end))
            parser.read(valid)


def test_a_file_that_is_not_there_or_a_folder_is_refused(parser: Parser, valid: Path) -> None:
    if not parser.opens_file:
        pytest.skip("the table opens the file")
    valid.unlink()
    read_or_refuse(parser, valid)
    valid.unlink(missing_ok=True)  # who remembers makes it again
    valid.mkdir()
    read_or_refuse(parser, valid)


def header(text: str, length: int | None = None) -> bytes:
    """The beginning of a safetensors file: the length of a text in JSON, and the text."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()


def tensor(shape: str, start: int, stop: int, kind: str = "F32") -> bytes:
    return header(f'{{"weight": {{"dtype": "{kind}", "shape": {shape}, "data_offsets": [{start}, {stop}]}}}}')


@pytest.mark.parametrize(
    "content",
    [
        header("{}", 2**64 - 1),
        header("{}", 2**63),
        header("{}", 2**40),
        header("{}", 99_000_000),
        header("{}", 3),
        header("{}", 0),
        header("", 0),
        header("[" * 50_000),
        tensor("[2, 3]", 0, 2**62),
        tensor("[2, 3]", 24, 0) + bytes(24),
        tensor("[2, 3]", 0, 24),
        tensor("[4294967296, 4294967296]", 0, 0),
        tensor("[1099511627776]", 0, 2**42),
        tensor("[0, 1099511627776]", 0, 24) + bytes(24),
        tensor("[2, 3]", 8, 32) + bytes(32),
        tensor("[2, 3]", 0, 24, "F7") + bytes(24),
        tensor("[-2, -3]", 0, 24) + bytes(24),
    ],
)
@pytest.mark.parametrize("name", ["arrays", "weights of a system", "weights to start from"])
def test_arrays_whose_header_lies_are_refused_before_room_is_made_for_them(
    name: str, content: bytes, tmp_path: Path
) -> None:
    [parser] = [each for each in PARSERS if each.name == name]
    path = parser.make(tmp_path)
    parser.read(path)
    put(path, content)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    [taken] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line]
    resource.setrlimit(resource.RLIMIT_DATA, (int(taken) * 1024 + (_MEGABYTES << 20), hard))
    with pytest.raises(EmotraceError):
        parser.read(path)


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b"a,", b"1;", b"[", b"{", b'"', b"\n", b"1 ", b"- ", b"a: {"], ids=ascii)
def test_a_file_of_a_million_cells_is_read_or_refused_in_bounded_memory(
    parser: Parser, valid: Path, filling: bytes
) -> None:
    content = valid.read_bytes()
    tracemalloc.start()
    try:
        for data in (filling * 1_000_000, content + filling * 1_000_000):
            put(valid, data)
            read_or_refuse(parser, valid)
        assert tracemalloc.get_traced_memory()[1] < _MEGABYTES << 20
    finally:
        tracemalloc.stop()
