"""Rows of a comparison -> tables in Markdown: the systems, their curves, and the face networks alone."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev

from emotrace.training.comparison_rows import CURVES, SHARES, Row, StageOneRow, by_network, by_system, defined

_MAIN_FIGURES = {
    "ccc_arousal": "CCC arousal",
    "ccc_valence": "CCC valence",
    "rmse_arousal": "RMSE arousal",
    "rmse_valence": "RMSE valence",
}

_EMOTION_FIGURES = {"unweighted_average_recall": "UAR", "segment_accuracy": "accuracy of segments"}
"""Of the emotions at every tick, and of the parts of windows, where the corpus has labels of them."""


def markdown(
    rows: Sequence[Row],
    *,
    published: Mapping[str, Mapping[str, str]],
    baseline: str,
    comparisons: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Return one line per system: mean and standard deviation (n - 1) over seeds, the best mean of a column bold.

    Beside CCC and RMSE stand the recall of the emotions and the accuracy of parts of windows, where there are such, and
    the figures whose name begins with `beta_`, where a system has any: the correlations of its audio weight with what
    it should follow, so that higher is better.

    Args:
        rows: of all systems and seeds.
        published: system -> corpus -> the figures that its paper gives, as text: {"RECOLA": "0.729 / 0.718"}.
        baseline: the system that `comparisons` compares with.
        comparisons: system -> paired difference to the baseline, and its p-value; None leaves the column out.
    """
    groups = by_system(rows)
    columns: dict[str, Mapping[str, str]] = {"seeds": {key: str(len(group)) for key, group in groups.items()}}
    weights = sorted({name for row in rows for name in row.figures if name.startswith("beta_")})
    for name in (*_MAIN_FIGURES, *_EMOTION_FIGURES, *weights):
        values = {key: [row.figure(name) for row in group] for key, group in groups.items()}
        if name in _MAIN_FIGURES or any(map(defined, values.values())):
            title = (_MAIN_FIGURES | _EMOTION_FIGURES).get(name, name.replace("_", " "))
            columns[title] = _best(values, not name.startswith("rmse_"))
    if comparisons is not None:
        tested = {key: _tested(*pair) for key, pair in comparisons.items()}
        columns[f"difference to {baseline}"] = {**tested, baseline: "baseline"}
    columns["published (their data)"] = {
        key: "; ".join(f"{text} ({corpus})" for corpus, text in given.items()) for key, given in published.items()
    }
    return _table(["system", *columns], [[key, *(each.get(key, "") for each in columns.values())] for key in groups])


CLASS_FIGURES = {"unweighted_average_recall": "UAR", "accuracy": "accuracy (WA)", "macro_f1": "macro F1"}
"""What a discrete task is judged by; the first is what a difference is tested on."""
_OF_SOME = {
    "segment_accuracy": "accuracy of segments",
    "identity_accuracy": "identity probe",
    "identity_chance": "its chance",
}
"""Of clip-level systems, where the corpus has events within its clips, or says who speaks."""


def classes_markdown(
    rows: Sequence[Row],
    *,
    published: Mapping[str, str],
    baseline: str,
    comparisons: Mapping[str, tuple[float, float]],
) -> str:
    """Return one line per system: mean and standard deviation (n - 1) over seeds and folds, the best mean bold.

    Args:
        rows: of all systems, seeds and folds.
        published: system -> the figures that its paper gives, as text.
        baseline: the system that `comparisons` compares with.
        comparisons: system -> paired difference to the baseline, and its p-value.
    """
    groups = by_system(rows)
    columns: dict[str, Mapping[str, str]] = {"runs": {key: str(len(group)) for key, group in groups.items()}}
    for name, title in CLASS_FIGURES.items():
        columns[title] = _best({key: [row.figure(name) for row in group] for key, group in groups.items()}, True)
    for name, title in _OF_SOME.items():
        values = {key: [row.figure(name) for row in group] for key, group in groups.items()}
        if any(map(defined, values.values())):
            columns[title] = {
                key: _spread(given, _mean(given)) if defined(given) else "" for key, given in values.items()
            }
    tested = {key: _tested(*pair) for key, pair in comparisons.items()}
    columns[f"difference to {baseline}"] = {**tested, baseline: "baseline"}
    columns["published (their data)"] = published
    return _table(["system", *columns], [[key, *(each.get(key, "") for each in columns.values())] for key in groups])


