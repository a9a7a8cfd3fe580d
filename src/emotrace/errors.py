"""The errors a user can act on. Each message says what was found, what was expected and what to do."""


class EmotraceError(Exception):
    """Base of every error that the command line shows as one line, without a traceback."""


class MediaError(EmotraceError):
    """A media file cannot be read."""


class BundleError(EmotraceError):
    """A bundle is missing, damaged, or not made for this version."""


class CorpusError(EmotraceError):
    """A corpus on disk is not what its official layout says."""


class SettingsError(EmotraceError):
    """A recipe, a setting or an option has an unknown key or a value out of range."""
