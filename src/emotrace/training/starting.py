"""What is typed -> a study, settings and a run: the lab's commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotrace.errors import SettingsError
from emotrace.training import comparison, preset_run, settings
from emotrace.training.class_report import write_class_report
from emotrace.training.comparison_report import Report, write_report
from emotrace.training.fitting import fitted, why_not
from emotrace.training.opening import (
    chosen_protocol,
    open_folds,
    open_split,
    open_study,
)
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings

Figures = dict[str, object]


@dataclass(frozen=True, eq=False)
class Compared:
    """What a comparison gave.

    Attributes:
        report: of the finished cells.
        failed: name of a cell -> why it failed.
    """

    report: Report
    failed: Mapping[str, str]

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written."""
        return self.report.files

    def document(self) -> Figures:
        """Return the same as plain data."""
        return {
            "systems": [
                {"system": row.system, "seed": row.seed, "fold": row.fold} | dict(row.figures)
                for row in self.report.rows
            ],
            "tests": {name: vars(test) for name, test in self.report.tested.items()},
            "failed": dict(self.failed),
            "files": [str(path) for path in self.files],
        }


def compare(
    keys: Sequence[str],
    corpus: str,
    root: Path | None,
    seeds: int,
    output: Path,
    assignments: Sequence[str],
    *,
    small: bool = False,
    workers: int | None = None,
    protocol: str | None = None,
    folds: bool = False,
) -> Compared:
    """Train and judge systems, and write the report.

    Args:
        keys: presets, face networks and groups.
        corpus: see `opening.open_study`.
        root: likewise.
        seeds: 0 .. seeds - 1.
        output: folder of the comparison.
        assignments: KEY=VALUE of `ComparisonSettings`.
        small: few short recordings and epochs.
        workers: processes at a time; None for one per core.
        protocol: of RECOLA its name or a YAML file; of a corpus of classes person-disjoint or person-shared.
        folds: the corpus's usual cross-validation instead of one split.

    Raises:
        SettingsError: a name, a number or a setting is wrong.
        CorpusError: the corpus is not as it should be.
    """
    base = comparison.ComparisonSettings()
    chosen = settings.override(comparison.small(base) if small else base, list(assignments))
    challenge, shared_persons = chosen_protocol(protocol, corpus)
    comparison.check(keys, seeds, corpus)  # before a corpus is made
    if folds and protocol is not None:
        raise SettingsError("--protocol says how to split once, --folds splits several times: leave one of them out.")
    studies = open_folds(corpus, root, output) if folds else []
    study = (
        studies[0]
        if studies
        else open_study(corpus, root, output, small=small, challenge=challenge, shared_persons=shared_persons)
    )
    plan = comparison.settle_delay(comparison.plan(keys, study, seeds, output, chosen, studies))
    failed = comparison.run(plan, workers=workers)
    write = write_class_report if study.tells_classes else write_report
    return Compared(write(plan, failed), failed)


def train(
    preset: str,
    corpus: str,
    root: Path | None,
    output: Path,
    assignments: Sequence[str],
    *,
    small: bool,
    protocol: str | None,
) -> Figures:
    """Train one system and return its figures.

    Args:
        preset: key of `PRESETS`, or a YAML file of the same shape as its settings.
        corpus: see `opening.open_study`.
        root: likewise.
        output: folder of the run.
        assignments: KEY=VALUE.
        small: few short recordings and epochs.
        protocol: as of `compare`.
    """
    if preset in PRESETS:
        chosen = PRESETS[preset].settings
    elif Path(preset).is_file():
        chosen = settings.read(SystemSettings, Path(preset))
    else:
        raise SettingsError(f"There is no preset and no file {preset!r}: expected one of {', '.join(PRESETS)}.")
    shared = comparison.ComparisonSettings()
    if small:
        chosen, shared = comparison.small_preset(chosen), comparison.small(shared)
    final = fitted(settings.override(chosen, list(assignments)), corpus)
    reason = why_not(Path(preset).stem, final, corpus)
    if reason:
        raise SettingsError(reason)
    challenge, shared_persons = chosen_protocol(protocol, corpus)
    study = open_study(corpus, root, output, small=small, challenge=challenge, shared_persons=shared_persons)
    return preset_run.train_preset(Path(preset).stem, final, study, output, shared)


def evaluate(folder: Path, corpus: str, root: Path | None, split: str, *, small: bool, protocol: str | None) -> Figures:
    """Return the figures of a trained system on a split of a corpus."""
    challenge, shared_persons = chosen_protocol(protocol, corpus)
    study = open_split(corpus, root, folder, split, small=small, challenge=challenge, shared_persons=shared_persons)
    return preset_run.evaluate_system(folder, study) | {"split": split}
