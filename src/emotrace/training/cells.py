"""One cell of a comparison: a preset and a seed, trained and judged. A finished cell is a file and is not run again."""

import hashlib
import json
import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from emotrace.corpora.rated import Dimension
from emotrace.downloads import file_sha256
from emotrace.errors import EmotraceError
from emotrace.postprocessing import STEPS, Step
from emotrace.training.arrays import read_arrays, write_arrays
from emotrace.training.commit import commit
from emotrace.training.comparison_rows import Row, StageOneRow
from emotrace.training.judging import judge, judge_classes
from emotrace.training.processes import Group, is_first_of_node, run_together
from emotrace.training.settings import SystemSettings
from emotrace.training.stage_one import StageOneSettings, train_network
from emotrace.training.study import Study, claim
from emotrace.training.systems import hears_dialogues, load_system, save_system
from emotrace.training.train import train
from emotrace.types import FloatArray
from emotrace.writing import json_text, write_text

RESULT = "result.json"
BEGUN = "begun.txt"
SECONDS = "seconds.json"
PREDICTIONS = "predictions.safetensors"


@dataclass(frozen=True)
class SystemCell:
    """A system with a seed.

    Attributes:
        key: of the preset.
        settings: with the seed in them.
        folder: checkpoints, weights, predictions and the result.
        stage_one: of the face networks, where the system takes its regions from one.
        post_processing: steps that may be used.
        fold: of a cross-validation; None where there is none.
    """

    key: str
    settings: SystemSettings
    folder: Path
    stage_one: StageOneSettings
    post_processing: tuple[Step, ...] = STEPS
    fold: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.key}{fold}, seed {self.settings.seed}"

    def told(self) -> str:
        """Return what the result depends on, beside the study."""
        faces = self.stage_one.model_dump_json() if self.settings.faces == "improved-alexnet" else ""
        steps = "" if self.post_processing == STEPS else ", ".join(self.post_processing)
        defaults = {name for name in _ADDED_LATER if getattr(self.settings, name) == _default(name)} | _OF_MACHINES
        started = (self.settings.visual, self.settings.audio, self.settings.utterance)
        files = "".join(_digest_of(each.weights) for each in started)
        return f"{self.settings.model_dump_json(exclude=defaults)} {faces}{steps}{files}"


_ADDED_LATER = (
    *("scale", "visual", "audio", "form", "schedule", "prediction", "window_seconds"),
    *("polarity_weight", "metric_weight", "cross", "literal", "temperature"),
    *("alignment", "perception", "disentangling", "identity_weight", "score", "context_turns", "utterance"),
    *("supervision", "threshold", "pair_weight"),
)
"""Settings that came after the first cells were finished: at their default they spoil none."""


_OF_MACHINES = {"processes", "nodes"}
"""Settings that change no result: a stopped training goes on with other ones."""


def _default(name: str) -> object:
    return SystemSettings.model_fields[name].get_default(call_default_factory=True)


@cache
def _digest_of(weights: Path | None) -> str:
    return "" if weights is None else f" {file_sha256(weights)}"


@dataclass(frozen=True)
class FaceCell:
    """A face network of stage one with a dimension and a seed."""

    key: str
    dimension: Dimension
    seed: int
    settings: StageOneSettings
    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.key} for {self.dimension}, seed {self.seed}"

    def told(self) -> str:
        """Return what the result depends on, beside the study."""
        return f"{self.key} {self.dimension} {self.seed} {self.settings.model_dump_json()}"


Cell = SystemCell | FaceCell


def cell_origin(study: Study, cell: Cell) -> str:
    """Return a digest of everything that the result of a cell depends on."""
    told = f"{study.digest} {cell.told()}"
    if isinstance(cell, SystemCell) and hears_dialogues(cell.settings) and study.dialogues:
        told += f" {study.dialogues}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def is_done(study: Study, cell: Cell) -> bool:
    """Tell whether the cell's result is there.

    Raises:
        EmotraceError: the folder holds the result of other settings or of another corpus.
    """
    path = cell.folder / RESULT
    if not path.exists():
        return False
    if _read(path)["origin"] != cell_origin(study, cell):
        raise EmotraceError(
            f"{cell.folder} holds a result of other settings or of another corpus: choose another --output."
        )
    return True


def _read(path: Path) -> dict[str, Any]:
    with _read_whole(path):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"origin": found["origin"], "commit": found["commit"], "result": _with_nan(found["result"])}


