"""Files of strangers: whatever stands in one, its reader answers with a value or with one of our errors."""

import resource
import shutil
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
        path.write_bytes(data)
        read_or_refuse(parser, path)

    reads()


def test_a_valid_file_is_read(parser: Parser, valid: Path) -> None:
    parser.read(valid)


def test_a_damaged_file_ends_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    check(parser, valid, 30)


@pytest.mark.slow
def test_many_damaged_files_end_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    check(parser, valid, 3000)


def test_something_odd_anywhere_ends_in_a_value_or_in_our_error(parser: Parser, valid: Path) -> None:
    content = valid.read_bytes()
    places = sorted({0, len(content) // 2, len(content) - 1})
    for odd in _ODD:
        for place in places:
            valid.write_bytes(content[:place] + odd + content[place:])
            read_or_refuse(parser, valid)


def test_line_ends_and_marks_of_other_systems_change_nothing(parser: Parser, valid: Path) -> None:
    if not parser.is_text:
        pytest.skip("no table of text")
    content = valid.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for data in (content, b"\xef\xbb\xbf" + content):
        for end in (b"\n", b"\r\n"):
            valid.write_bytes(data.replace(b"\n", end))
            parser.read(valid)


def test_a_file_that_is_not_there_or_a_folder_is_refused(parser: Parser, valid: Path) -> None:
    if not parser.opens_file:
        pytest.skip("the table opens the file")
    valid.unlink()
    read_or_refuse(parser, valid)
    valid.mkdir()
    read_or_refuse(parser, valid)


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b"a,", b"1;", b"[", b"{", b'"', b"\n", b"1 ", b"- ", b"a: {"], ids=ascii)
def test_a_file_of_a_million_cells_is_read_or_refused_in_bounded_memory(
    parser: Parser, valid: Path, filling: bytes
) -> None:
    content = valid.read_bytes()
    tracemalloc.start()
    try:
        for data in (filling * 1_000_000, content + filling * 1_000_000):
            valid.write_bytes(data)
            read_or_refuse(parser, valid)
        assert tracemalloc.get_traced_memory()[1] < _MEGABYTES << 20
    finally:
        tracemalloc.stop()
