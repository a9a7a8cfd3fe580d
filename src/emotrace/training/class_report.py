"""The finished cells of a comparison on clips of one class each -> its folder, as `comparison_report.py` for traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emotrace import metrics
from emotrace.corpora.labelled import BACKGROUND
from emotrace.significance import PairedResult, paired_test
from emotrace.training import comparison_figures as figures
from emotrace.training import comparison_tables as tables
from emotrace.training.cells import SystemCell, confusion, predictions, system_row
from emotrace.training.comparison import Plan
from emotrace.training.comparison_report import Report, environment, settings_text
from emotrace.training.comparison_rows import Row, write_csv
from emotrace.types import FloatArray
from emotrace.writing import write_text

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "fcn-attention": "IEMOCAP, 4 classes: WA 70.4 %, UA 63.9 %",
        "g-fbp": "AFEW, EmotiW 2018: accuracy 62.48 % (attention-guided FBP)",
        "am-fbp": "AFEW, EmotiW 2019: accuracy 63.09 %; IEMOCAP: 75.49 %",
        "vaanet": "VideoEmotion-8: accuracy 54.5 %; Ekman-6: 55.3 %",
        "cross-modal-metric": "RAVDESS: accuracy 89.25 %; CREMA-D: 84.57 %",
        "disentangled": "up to 13 % disentanglement",
        "positive-sample-propagation": "AVE: 77.8 % of segments (remembered)",
        "psp-weak": "AVE: 73.5 % of segments (remembered)",
    }
)
"""What the papers give: theirs, on their splits; what was not read is remembered."""


def write_class_report(chosen: Plan, failed: Mapping[str, str]) -> Report:
    """Write everything that the finished cells say into the output folder.

    Args:
        chosen: the comparison.
        failed: cells that failed, with the reason; they are named in the report.
    """
    output, classes = chosen.output, _of_clips(chosen.study.classes)
    done = [cell for cell in chosen.systems if chosen.is_done(cell)]
    rows = [system_row(cell) for cell in done]
    tested = _tests(chosen, done, len(classes))
    files = [output / "settings.yaml", output / "environment.json", output / "results.md"]
    write_text(files[0], settings_text(chosen))
    write_text(files[1], environment(done))
    keys = list(dict.fromkeys(cell.key for cell in done))
    counts = {key: _counted([confusion(cell) for cell in done if cell.key == key], len(classes)) for key in keys}
    if rows:
        drawn = output / "figures"
        drawn.mkdir(parents=True, exist_ok=True)
        write_csv(rows, output / "results.csv")
        files += [output / "results.csv", *figures.recalls_figure(rows, drawn, len(classes))]
        for key, matrix in counts.items():
            files += figures.confusion_figure(matrix, classes, key, drawn)
    write_text(files[2], _page(chosen, rows, counts, tested, failed))
    return Report(tuple(rows), (), tested, tuple(files))


def _of_clips(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a clip can have: the last may be what is there without an event."""
    return tuple(name for name in classes if name != BACKGROUND)


def _counted(matrices: Sequence[Sequence[Sequence[int]]], num_classes: int) -> list[list[int]]:
    total: list[list[int]] = np.sum([np.asarray(each) for each in matrices], axis=0).tolist()
    return [row[:num_classes] for row in total[:num_classes]]


def _page(
    chosen: Plan,
    rows: Sequence[Row],
    counts: Mapping[str, list[list[int]]],
    tested: Mapping[str, PairedResult],
    failed: Mapping[str, str],
) -> str:
    study = chosen.study
    held = (
        f"{len(chosen.folds)} folds, {len(study.all_items)} clips in all."
        if chosen.folds
        else "Clips: " + ", ".join(f"{len(items)} {role}" for role, items in study.items.items()) + "."
    )
    classes = _of_clips(study.classes)
    parts = [
        f"# Comparison on {study.corpus}",
        f"{study.note} {held} {len(classes)} classes; chance is a UAR of {1 / len(classes):.3f}.",
        "Published figures are of other splits, and mostly other data: **not comparable**.",
    ]
    if rows:
        comparisons = {key: (test.difference, test.p_value) for key, test in tested.items()}
        baseline = rows[0].system
        table = tables.classes_markdown(rows, published=PUBLISHED, baseline=baseline, comparisons=comparisons)
        parts += ["## Systems", _TABLE_WORDS.format(baseline=baseline), table, "## Confusions", _CONFUSION_WORDS]
        for key, matrix in counts.items():
            parts += [f"### {key}", tables.confusion_markdown(matrix, classes)]
    if failed:
        parts += ["## Failed", "\n".join(f"- {name}: {reason}" for name, reason in failed.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _tests(chosen: Plan, done: Sequence[SystemCell], num_classes: int) -> dict[str, PairedResult]:
    """Return the paired test of every system against the first, over speakers: all seeds that both have whole."""
    groups: dict[str, dict[int, dict[int | None, SystemCell]]] = {}
    for cell in done:
        groups.setdefault(cell.key, {}).setdefault(cell.settings.seed, {})[cell.fold] = cell
    whole = max(1, len(chosen.folds))
    complete = {
        key: {seed: cells for seed, cells in seeds.items() if len(cells) == whole} for key, seeds in groups.items()
    }
    found = {}
    for key in list(groups)[1:]:
        first, other = complete[next(iter(groups))], complete[key]
        seeds = sorted(first.keys() & other.keys())
        if seeds:
            truths, said = _by_subject(chosen, [first[seed] for seed in seeds])
            theirs = _by_subject(chosen, [other[seed] for seed in seeds])[1]
            if len(truths) > 1:
                found[key] = paired_test(truths, theirs, said, _MeanRecall(len(seeds), num_classes))
    return found


def _by_subject(
    chosen: Plan, seeds: Sequence[Mapping[int | None, SystemCell]]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return truths and answers, one row [clips * seeds * classes] per speaker: clips of one speaker are alike.

    A clip that several folds judge, as the draws of VideoEmotion-8 do, stays with its speaker.
    """
    subjects = {item.name: item.subject for study in (chosen.folds or (chosen.study,)) for item in study.items["test"]}
    truths: dict[str, list[FloatArray]] = {}
    said: dict[str, list[FloatArray]] = {}
    for fold in seeds[0]:
        kept = [predictions(cells[fold]) for cells in seeds]
        for name in kept[0]:
            truths.setdefault(subjects[name], []).append(np.concatenate([each[name][0] for each in kept]).ravel())
            said.setdefault(subjects[name], []).append(np.concatenate([each[name][1] for each in kept]).ravel())
    return [np.concatenate(each) for each in truths.values()], [np.concatenate(each) for each in said.values()]


@dataclass(frozen=True)
class _MeanRecall:
    """Mean over seeds of the unweighted average recall of values that stand as [clips, seeds, classes] in one row."""

    seeds: int
    num_classes: int

    def __call__(self, truth: NDArray[np.float64], prediction: NDArray[np.float64]) -> float:
        wanted, told = (each.reshape(-1, self.seeds, self.num_classes).argmax(axis=2) for each in (truth, prediction))
        return fmean(metrics.unweighted_average_recall(wanted[:, k], told[:, k]) for k in range(self.seeds))


_TABLE_WORDS = (
    "Mean and standard deviation over seeds and folds. UAR: unweighted average recall, the mean over classes. The "
    "difference is that of the UAR to {baseline}, by swapping all clips of a speaker."
)
_CONFUSION_WORDS = "Percent of each true class, all seeds and folds together."
