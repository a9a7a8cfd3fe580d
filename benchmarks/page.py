"""The parts that were measured -> docs/performance.md: `python -m benchmarks.page`. Words are in performance.md.j2."""

from pathlib import Path
from typing import Any

from benchmarks import parts
from benchmarks.templates import rendered

from emotrace.writing import write_text

PAGE = Path("docs/performance.md")


def main() -> None:
    """Write the page from what was measured last."""
    write(PAGE, parts.FOLDER)


def write(path: Path, kept: Path) -> None:
    """Write the page from the parts in a folder."""
    write_text(path, text(parts.kept(kept)))


def text(found: dict[str, Any]) -> str:
    """Return the page, Markdown.

    Args:
        found: the parts by name; of one that is missing the page says how it is measured.
    """
    filters = {"times": times, "share": share, "seconds": seconds, "figure": figure, "cell": cell}
    return rendered("performance.md.j2", {name: found.get(name) for name in parts.NAMES}, filters)


def times(value: float | None) -> str:
    """Return a ratio with two or three digits; a dash for none."""
    if value is None:
        return "—"
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def share(value: float | None) -> str:
    """Return a share in per cent."""
    return "—" if value is None else f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def seconds(value: float | None) -> str:
    """Return seconds."""
    return "—" if value is None else f"{value:.0f} s" if value >= 100 else f"{value:.2f} s"


def figure(value: float | None) -> str:
    """Return a figure with three decimals."""
    return "—" if value is None else f"{value:.3f}"


def cell(words: str) -> str:
    """Return words that a table can hold."""
    return words.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
