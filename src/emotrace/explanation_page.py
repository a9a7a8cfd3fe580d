"""Explanations -> one HTML page of heat maps that needs nothing else, and has no script at all.

The page has the look of the report. Its Content-Security-Policy lets nothing run and nothing load but its own style.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrace.explanation import Explanation
from emotrace.page import write_page
from emotrace.timeline_schema import NOTICES

MOST_ROWS, MOST_COLUMNS = 120, 200
"""That are drawn; more of either are averaged with their neighbours."""

_NUM_LEVELS = 12
"""Of the colour scale in `explanation_style.css`."""
_DRAWING_WIDTH = 1080
"""That fits the page on a wide screen, in px; where it does not fit, it is scrolled."""
_LETTER_WIDTH, _LINE_HEIGHT = 6.8, 15
"""Of a label, in px."""
_MAX_LETTERS = 24
"""Of a label; a cell tells all of it under the pointer."""


def write_explanations(
    path: Path,
    explanations: Sequence[Explanation],
    *,
    source_name: str,
    clip_probabilities: Mapping[str, float],
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        explanations: in the order of the page.
        source_name: of the recording.
        clip_probabilities: of each class for the recording as a whole; empty where there is no such answer.

    Raises:
        TimelineError: the page cannot be written.
    """
    values = {
        "source": source_name,
        "ranking": sorted(clip_probabilities.items(), key=lambda item: -item[1]),
        "maps": [_heat_map(explanation) for explanation in explanations],
        "notices": [notice.partition(": ") for notice in NOTICES],
        "num_levels": _NUM_LEVELS,
    }
    write_page(path, "explanation_template.html.j2", ["report_style.css", "explanation_style.css"], values)


def _heat_map(explanation: Explanation) -> dict[str, Any]:
    """Return what the page draws of an explanation; places and sizes in px."""
    shares = np.clip(explanation.values.astype(np.float64), 0, 1)
    shares, rows = _thinned(shares, explanation.rows, MOST_ROWS)
    turned, columns = _thinned(shares.T, explanation.columns, MOST_COLUMNS)
    shares = turned.T
    widest = _width(columns)
    left = max(_width(rows), _width([explanation.row_axis]))
    room = _DRAWING_WIDTH - left - widest // 2
    width = max(40, widest) if explanation.has_classes else max(4, min(40, room // len(columns)))
    height = max(4, min(26, 420 // len(rows)))
    row_step = -(-_LINE_HEIGHT // height)
    column_step = 1 if explanation.has_classes else -(-widest // width)
    top = float(np.nanmax(shares, initial=0)) or 1.0
    return {
        "explanation": explanation,
        "is_averaged": shares.shape != explanation.values.shape,
        "has_unknown": bool(np.isnan(shares).any()),
        "left": left,
        "right": max(16, widest // 2),
        "cell": (width, height),
        "gap": 1 if min(width, height) >= 8 else 0,
        "levels": _levels(shares, top),
        "texts": [[_percent(share) for share in row] for row in shares.tolist()],
        "rows": rows,
        "columns": columns,
        "row_marks": [(row, _short(rows[row])) for row in range(0, len(rows), row_step)],
        "column_marks": [(column, _short(columns[column])) for column in range(0, len(columns), column_step)],
        "top": _percent(top),
    }


def _levels(shares: NDArray[np.float64], top: float) -> list[list[int]]:
    """Return the colour of each cell, 0 to 11 for 0 to the top; -1 where unknown."""
    levels = np.minimum(shares * _NUM_LEVELS / top, _NUM_LEVELS - 1)
    plain: list[list[int]] = np.where(np.isnan(levels), -1, levels).astype(np.int64).tolist()
    return plain


def _thinned(
    shares: NDArray[np.float64], labels: tuple[str, ...], most: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return at most so many rows, means of what is known of neighbours, and their labels."""
    if len(labels) <= most:
        return shares, labels
    starts = np.arange(most) * len(labels) // most
    known = ~np.isnan(shares)
    sums = np.add.reduceat(np.where(known, shares, 0), starts)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    spans = zip(starts.tolist(), [*starts[1:].tolist(), len(labels)], strict=True)
    return means, tuple(labels[a] if b - a == 1 else f"{labels[a]} … {labels[b - 1]}" for a, b in spans)


def _percent(share: float) -> str:
    return "unknown" if share != share else f"{100 * share:.1f} %"


def _short(label: str) -> str:
    return label if len(label) <= _MAX_LETTERS else label[: _MAX_LETTERS - 1] + "…"


def _width(labels: Sequence[str]) -> int:
    """Return the px that the longest label takes, with some room."""
    return round(max(len(_short(label)) for label in labels) * _LETTER_WIDTH) + 14
