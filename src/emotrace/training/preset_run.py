"""One system on one corpus: `emotrace train PRESET --corpus NAME`, and `emotrace evaluate FOLDER --corpus NAME`."""

from pathlib import Path

from emotrace.errors import EmotraceError, SettingsError
from emotrace.training.cells import SystemCell, system_row
from emotrace.training.comparison import ComparisonSettings, Plan, prepare, run
from emotrace.training.comparison_rows import Row
from emotrace.training.judging import judge
from emotrace.training.settings import SystemSettings
from emotrace.training.study import Study
from emotrace.training.system_bundle import fits_a_bundle, save_as_bundle
from emotrace.training.systems import load_system

Figures = dict[str, object]


def train_preset(name: str, settings: SystemSettings, study: Study, output: Path) -> Figures:
    """Train and judge one system; goes on where an earlier run in `output` stopped.

    Args:
        name: of the preset or the file with its settings.
        settings: of the system.
        study: the corpus.
        output: `weights.safetensors`, `system.json`, `result.json`, checkpoints, and `bundle` where a bundle can hold
            the system.

    Raises:
        EmotraceError: the training failed, or `output` holds a run of other settings.
    """
    cell = SystemCell(name, settings, output)
    failed = run(Plan(study, (cell,), (), ComparisonSettings(), output), workers=1)
    if failed:
        raise EmotraceError(next(iter(failed.values())))
    row = system_row(cell)
    if fits_a_bundle(settings):
        _bundle(cell, study, row)
    return {"system": row.system, "seed": row.seed} | dict(row.figures)


def _bundle(cell: SystemCell, study: Study, row: Row) -> None:
    """Write `bundle`, with which `emotrace analyze` can use the system."""
    system, settings = load_system(cell.folder)
    judged = {name: row.figure(name) for name in ("ccc_arousal", "ccc_valence", "rmse_arousal", "rmse_valence")}
    tells_emotions = "unweighted_average_recall" in row.figures
    save_as_bundle(cell.folder / "bundle", system, settings, judged, study.note, tells_emotions=tells_emotions)


def evaluate_system(folder: Path, study: Study, split: str) -> Figures:
    """Return the figures of a trained system on one split of a corpus.

    Post-processing is fitted on the recordings that training was stopped by.

    Args:
        folder: that `emotrace train` or `emotrace compare` wrote.
        study: the corpus.
        split: of the corpus, by its own name for it.

    Raises:
        SettingsError: the split has fewer than two labelled recordings.
        EmotraceError: the folder holds no trained system.
    """
    system, settings = load_system(folder)
    items = [item for item in study.all_items if item.split == split]
    if len(items) < 2:
        known = sorted({item.split for item in study.all_items})
        raise SettingsError(f"--split {split}: no labelled recordings there; there are some of {', '.join(known)}.")
    cell = SystemCell(folder.name, settings, folder)
    prepare(Plan(study, (cell,), (), ComparisonSettings(), folder))
    held_out, judged = (
        study.unmoved(each, settings.front_end, settings.faces) for each in (study.items["validation"], items)
    )
    judgement = judge(system, settings, held_out, judged, study.label_delay_ticks)
    return {"system": settings.system, "corpus": study.corpus, "split": split, "recordings": len(items)} | dict(
        judgement.figures
    )