def confusion_markdown(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Return a confusion matrix in percent of the true class; one line per true class."""
    lines = []
    for name, row in zip(classes, counts, strict=True):
        total = max(1, sum(row))
        lines.append([name, *(f"{100 * each / total:.0f}" for each in row), str(sum(row))])
    return _table(["true class", *classes, "clips"], lines)


def combined_markdown(pairs: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return one line per system: CCC of arousal and of valence, mean and standard deviation over seeds.

    Args:
        pairs: system -> CCC of arousal and of valence for each seed.
    """
    columns = [_best({key: [pair[place] for pair in given] for key, given in pairs.items()}, True) for place in (0, 1)]
    lines = [[key, str(len(given)), *(each[key] for each in columns)] for key, given in pairs.items()]
    return _table(["system", "seeds", "CCC arousal", "CCC valence"], lines)


def curves_markdown(rows: Sequence[Row]) -> str:
    """Return one line per kind of curve and system: CCC of arousal / of valence, means over seeds, at `SHARES`."""
    lines = []
    for name in CURVES:
        for system, group in by_system(rows).items():
            curves = [row.curves[name] for row in group if name in row.curves]
            if curves:
                points = [[curve[share] for curve in curves if share in curve] for share in SHARES]
                lines.append([name, system, *(" / ".join(map(_mean, zip(*each, strict=True))) for each in points)])
    return _table(["what", "system", *(f"{share} %" for share in SHARES)], lines)


def stage_one_markdown(rows: Sequence[StageOneRow]) -> str:
    """Return one line per face network: figures as mean and standard deviation over seeds, and what it costs."""
    groups = by_network(rows)
    columns: dict[str, Mapping[str, str]] = {}
    for figure, title in (("r2", "R²"), ("rmse", "RMSE")):
        for dimension in ("arousal", "valence"):
            values = {
                key: [float(getattr(row, figure)) for row in group if row.dimension == dimension]
                for key, group in groups.items()
            }
            columns[f"{title} {dimension}"] = _best(values, figure == "r2")
    costs = {
        "parameters (M)": lambda row: f"{row.parameters / 1e6:.2f}",
        "multiply-adds (M)": lambda row: f"{row.multiply_adds / 1e6:.1f}",
        "parameters at full size (M)": lambda row: f"{row.full_parameters / 1e6:.2f}",
        "multiply-adds at full size (G)": lambda row: f"{row.full_multiply_adds / 1e9:.2f}",
    }
    for title, cost in costs.items():
        # More than one size under one name is shown, not averaged away.
        columns[title] = {key: ", ".join(dict.fromkeys(map(cost, group))) for key, group in groups.items()}
    columns["seconds per epoch"] = {
        key: f"{fmean(row.seconds_per_epoch for row in group):.1f}" for key, group in groups.items()
    }
    return _table(["network", *columns], [[key, *(each[key] for each in columns.values())] for key in groups])


def _best(values: Mapping[str, Sequence[float]], higher: bool) -> dict[str, str]:
    """Return the cells of a column; bold where the mean, as it is shown, is the best."""
    means = {key: f"{fmean(known):.3f}" for key, given in values.items() if (known := defined(given))}
    best = (max if higher else min)(means.values(), key=float, default="")
    return {
        key: _spread(given, f"**{means[key]}**" if means[key] == best else means[key]) if key in means else ""
        for key, given in values.items()
    }


def _spread(values: Sequence[float], mean: str) -> str:
    known = defined(values)
    spread = f"{mean} ± {stdev(known):.3f}" if len(known) > 1 else mean
    # A seed that diverged must not vanish from the mean unseen.
    return spread if len(known) == len(values) else f"{spread} ({len(known)} of {len(values)})"


def _mean(values: Sequence[float]) -> str:
    known = defined(values)
    return f"{fmean(known):.3f}" if known else ""


def _tested(difference: float, p: float) -> str:
    return f"{difference:+.3f} ({'p < 0.001' if p < 0.001 else f'p = {p:.3f}'})"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
