"""Rows of a comparison -> its figures, each as SVG and as PNG. The one file that imports matplotlib.

The same rows give the same bytes with one version of matplotlib, whatever the user's own settings are. Colours are
those of Okabe & Ito (2008) without yellow, which is too faint on white; lines also differ in marker and dash.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotrace.training.comparison_rows import CURVES, Row, StageOneRow, by_network, by_system, defined
from emotrace.writing import atomic_path

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "X", "P", "*")
_DASHES = ("-", "--", ":")
_GREY = "#666666"
_WIDTH_INCHES = 7.0
_DPI = 150
# The type of the keys has no name in older versions of matplotlib.
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "emotrace",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
}
_NOTHING: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


@_style()
def stage_one_figure(rows: Sequence[StageOneRow], dimension: str, folder: Path) -> tuple[Path, Path]:
    """Draw validation R² and RMSE per epoch of every face network, as figures 4 and 5 of Liu & Tang 2021.

    Line: mean over seeds; band: lowest to highest seed. Where one stopped earlier, both are of those that went on. An
    R² far below 0, which is that of the constant mean, is cut off, or the first epochs would flatten the rest.

    Args:
        rows: of any dimension; the others are left out.
        dimension: "arousal" or "valence".
        folder: gets `stage_one_{dimension}.svg` and `.png`.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    figure = Figure(figsize=(_WIDTH_INCHES, 3.3), layout="constrained")
    panels = figure.subplots(1, 2)
    groups = by_network(row for row in rows if row.dimension == dimension)
    tops = []
    for number, (network, group) in enumerate(groups.items()):
        r2 = _over_epochs(row.r2_curve for row in group)
        rmse = _over_epochs(row.rmse_curve for row in group)
        for axes, points in zip(panels, (r2, rmse), strict=True):
            _line(axes, points, number, network)
        tops += [max(map(fmean, r2.values()))] if r2 else []
    if tops:
        bottom, _ = panels[0].get_ylim()
        panels[0].set_ylim(bottom=max(bottom, min(0.0, *tops) - 0.1))
    _name(panels[0], f"{dimension}, validation", "epoch", "R² (1 = perfect)")
    _name(panels[1], f"{dimension}, validation", "epoch", "RMSE (labels in -1..1)")
    _legend(figure, panels[0], columns=4)
    return _save(figure, folder, f"stage_one_{dimension}")


@_style()
def systems_figure(
    rows: Sequence[Row], folder: Path, published: Mapping[str, Mapping[str, float]] = _NOTHING
) -> tuple[Path, Path]:
    """Draw CCC and RMSE of every system for arousal and for valence, as figure 6 of Liu & Tang 2021.

    Args:
        rows: of all systems and seeds.
        folder: gets `systems.svg` and `systems.png`.
        published: system -> name of a figure -> what the paper gives for RECOLA: {"ccc_arousal": 0.729}.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    groups = by_system(rows)
    figure = Figure(figsize=(_WIDTH_INCHES, 2.5 + 0.36 * len(groups)), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True, sharex="col")
    for line, dimension in zip(panels, ("arousal", "valence"), strict=True):
        for axes, name in zip(line, (f"ccc_{dimension}", f"rmse_{dimension}"), strict=True):
            for height, (system, group) in enumerate(groups.items()):
                _dots(axes, height, name, group)
                _published(axes, height, published.get(system, {}).get(name))
            axes.set_yticks(range(len(groups)), list(groups))
            axes.set_ylim(len(groups) - 0.4, -0.6)
            axes.locator_params(axis="x", nbins=5)
            axes.tick_params(labelbottom=True)
        _name(line[0], dimension, "CCC (1 = perfect)", "")
        _name(line[1], dimension, "RMSE (labels in -1..1)", "")
    _legend(figure, *panels.flat, columns=2)
    return _save(figure, folder, "systems")


@_style()
def curves_figure(rows: Sequence[Row], folder: Path) -> tuple[Path, Path]:
    """Draw CCC over the share of what is missing or contradicts: a panel for each of `CURVES`, a line per system.

    CCC is the mean of arousal and valence. Line: mean over seeds; band: lowest to highest seed. A system without a
    curve has no line, but the other systems look the same with it and without it.

    Args:
        rows: of all systems and seeds.
        folder: gets `curves.svg` and `curves.png`.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    groups = by_system(rows)
    figure = Figure(figsize=(_WIDTH_INCHES, 5.2 + 0.18 * -(-len(groups) // 3)), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, name in zip(panels.flat, CURVES, strict=True):
        for number, (system, group) in enumerate(groups.items()):
            _line(axes, _over_shares(row.curves.get(name, {}) for row in group), number, system)
        axes.tick_params(labelbottom=True)
        if not axes.lines:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=_GREY)
        _name(axes, name, f"share with {name} (%)", "CCC, mean of both dimensions" if axes in panels[:, 0] else "")
    _legend(figure, *panels.flat, columns=3)
    return _save(figure, folder, "curves")


@_style()
def weights_figure(points: Mapping[str, Sequence[tuple[float, float]]], kind: str, folder: Path) -> tuple[Path, Path]:
    """Draw the mean audio weight over the true share of the voice in what is reliable; the diagonal is the ideal.

    Args:
        points: system -> pairs of (1 + r_voice - r_face) / 2 and the mean audio weight there, both in [0, 1]. A system
            without points has no line, but the other systems look the same with it and without it.
        kind: what is done to faces and voices: "missing" or "contradicting".
        folder: gets `weights_{kind}.svg` and `.png`.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    figure = Figure(figsize=(_WIDTH_INCHES, 4.4), layout="constrained")
    axes: Axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.9, dashes=(8, 3), label="ideal")
    for number, (system, pairs) in enumerate(points.items()):
        _line(axes, {x: defined([y]) for x, y in sorted(pairs)}, number, system)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _name(
        axes,
        f"where faces or voices are {kind}",
        "true share of the voice, (1 + r_voice - r_face) / 2",
        "mean audio weight (0..1)",
    )
    figure.legend(loc="outside right center")
    return _save(figure, folder, f"weights_{kind}")


@_style()
def recalls_figure(rows: Sequence[Row], folder: Path, num_classes: int) -> tuple[Path, Path]:
    """Draw the unweighted average recall of every system on a discrete task; a dot per seed and fold, a bar the mean.

    Args:
        rows: of all systems, seeds and folds.
        folder: gets `recalls.svg` and `recalls.png`.
        num_classes: for the line at chance.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    groups = by_system(rows)
    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + 0.3 * len(groups)), layout="constrained")
    axes = figure.subplots()
    for height, group in enumerate(groups.values()):
        values = defined(row.figure("unweighted_average_recall") for row in group)
        if values:
            axes.barh(height, fmean(values), height=0.55, color=_COLOURS[5], alpha=0.6)
            axes.plot(values, [height] * len(values), "o", color=_COLOURS[0], markersize=3.5)
    axes.axvline(1 / num_classes, color=_GREY, linestyle=_DASHES[1])
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    _name(axes, "clips of one class each, test", "unweighted average recall (dashed: chance)", "")
    return _save(figure, folder, "recalls")


