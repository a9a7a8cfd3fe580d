"""The errors a user can act on. Each message says what was found, what was expected and what to do."""

_MOST_LETTERS = 1500


class EmotraceError(Exception):
    """Base of every error that the command line shows as one line, without a traceback."""

    def __str__(self) -> str:
        """Return the message as one line of bounded length: it may quote a hostile file, and is shown in a terminal."""
        line = "".join(letter if letter.isprintable() else _visible(letter) for letter in super().__str__())
        half = _MOST_LETTERS // 2
        return line if len(line) <= _MOST_LETTERS else f"{line[:half]} ... {line[-half:]}"


def _visible(letter: str) -> str:
    return " " if letter.isspace() else ascii(letter)[1:-1]


class MediaError(EmotraceError):
    """A media file cannot be read."""


class BundleError(EmotraceError):
    """A bundle is missing, damaged, or not made for this version."""


class CorpusError(EmotraceError):
    """A corpus on disk is not what its official layout says."""


class SettingsError(EmotraceError):
    """A recipe, a setting or an option has an unknown key or a value out of range."""
