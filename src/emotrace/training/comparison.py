"""Presets, a study and a number of seeds -> one folder with tables, figures and the exact settings.

Cells (a preset with a seed) run side by side, each in a process of its own; a finished one is not run again, and one
that fails takes no other with it.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, field_validator

from emotrace.corpora.rated import DIMENSIONS
from emotrace.errors import EmotraceError, SettingsError
from emotrace.postprocessing import STEPS, Step
from emotrace.training.cells import Cell, FaceCell, SystemCell, is_done, run_cell, start_worker
from emotrace.training.default import RECIPE
from emotrace.training.delay import search_delay_seconds
from emotrace.training.extraction import FrontEnd
from emotrace.training.face_networks import FACE_NETWORKS
from emotrace.training.fitting import Labels, fitted, why_not
from emotrace.training.presets import PRESETS
from emotrace.training.settings import Settings, SystemSettings
from emotrace.training.stage_one import StageOneSettings, regions_of_improved_alexnet
from emotrace.training.study import CLASS_CORPORA, TABLES, Study, bundle_faces
from emotrace.training.systems import clip_reading_of, is_clip_level, reading_of

_COMPARED_IN_FIGURE_6 = (
    "bimodal-attention",
    "kalman-fusion",
    "end-to-end-lstm",
    "lstm-ensemble",
    "deep-belief",
    "modular-hierarchy",
)
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "figure-6": _COMPARED_IN_FIGURE_6,
        "face-networks": tuple(FACE_NETWORKS),
        "clip-level": tuple(name for name, preset in PRESETS.items() if is_clip_level(preset.settings)),
        "all": (*PRESETS, *FACE_NETWORKS),
    }
)
"""Names that stand for several keys."""


_LONGEST_DELAY_SECONDS = 20.0


class ComparisonSettings(Settings):
    """What a comparison lets one change for all systems alike.

    Nothing here makes one system better than another; a preset of one's own is trained with `emotrace train`.
    """

    epochs: int | None = Field(None, gt=0, description="of systems; None: those of each preset")
    is_small: bool = Field(False, description="a try in minutes: six epochs, three of systems of pictures or spectra")
    annotation_delay: float | Literal["search"] = Field(
        0.0, description="seconds by which the labels lag behind (P-38), or a search on the training recordings"
    )
    post_processing: tuple[Step, ...] = Field(STEPS, description="steps of the challenges' chain that may be used")
    stage_one: StageOneSettings = StageOneSettings()

    @field_validator("annotation_delay", mode="before")
    @classmethod
    def _is_a_delay(cls, value: object) -> object:
        if value == "search" or (isinstance(value, int | float) and 0 <= value <= _LONGEST_DELAY_SECONDS):
            return value
        raise ValueError(f"expected seconds from 0 to {_LONGEST_DELAY_SECONDS:g}, or search")


def small(settings: ComparisonSettings) -> ComparisonSettings:
    """Return the same for a try in minutes: few epochs, tiny face networks."""
    tiny = settings.stage_one.model_copy(update={"epochs": 4, "crops_per_epoch": 600, "width": 0.06})
    return settings.model_copy(update={"is_small": True, "stage_one": tiny})


def resolve(keys: Sequence[str], corpus: str, labels: Labels | None = None) -> list[str]:
    """Return presets and face networks by their names, groups taken apart, none twice.

    Groups go without what cannot run: without openSMILE where that is not installed, without what the corpus has no
    labels for.

    Args:
        keys: names.
        corpus: its name.
        labels: as `fitting.why_not` takes it.

    Raises:
        SettingsError: a name is unknown, or cannot run.
    """
    found: dict[str, None] = {}
    for key in keys:
        if key not in PRESETS and key not in FACE_NETWORKS and key not in GROUPS:
            known = ", ".join((*GROUPS, *PRESETS, *FACE_NETWORKS))
            raise SettingsError(f"There is no system {key!r} to compare: expected some of {known}.")
        reasons = {each: _what_hinders(each, corpus, labels) for each in GROUPS.get(key, (key,))}
        reason = reasons.get(key) or next(filter(None, reasons.values()), None)
        if all(reasons.values()) and reason:
            raise SettingsError(reason)
        found |= dict.fromkeys(each for each, why in reasons.items() if not why)
    return list(found)


def _what_hinders(key: str, corpus: str, labels: Labels | None) -> str | None:
    """Return why a key cannot run on a corpus, None where it can."""
    if key in PRESETS:
        return why_not(key, fitted(PRESETS[key].settings, corpus), corpus, labels)
    if corpus in CLASS_CORPORA:
        return f"{key}: face networks learn arousal or valence over time, and {corpus} has classes of clips."
    if corpus == TABLES:
        return f"{key}: face networks see pictures, and feature tables have none."
    return None


@dataclass(frozen=True, eq=False)
class Plan:
    """What a comparison runs.

    Attributes:
        study: the corpus; of a cross-validation its first fold.
        systems: cells of stage two.
        faces: cells of stage one.
        settings: shared by all.
        output: the folder.
        folds: of a cross-validation; empty where there is none.
    """

    study: Study
    systems: tuple[SystemCell, ...]
    faces: tuple[FaceCell, ...]
    settings: ComparisonSettings
    output: Path
    folds: tuple[Study, ...] = ()

    def study_of(self, cell: Cell) -> Study:
        """Return the study that a cell is trained and judged on."""
        if isinstance(cell, FaceCell) or cell.fold is None:
            return self.study
        return next(study for study in self.folds if study.fold == cell.fold)

    def is_done(self, cell: Cell) -> bool:
        """Tell whether the result of a cell is there; see `cells.is_done`."""
        return is_done(self.study_of(cell), cell)


def check(keys: Sequence[str], seeds: int, corpus: str, labels: Labels | None = None) -> list[str]:
    """Return what `resolve` does, after a look at the number of seeds."""
    if seeds < 1:
        raise SettingsError(f"--seeds {seeds}: expected one at least, better three.")
    return resolve(keys, corpus, labels)


def plan(
    keys: Sequence[str],
    study: Study,
    seeds: int,
    output: Path,
    settings: ComparisonSettings,
    folds: Sequence[Study] = (),
) -> Plan:
    """Return the cells of a comparison: every key with every fold and the seeds 0 .. seeds - 1.

    Raises:
        SettingsError: a name is unknown, a system cannot learn what the corpus tells, or there is no seed.
    """
    chosen = check(keys, seeds, study.corpus, Labels(study.has_emotions, study.names_persons))
    systems = [
        _system_cell(key, study.corpus, fold, seed, output, settings)
        for key in chosen
        if key in PRESETS
        for fold in ([study.fold for study in folds] or [None])
        for seed in range(seeds)
    ]
    faces = [
        _face_cell(key, place, seed, output, settings)
        for key in chosen
        if key in FACE_NETWORKS
        for seed in range(seeds)
        for place in range(len(DIMENSIONS))
    ]
    return Plan(study, tuple(systems), tuple(faces), settings, output, tuple(folds))


def _system_cell(
    key: str, corpus: str, fold: int | None, seed: int, output: Path, settings: ComparisonSettings
) -> SystemCell:
    part = f"seed-{seed}" if fold is None else f"fold-{fold}-seed-{seed}"
    chosen = _seeded(fitted(PRESETS[key].settings, corpus), seed, settings)
    return SystemCell(key, chosen, output / "cells" / key / part, settings.stage_one, settings.post_processing, fold)


def _seeded(settings: SystemSettings, seed: int, shared: ComparisonSettings) -> SystemSettings:
    chosen = small_preset(settings) if shared.is_small else settings
    return chosen.model_copy(update={"seed": seed, "epochs": shared.epochs or chosen.epochs})


def small_preset(settings: SystemSettings) -> SystemSettings:
    """Return the same for a try in minutes: few and bold steps, fewer where each costs much."""
    costs_much = settings.front_end == "spectrum" or _reads_pictures(settings)
    few = {
        "epochs": 3 if costs_much else 6,
        "stretches_per_epoch": min(160, settings.stretches_per_epoch),
        "learning_rate": 3 * settings.learning_rate,
    }
    return settings.model_copy(update=few)


def _reads_pictures(settings: SystemSettings) -> bool:
    rate_hz = RECIPE.label_rate_hz
    if is_clip_level(settings):
        return clip_reading_of(settings, rate_hz).backbone == "own"
    return "crops" in reading_of(settings, rate_hz).needs


def _face_cell(key: str, place: int, seed: int, output: Path, settings: ComparisonSettings) -> FaceCell:
    dimension = DIMENSIONS[place]
    folder = output / "stage-one" / key / dimension / f"seed-{seed}"
    return FaceCell(key, dimension, seed, settings.stage_one, folder)


def settle_delay(chosen: Plan) -> Plan:
    """Return the plan with the delay of annotation that its settings ask for; searching needs the features."""
    delay = chosen.settings.annotation_delay
    if delay == "search":
        prepare_study(chosen.study, ["descriptors"])
        delay = search_delay_seconds(chosen.study)
        _tell(f"delay of annotation: {delay:.1f} s")
    folds = tuple(study.delayed(delay) for study in chosen.folds)
    return replace(chosen, study=chosen.study.delayed(delay), folds=folds)


def run(chosen: Plan, *, workers: int | None = None) -> dict[str, str]:
    """Run every cell that is not done; return name -> reason of those that failed.

    Args:
        chosen: what is run.
        workers: processes at a time; None for one per core.

    Raises:
        EmotraceError: the corpus cannot be read, or the folder holds results of other settings.
    """
    cells: list[Cell] = [*chosen.faces, *chosen.systems]
    todo = [cell for cell in cells if not chosen.is_done(cell)]
    if not todo:
        return {}
    _prepare(chosen, workers)
    return _run_all([cell for cell in todo if not chosen.is_done(cell)], chosen, workers)


def prepare_study(study: Study, front_ends: Sequence[FrontEnd]) -> None:
    """Make the features of these front ends, and the face regions of the default bundle; what is there is kept."""
    study.prepare(front_ends, _tell_extraction)
    study.encode("bundle", *bundle_faces())


def _prepare(chosen: Plan, workers: int | None) -> None:
    """Make the features that the cells read."""
    front_ends: dict[FrontEnd, None] = {"descriptors": None}
    front_ends |= dict.fromkeys(cell.settings.front_end for cell in chosen.systems)
    # Most folds hold the same clips: each is looked at once.
    items = {item.name: item for study in chosen.folds for item in study.all_items}
    every = replace(chosen.study, items={"train": tuple(items.values()), "validation": (), "test": ()})
    prepare_study(every if chosen.folds else chosen.study, list(front_ends))
    if any(cell.settings.faces == "improved-alexnet" for cell in chosen.systems):
        _encode_improved_alexnet(chosen, workers)


def _encode_improved_alexnet(chosen: Plan, workers: int | None) -> None:
    """Train stage one where stage two needs it, with seed 0, and run it over all faces."""
    cells = [_face_cell("improved-alexnet", place, 0, chosen.output, chosen.settings) for place in range(2)]
    todo: list[Cell] = [cell for cell in cells if not chosen.is_done(cell)]
    failed = _run_all(todo, chosen, workers)
    if failed:
        raise EmotraceError(f"Stage one failed, which stage two needs: {next(iter(failed.values()))}")
    digest, encode = regions_of_improved_alexnet(chosen.settings.stage_one, [cell.folder for cell in cells])
    chosen.study.encode("improved-alexnet", digest, encode)


def _run_all(cells: Sequence[Cell], chosen: Plan, workers: int | None) -> dict[str, str]:
    """Run cells side by side; where a worker was killed, which ends all of them, the rest one by one."""
    number = workers or os.cpu_count() or 1
    failed = _run_in_pool(cells, chosen, number)
    rest = [cell for cell in cells if failed.get(cell.name, "").startswith(BrokenProcessPool.__name__)]
    if number > 1 and rest:
        _tell(f"A worker was killed, perhaps for want of memory; {len(rest)} cells are run again one by one.")
        for cell in rest:
            del failed[cell.name]
            failed |= _run_in_pool([cell], chosen, 1)
    return failed


def _run_in_pool(cells: Sequence[Cell], chosen: Plan, workers: int) -> dict[str, str]:
    failed: dict[str, str] = {}
    number = max(1, min(workers, len(cells)))
    started = time.monotonic()
    # Spawned, not forked: a forked worker could wait for ever for a lock that a thread of the parent holds.
    pool = ProcessPoolExecutor(number, mp_context=get_context("spawn"), initializer=start_worker)
    try:
        futures = {pool.submit(run_cell, chosen.study_of(cell), cell): cell for cell in cells}
        for done, future in enumerate(_as_they_end(futures), start=1):
            error = future.exception()
            if error is not None:
                failed[futures[future].name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            took = "failed" if error is not None else f"{future.result():.0f} s"
            left = (time.monotonic() - started) / done * (len(cells) - done)
            _tell(f"{done} of {len(cells)}: {futures[future].name}, {took}; about {left / 60:.0f} min left")
    finally:
        # What runs is let go to its end by nobody who interrupts: its checkpoint resumes it.
        pool.shutdown(wait=True, cancel_futures=True)
    return failed


def _as_they_end(futures: Mapping["Future[float]", Cell]) -> Iterator["Future[float]"]:
    waiting = set(futures)
    while waiting:
        ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from ended


def _tell_extraction(done: int, total: int) -> None:
    if done == total or done % 10 == 0:
        _tell(f"features of {done} of {total} recordings")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
