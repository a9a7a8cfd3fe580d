"""One system on one corpus: `emotrace train PRESET --corpus NAME`, and `emotrace evaluate FOLDER --corpus NAME`."""

from pathlib import Path

from emotrace.errors import EmotraceError, SettingsError
from emotrace.training.cells import SystemCell, system_row
from emotrace.training.comparison import ComparisonSettings, Plan, prepare_study, run
from emotrace.training.comparison_rows import Row
from emotrace.training.judging import judge, judge_classes
from emotrace.training.settings import SystemSettings
from emotrace.training.study import EMOTION_CORPORA, EVENT_CORPORA, TABLES, Study
from emotrace.training.system_bundle import fits_a_bundle, save_as_bundle
from emotrace.training.systems import load_system

Figures = dict[str, object]
_ON_THE_CARD = (
    *("ccc_arousal", "ccc_valence", "rmse_arousal", "rmse_valence"),
    *("unweighted_average_recall", "accuracy", "macro_f1"),
)


def train_preset(
    name: str, settings: SystemSettings, study: Study, output: Path, shared: ComparisonSettings
) -> Figures:
    """Train and judge one system; goes on where an earlier run in `output` stopped.

    Args:
        name: of the preset or the file with its settings.
        settings: of the system.
        study: the corpus.
        output: `weights.safetensors`, `system.json`, `result.json`, checkpoints, and `bundle` where a bundle can hold
            the system: not of feature tables, as nothing says how they were made, and not of events in scenes, as
            analysis follows a face and hears speech.
        shared: of stage one, where the system needs it.

    Raises:
        EmotraceError: the training failed, or `output` holds a run of other settings.
    """
    cell = SystemCell(name, settings, output, shared.stage_one)
    failed = run(Plan(study, (cell,), (), shared, output), workers=1)
    if failed:
        raise EmotraceError(next(iter(failed.values())))
    row = system_row(cell)
    if fits_a_bundle(settings) and study.corpus not in (TABLES, *EVENT_CORPORA):
        _bundle(cell, study, row)
    return {"system": row.system, "seed": row.seed} | dict(row.figures)


def _bundle(cell: SystemCell, study: Study, row: Row) -> None:
    """Write `bundle`, with which `emotrace analyze` can use the system."""
    saved = load_system(cell.folder)
    judged = {name: row.figure(name) for name in _ON_THE_CARD if name in row.figures}
    tells_emotions = "unweighted_average_recall" in row.figures
    save_as_bundle(cell.folder / "bundle", saved, judged, study.corpus, study.note, tells_emotions=tells_emotions)


def evaluate_system(folder: Path, study: Study) -> Figures:
    """Return the figures of a trained system on the recordings of a study that are to be judged on.

    Args:
        folder: that `emotrace train` or `emotrace compare` wrote.
        study: see `opening.open_split`.

    Raises:
        SettingsError: the system sees through a face network that only its comparison has.
        EmotraceError: the folder holds no trained system.
    """
    saved = load_system(folder)
    settings = saved.settings
    if settings.faces != "bundle":
        raise SettingsError(
            f"{folder} sees through the {settings.faces} of its own comparison, which judges it: see its result.json."
        )
    if study.corpus in EMOTION_CORPORA and study.classes != saved.system.sizes.classes:
        raise SettingsError(
            f"{folder} tells {', '.join(saved.system.sizes.classes)}, but {study.corpus} has "
            f"{', '.join(study.classes)}: choose the corpus that it was trained on, or one with the same classes."
        )
    prepare_study(study, [settings.front_end])
    judged = study.unmoved(study.items["test"], settings.front_end, settings.faces)
    if study.tells_classes:
        judgement = judge_classes(saved.system, settings, judged)
    else:
        judgement = judge(saved.system, settings, [], judged, saved.label_delay_ticks)
    return {
        "system": settings.system,
        "corpus": study.corpus,
        "recordings": len(judged),
        "of_these_learnt_from": len({track.name for track in judged} & set(saved.learnt)),
    } | dict(judgement.figures)