@_style()
def confusion_figure(
    counts: Sequence[Sequence[int]], classes: Sequence[str], system: str, folder: Path
) -> tuple[Path, Path]:
    """Draw a confusion matrix, each row in percent of its true class.

    Args:
        counts: true class (row) by told class.
        classes: their names.
        system: whose.
        folder: gets `confusion_{system}.svg` and `.png`.

    Returns:
        The SVG and the PNG.

    Raises:
        TimelineError: a file cannot be written.
    """
    side = 1.8 + 0.45 * len(classes)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shares = [[each / max(1, sum(row)) for each in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7.5)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    _name(axes, f"{system}: percent of each true class", "told", "true")
    return _save(figure, folder, f"confusion_{system}")


def _over_epochs(curves: Iterator[tuple[float, ...]]) -> dict[float, list[float]]:
    points: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, value in enumerate(curve, start=1):
            points.setdefault(epoch, []).extend(defined([value]))
    return {epoch: values for epoch, values in points.items() if values}


def _over_shares(curves: Iterator[Mapping[int, tuple[float, float]]]) -> dict[float, list[float]]:
    points: dict[float, list[float]] = {}
    for curve in curves:
        for share, both in curve.items():
            points.setdefault(share, []).extend(defined([fmean(both)]))
    return points


def _line(axes: Axes, points: Mapping[float, Sequence[float]], number: int, label: str) -> None:
    """Draw mean, lowest and highest of the values at each x; `number` chooses how the line looks."""
    places = sorted(x for x, values in points.items() if values)
    if not places:
        return
    colour = _COLOURS[number % len(_COLOURS)]
    dash = number // len(_MARKERS) % len(_DASHES)
    axes.plot(
        places,
        [fmean(points[x]) for x in places],
        color=colour,
        linestyle=_DASHES[dash],
        marker=_MARKERS[number % len(_MARKERS)],
        markerfacecolor="white" if dash else colour,
        # Long curves would be nothing but markers.
        markevery=max(1, len(places) // 10),
        label=label,
    )
    lows, highs = ([end(points[x]) for x in places] for end in (min, max))
    if lows != highs:
        axes.fill_between(places, lows, highs, color=colour, alpha=0.18, linewidth=0)


def _dots(axes: Axes, height: int, name: str, group: Sequence[Row]) -> None:
    """Draw one system: bootstrap interval (its ends as means over seeds), range of the seeds, and their mean."""
    values = defined(row.figure(name) for row in group)
    ends = [row.intervals[name] for row in group if name in row.intervals and len(defined(row.intervals[name])) == 2]
    if ends:
        low, high = map(fmean, zip(*ends, strict=True))
        axes.plot(
            [low, high],
            [height] * 2,
            color=_COLOURS[5],
            linewidth=1.2,
            marker="|",
            label="95 % bootstrap interval over recordings",
        )
    if len(values) > 1:
        axes.plot([min(values), max(values)], [height] * 2, color=_COLOURS[0], linewidth=4, label="range of the seeds")
    if values:
        axes.plot([fmean(values)], [height], "o", color=_COLOURS[4], label="mean over the seeds")


def _published(axes: Axes, height: int, value: float | None) -> None:
    if value is not None:
        axes.plot(
            [value], [height], "D", color=_COLOURS[1], markerfacecolor="none", label="published, RECOLA", clip_on=False
        )


def _name(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _legend(figure: Figure, *panels: Axes, columns: int) -> None:
    """Put one legend under all panels, with every label once."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with atomic_path(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
    return svg, png
