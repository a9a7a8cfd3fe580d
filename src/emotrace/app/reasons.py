"""An error -> one line that says what went wrong, without what a command line is made of: workers say it too."""

from emotrace.app.limits import lacks_memory
from emotrace.errors import BundleError, EmotraceError

_NOT_ENOUGH_MEMORY = "not enough memory: more was needed than the machine has, or than --max-memory allows"


def reason(error: BaseException) -> str:
    """Return our own message, or the type of an error nobody foresaw."""
    foreseen = isinstance(error, EmotraceError) and not isinstance(error, BundleError)  # which quotes ONNX Runtime
    if not foreseen and (isinstance(error, MemoryError) or lacks_memory(str(error))):
        return _NOT_ENOUGH_MEMORY
    if isinstance(error, EmotraceError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return f"unexpected: {type(error).__name__}: {error}; run with --debug to see where"
