"""A text file of a corpus -> its text, or an error that says why it is not read."""

from io import StringIO
from pathlib import Path

from emotrace.errors import CorpusError

_ADVICE = "copy the corpus again"


def read_text(path: Path, max_bytes: int, *, errors: str = "strict") -> str:
    """Return a text in UTF-8 without the mark that may stand before it, line breaks of any kind as one.

    Args:
        path: of the file.
        max_bytes: no more is ever read.
        errors: "replace" where bytes that are no UTF-8 stand in what is not read anyway.

    Raises:
        CorpusError: the file is missing, unreadable, larger, or no such text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read: {error}. Check its name and permissions, or {_ADVICE}.") from error
    if len(data) > max_bytes:
        raise CorpusError(f"{path} is longer than it should be, at most {max_bytes} expected, in bytes: {_ADVICE}.")
    try:
        text = data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path} holds in line {row} what is not text in UTF-8: {_ADVICE}.") from error
    return StringIO(text, newline=None).read()
