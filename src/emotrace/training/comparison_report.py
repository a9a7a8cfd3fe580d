"""The finished cells of a comparison -> its folder: results.csv, tables in Markdown, figures, settings, environment."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import numpy as np
import yaml
from numpy.typing import NDArray

import emotrace
from emotrace import metrics
from emotrace.bundle import load_bundle
from emotrace.corpora.rated import DIMENSIONS, RatedRecording
from emotrace.features.faces import make_detector
from emotrace.ratings import agreement
from emotrace.significance import PairedResult, paired_test
from emotrace.training import comparison_figures as figures
from emotrace.training import comparison_tables as tables
from emotrace.training.cells import (
    Cell,
    SystemCell,
    commit_of,
    face_row,
    predictions,
    system_row,
    weight_points,
)
from emotrace.training.comparison import Plan
from emotrace.training.comparison_rows import Row, StageOneRow, write_csv, write_stage_one
from emotrace.training.default import RECIPE
from emotrace.training.fold_ensemble import combined
from emotrace.training.study import Study
from emotrace.types import FloatArray
from emotrace.writing import write_text

_PACKAGES = ("torch", "pytorch-lightning", "numpy", "scikit-learn", "onnxruntime", "av", "opencv-python-headless")
PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"bimodal-attention": {"ccc_arousal": 0.729, "ccc_valence": 0.718}}
)
"""What Liu & Tang 2021 give for their own split of RECOLA: theirs, on their data."""


@dataclass(frozen=True, eq=False)
class Report:
    """What a comparison found.

    Attributes:
        rows: of stage two.
        stage_one: of stage one.
        tested: system -> paired test against the first system.
        files: what was written.
    """

    rows: tuple[Row, ...]
    stage_one: tuple[StageOneRow, ...]
    tested: Mapping[str, PairedResult]
    files: tuple[Path, ...]


def write_report(chosen: Plan, failed: Mapping[str, str]) -> Report:
    """Write everything that the finished cells say into the output folder.

    Args:
        chosen: the comparison.
        failed: cells that failed, with the reason; they are named in the report.
    """
    output = chosen.output
    done = [cell for cell in chosen.systems if chosen.is_done(cell)]
    rows = [system_row(cell) for cell in done]
    faces_done = [cell for cell in chosen.faces if chosen.is_done(cell)]
    stage_one = [face_row(cell) for cell in faces_done]
    tested = _tests(done)
    files = [
        _written(output / "settings.yaml", settings_text(chosen)),
        _written(output / "environment.json", environment([*done, *faces_done])),
    ]
    drawn = output / "figures"
    drawn.mkdir(parents=True, exist_ok=True)
    if rows:
        write_csv(rows, output / "results.csv")
        files += [output / "results.csv", *figures.systems_figure(rows, drawn, PUBLISHED)]
        files += figures.curves_figure(rows, drawn)
        for kind, points in _mean_points(done).items():
            files += figures.weights_figure(points, kind, drawn)
    if stage_one:
        write_stage_one(stage_one, output / "stage-one.csv")
        files.append(output / "stage-one.csv")
        for dimension in DIMENSIONS:
            files += figures.stage_one_figure(stage_one, dimension, drawn)
    files.append(_written(output / "results.md", _page(chosen, rows, stage_one, tested, failed)))
    return Report(tuple(rows), tuple(stage_one), tested, tuple(files))


def environment(done: Sequence[Cell]) -> str:
    """Return as JSON where figures were made: versions, hardware, and the commits that cells were judged at."""
    told = {
        "emotrace": emotrace.__version__,
        "commits": sorted({commit_of(cell) or "not from a working copy" for cell in done}),
        "bundle": load_bundle().digest,
        "recipe": RECIPE.digest(),
        "detector": make_detector(RECIPE.video.detector).name,
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }
    return json.dumps(told, indent=2) + "\n"


def settings_text(chosen: Plan) -> str:
    """Return as YAML what was compared, on which recordings."""
    systems = {cell.key: cell.settings.model_dump(mode="json", exclude={"seed"}) for cell in chosen.systems}
    told = {
        "corpus": chosen.study.corpus,
        "note": chosen.study.note,
        "recordings": _names(chosen.study),
        "folds": {study.fold: _names(study) for study in chosen.folds},
        "label_delay_ticks": chosen.study.label_delay_ticks,
        "shared": chosen.settings.model_dump(mode="json"),
        "systems": systems,
    }
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _names(study: Study) -> dict[str, list[str]]:
    return {role: [item.name for item in items] for role, items in study.items.items()}


def _written(path: Path, text: str) -> Path:
    write_text(path, text)
    return path


def _tests(done: Sequence[SystemCell]) -> dict[str, PairedResult]:
    """Return the paired test of every system against the first, over test recordings, all seeds that both have."""
    groups: dict[str, dict[tuple[int, int], SystemCell]] = {}
    for cell in done:
        # All folds of a corpus with traces are judged on the same recordings: each is like one more seed.
        groups.setdefault(cell.key, {})[cell.settings.seed, cell.fold or 0] = cell
    found = {}
    for key in list(groups)[1:]:
        first, other = groups[next(iter(groups))], groups[key]
        seeds = sorted(first.keys() & other.keys())
        if seeds:
            truths, said = _by_recording([first[seed] for seed in seeds])
            found[key] = paired_test(
                truths, _by_recording([other[seed] for seed in seeds])[1], said, _MeanCcc(len(seeds))
            )
    return found


@dataclass(frozen=True)
class _MeanCcc:
    """Mean over seeds and dimensions of the CCC of values that stand as [T, seeds, 2] in one row."""

    seeds: int

    def __call__(self, truth: NDArray[np.float64], prediction: NDArray[np.float64]) -> float:
        tables = [each.reshape(-1, 2 * self.seeds) for each in (truth, prediction)]
        return fmean(metrics.ccc(tables[0][:, place], tables[1][:, place]) for place in range(2 * self.seeds))


def _by_recording(cells: Sequence[SystemCell]) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return truths and answers, one row [T * seeds * 2] per recording."""
    kept = [predictions(cell) for cell in cells]
    return (
        [np.stack([each[name][0] for each in kept], axis=1).ravel() for name in kept[0]],
        [np.stack([each[name][1] for each in kept], axis=1).ravel() for name in kept[0]],
    )