@contextmanager
def _read_whole(path: Path) -> Iterator[None]:
    """Tell it where a result is not what was written there."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise EmotraceError(f"{path} is damaged: delete its folder, and the cell is run again.") from error


def run_cell(study: Study, cell: Cell) -> float:
    """Train and judge a cell that is not done; return the seconds it took."""
    if is_done(study, cell):
        return 0.0
    started = time.monotonic()
    # Checkpoints do not tell of which settings they are.
    claim(
        cell.folder / BEGUN,
        cell_origin(study, cell),
        EmotraceError(
            f"{cell.folder} holds a training of other settings or of another corpus: choose another --output."
        ),
    )
    result = _run_face(study, cell) if isinstance(cell, FaceCell) else _run_system(study, cell)
    told = {"origin": cell_origin(study, cell), "commit": commit(), "result": result}
    write_text(cell.folder / RESULT, json_text(told, indent=1) + "\n")
    return time.monotonic() - started


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_nan(each) for each in value]
    return math.nan if value is None else value


def _run_face(study: Study, cell: FaceCell) -> dict[str, Any]:
    return asdict(train_network(study, cell.settings, cell.key, cell.dimension, cell.seed, cell.folder))


def _run_system(study: Study, cell: SystemCell) -> dict[str, Any]:
    settings = cell.settings
    front_end, faces = settings.front_end, settings.faces
    started = time.monotonic()
    group = Group(settings.processes, settings.nodes)
    if group.world == 1:
        _train_system(study, cell)
    else:
        run_together(_train_together, (study, cell), group)
    seconds = _in_all(cell.folder, time.monotonic() - started)
    # What was saved is what is judged: a checkpoint that does not reload shows at once.
    held_out, test = (study.unmoved(study.items[role], front_end, faces) for role in ("validation", "test"))
    system = load_system(cell.folder).system
    if study.tells_classes:
        judgement = judge_classes(system, settings, test, study.tracks("train", front_end, faces))
    else:
        judgement = judge(system, settings, held_out, test, study.label_delay_ticks, cell.post_processing)
    kept = {f"{name}.answer": each for name, each in judgement.predictions.items()}
    kept |= {f"{name}.truth": each for name, each in judgement.truths.items()}
    write_arrays(cell.folder / PREDICTIONS, kept, cell_origin(study, cell))
    parameters = sum(each.numel() for each in system.parameters())
    return {
        "figures": dict(judgement.figures) | {"parameters": parameters, "seconds_training": seconds},
        "intervals": judgement.intervals,
        "curves": judgement.curves,
        "weight_points": judgement.weight_points,
        "confusion": judgement.confusion,
    }


def _train_together(study: Study, cell: SystemCell) -> None:
    """Train as one process of a group."""
    start_worker()
    _train_system(study, cell)


def _train_system(study: Study, cell: SystemCell) -> None:
    """Train a system and write it."""
    settings = cell.settings
    training, validation = (study.tracks(role, settings.front_end, settings.faces) for role in ("train", "validation"))
    system = train(training, validation, settings, cell.folder / "training", whole=study.tells_classes)
    if is_first_of_node():
        learnt = [item.name for role in ("train", "validation") for item in study.items[role]]
        save_system(cell.folder, system, settings, study.label_delay_ticks, learnt)


def _in_all(folder: Path, seconds: float) -> float:
    """Return the seconds of training with those before a stop, and keep them."""
    path = folder / SECONDS
    with _read_whole(path):
        before = float(json.loads(path.read_text())) if path.exists() else 0.0
    write_text(path, json.dumps(before + seconds))
    return before + seconds


def system_row(cell: SystemCell) -> Row:
    """Return the result of a finished cell."""
    path = cell.folder / RESULT
    found = _read(path)["result"]
    with _read_whole(path):
        return Row(
            system=cell.key,
            seed=cell.settings.seed,
            fold=cell.fold,
            figures={name: float(value) for name, value in found["figures"].items()},
            intervals={name: (float(low), float(high)) for name, (low, high) in found["intervals"].items()},
            curves={
                name: {int(share): (float(first), float(second)) for share, (first, second) in curve.items()}
                for name, curve in found["curves"].items()
            },
        )


def confusion(cell: SystemCell) -> list[list[int]]:
    """Return counts by true class (row) and told one of a finished cell; empty where the corpus has none."""
    path = cell.folder / RESULT
    found = _read(path)["result"]
    with _read_whole(path):
        return [[int(count) for count in row] for row in found["confusion"]]


def weight_points(cell: SystemCell) -> dict[str, list[tuple[float, float]]]:
    """Return what the voice should weigh and what it weighed, by kind of hardship."""
    path = cell.folder / RESULT
    found = _read(path)["result"]
    with _read_whole(path):
        points = found["weight_points"]
        return {kind: [(float(ideal), float(weight)) for ideal, weight in pairs] for kind, pairs in points.items()}


def face_row(cell: FaceCell) -> StageOneRow:
    """Return the result of a finished cell."""
    path = cell.folder / RESULT
    found = _read(path)["result"]
    with _read_whole(path):
        curves = {name: tuple(found[name]) for name in ("r2_curve", "rmse_curve")}
        return StageOneRow(**found | curves)


def predictions(cell: SystemCell) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return truth and answer of every test recording of a finished cell, each [T, 2]."""
    kept = read_arrays(cell.folder / PREDICTIONS)
    names = [name.removesuffix(".truth") for name in kept if name.endswith(".truth")]
    return {name: (kept[f"{name}.truth"], kept[f"{name}.answer"]) for name in names}


def commit_of(cell: Cell) -> str | None:
    """Return the commit at which a finished cell was judged."""
    found: str | None = _read(cell.folder / RESULT)["commit"]
    return found


def start_worker() -> None:
    """Prepare a worker process: one thread, as its neighbours have the other cores, and no talk between them.

    It ends with the process that started it, also where that is killed: two that train one cell would spoil it.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
