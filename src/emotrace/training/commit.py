"""The commit that figures were made at."""

import subprocess
from functools import cache
from pathlib import Path

import emotrace


@cache
def commit() -> str | None:
    """Return the commit of a working copy, with a plus sign where the package was changed since.

    None for an installed package, also where that lies inside some other repository.
    """
    package = Path(emotrace.__file__).parent
    try:
        top = _git(package, "rev-parse", "--show-toplevel")
        if package.resolve() != (Path(top) / "src" / "emotrace").resolve():
            return None
        changed = _git(package, "status", "--porcelain", "--", ".")
        return f"{_git(package, 'rev-parse', '--short=12', 'HEAD')}{'+' if changed else ''}"
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return found.stdout.strip()