def _mean_points(done: Sequence[SystemCell]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return by kind of hardship and by system, all in one order, the points of the figure; means over seeds."""
    collected: dict[str, dict[str, dict[float, list[float]]]] = {}
    for cell in done:
        for kind, points in weight_points(cell).items():
            systems = collected.setdefault(kind, {each.key: {} for each in done})
            for ideal, weight in points:
                systems[cell.key].setdefault(ideal, []).append(weight)
    return {
        kind: {key: [(ideal, fmean(each)) for ideal, each in found.items()] for key, found in systems.items()}
        for kind, systems in collected.items()
    }


def _page(
    chosen: Plan,
    rows: Sequence[Row],
    stage_one: Sequence[StageOneRow],
    tested: Mapping[str, PairedResult],
    failed: Mapping[str, str],
) -> str:
    counts = ", ".join(f"{len(items)} {role}" for role, items in chosen.study.items.items())
    parts = [f"# Comparison on {chosen.study.corpus}", f"{chosen.study.note} Recordings: {counts}."]
    if not chosen.study.is_comparable:
        parts.append("Published figures, where given, are of other recordings or splits: **not comparable**.")
    parts += _agreement(chosen.study)
    if rows:
        comparisons = {key: (test.difference, test.p_value) for key, test in tested.items()}
        published = {
            key: {"RECOLA, own split": " / ".join(f"{each:.3f}" for each in given.values())}
            for key, given in PUBLISHED.items()
            if any(row.system == key for row in rows)
        }
        baseline = rows[0].system
        table = tables.markdown(rows, published=published, baseline=baseline, comparisons=comparisons or None)
        parts += ["## Systems", _TABLE_WORDS.format(baseline=baseline), table]
        parts += ["## Missing and contradicting modalities", _CURVE_WORDS, tables.curves_markdown(rows)]
    if chosen.folds:
        parts += ["## Folds combined", _FOLD_WORDS, tables.combined_markdown(_combined(chosen))]
    if stage_one:
        parts += ["## Face networks", _FACE_WORDS, tables.stage_one_markdown(stage_one)]
    if failed:
        parts += ["## Failed", "\n".join(f"- {name}: {reason}" for name, reason in failed.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _agreement(study: Study) -> list[str]:
    """Return a paragraph on how far the raters agree, where there are several."""
    rated = [item for item in study.all_items if isinstance(item, RatedRecording) and item.ratings is not None]
    tables = [item.ratings for item in rated if item.ratings is not None and len(item.ratings) > 1]
    if not tables:
        return []
    lines = []
    for place, dimension in enumerate(DIMENSIONS):
        found = [agreement(table[:, :, place]) for table in tables]
        means = [float(np.nanmean([getattr(each, name) for each in found])) for name in _AGREEMENT]
        lines.append(f"| {dimension} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    head = f"| dimension | {' | '.join(_AGREEMENT.values())} |\n| --- |{' --- |' * len(_AGREEMENT)}"
    return ["## Agreement of the raters", f"Means over {len(tables)} recordings.", "\n".join([head, *lines])]


def _combined(chosen: Plan) -> dict[str, list[tuple[float, float]]]:
    """Return per system the CCC of arousal and of valence of its folds' answers together, one pair per seed."""
    groups: dict[tuple[str, int], list[SystemCell]] = {}
    for cell in chosen.systems:
        if chosen.is_done(cell):
            groups.setdefault((cell.key, cell.settings.seed), []).append(cell)
    found: dict[str, list[tuple[float, float]]] = {}
    for (key, _), cells in groups.items():
        if len(cells) == len(chosen.folds):
            kept = [predictions(cell) for cell in cells]
            said = np.concatenate([combined(np.stack([each[name][1] for each in kept])) for name in kept[0]])
            truth = np.concatenate([kept[0][name][0] for name in kept[0]])
            pair = metrics.ccc(truth[:, 0], said[:, 0]), metrics.ccc(truth[:, 1], said[:, 1])
            found.setdefault(key, []).append(pair)
    return found


_AGREEMENT = {
    "ccc": "mean CCC of two raters",
    "pearson": "mean Pearson of two raters",
    "cronbach_alpha": "Cronbach's alpha",
}
_FOLD_WORDS = (
    "The folds' answers to each test recording brought to one level by how well they agree (CCC-centring), averaged "
    "and clipped, as Zhang et al. 2021 do; mean and standard deviation over seeds."
)
_TABLE_WORDS = (
    "CCC over the ticks of all test recordings together; mean and standard deviation over seeds. The difference is "
    "that of the mean CCC of arousal and valence to {baseline}, by swapping whole recordings. beta: correlation of the "
    "audio weight with (1 + r_voice - r_face) / 2, where voices and faces are missing, where they contradict, and, "
    "if the corpus knows it, where they are."
)
_CURVE_WORDS = "CCC of arousal / of valence, means over seeds, over the share of the time in percent."
_FACE_WORDS = (
    "Test figures of the epoch that is best on validation; R² of a constant is 0. The paper gives an R² close to 0.75 "
    "for arousal and up to 0.61 for valence for its improved AlexNet, on its own split of RECOLA."
)
