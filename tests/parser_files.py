"""The files of `tests/parser_table.py`: what writes a valid one into an empty folder, and what reads one of several.

A maker takes the folder and returns the path; a reader takes the path, and what it needs beside the file is there.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from safetensors.torch import save_file
from torch import nn

from emotrace.app.ledger import open_ledger
from emotrace.bundle import MANIFEST, load_bundle
from emotrace.corpora import class_folders
from emotrace.corpora.label_table import read_table
from emotrace.features.cache import cached_features
from emotrace.inference.graph_check import check_content
from emotrace.recipe import Recipe
from emotrace.timeline import Timeline
from emotrace.training import arrays, comparison_rows
from emotrace.training.cells import SystemCell, commit_of, confusion, system_row, weight_points
from emotrace.training.presets import PRESETS
from emotrace.training.pretrained import load_pretrained
from emotrace.training.stage_one import StageOneSettings
from emotrace.training.systems import build, save_system, sizes_of
from emotrace.unpacking import unpack
from tests.app import tiny_bundle
from tests.corpora.test_recola import gold_text, ratings_text
from tests.corpora.trees import write_ferplus, write_sound
from tests.test_timeline import make_timeline
from tests.training.tracks import track

TURNS = 'start,end,speaker,note\n0.5,1.25,ann,"said, twice"\n1.5,3e0,Zo\u00eb,\n'
RTTM = "SPEAKER talk 1 0.50 0.75 <NA> <NA> ann <NA> <NA>\n;; a remark\nSPEAKER talk 1 1.5 1e0 <NA> <NA> bob <NA> <NA>\n"
FEATURES = "\ufefftime;name;loudness;F0\n0,0;'x';0,5;120\n0,1;'x';;1e2\n0,2;'x';nan;-3\n"
ARFF = (
    "% made by hand\n@relation 'a b'\n@attribute name string\n@attribute frameTime numeric\n"
    "@attribute mood {calm,'very angry'}\n@attribute F0 real\n@data\n"
    "'it\\'s',0.0,calm,?\n\"x\",0.04,'very angry',1e-3\n{1 0.08,3 -2}\n"
)
OPENFACE = (
    "frame, face_id, timestamp, confidence, success, AU01_r\n1, 0, 0.000, 0.98, 1, 0.5\n2, 0, 0.033, 0.98, 0, 0\n"
)
TRUTH = "time;arousal;valence;voice_reliability;face_reliability\n0.00;0.1;0.2;1;1\n0.04;0.1;-0.2;0.5;0\n"
FACE_SETTINGS = (
    "epochs: 3\nbatch_size: 8\nlearning_rate: 1.0e-3\nweight_decay: 0.0\npatience: 2\naverage_decay: 0.9\n"
    "precision: 32-true\nnetwork: face-cnn\n"
)
RESULT = (
    '{"origin": "a", "commit": null, "result": {"figures": {"ccc_arousal": 0.5, "beta_own": null},'
    ' "intervals": {"ccc_arousal": [0.4, null]}, "curves": {"missing face": {"0": [0.5, 0.25]}},'
    ' "weight_points": {"missing": [[0.5, 0.25]]}, "confusion": [[1, 0], [2, 3]]}}'
)
RECORD = f"{'0a' * 32}  a/b.wav\n{'1b' * 32}  names.csv\n"
RECORDINGS = 'Stimulus,Filename\n1,"1001_DFA_ANG_XX"\n2,1002_DFA_HAP_XX\n'
LEDGER = (
    '{"format":1,"source":"talk.mp4","target":"talk","content":null,"bundle":"b","emotrace":"0.1.0","wishes":"w",'
    '"asked":["talk.csv"],"sizes":{"talk.csv":3},"failure":"no sound"}\n'
)


def file_of(name: str, content: str | bytes) -> Callable[[Path], Path]:
    data = content.encode() if isinstance(content, str) else content

    def write(place: Path) -> Path:
        (place / name).write_bytes(data)
        return place / name

    return write


def in_tree(write: Callable[[Path], object], name: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        write(place)
        return place / name

    return make


def read_recipe(path: Path) -> object:
    """Read a recipe as it comes: within a manifest, whose digest of the recipe is right where it is one."""
    manifest = path.parent / "tiny" / MANIFEST
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        digest = Recipe.model_validate_json(text).digest()
    except ValueError:
        digest = "none"
    head = f'{{"recipe": {text}, "recipe_digest": "{digest}",'.encode()
    rest = (path.parent / "rest.json").read_bytes()
    manifest.unlink()
    manifest.write_bytes(head + rest)
    return load_bundle(manifest.parent)


def make_recipe(place: Path) -> Path:
    tiny_bundle.write(place / "tiny")
    manifest = load_bundle(place / "tiny").manifest
    rest = manifest.model_dump_json(exclude={"recipe", "recipe_digest"})
    (place / "rest.json").write_text(rest[1:])
    return file_of("recipe.json", Recipe().model_dump_json(indent=1))(place)


def read_graph(path: Path) -> None:
    check_content(path.name, path.read_bytes())


def make_timeline_file(suffix: str, place: Path) -> Path:
    timeline = make_timeline(12)
    path = place / f"talk.{suffix}"
    if suffix == "json":
        timeline.to_json(path)
    else:
        timeline.to_parquet(path)
    return path


def read_and_write(timeline: Timeline, path: Path) -> object:
    """What was read can be told and written."""
    timeline.to_json(path.with_name("again.json"))
    timeline.to_csv(path.with_name("again.csv"))
    return timeline.summary()


def make_ferplus(place: Path) -> Path:
    write_ferplus(place, seeds={"FER2013Train": [1, 2], "FER2013Valid": [3], "FER2013Test": [4]})
    return place / "FER2013Train" / "label.csv"


def make_truth(place: Path) -> Path:
    (place / "truth").mkdir()
    return file_of("test_1.csv", TRUTH)(place / "truth")


def make_recola(name: str, place: Path) -> Path:
    for dimension in ("arousal", "valence"):
        values = np.linspace(-0.5, 0.5, 6 * 6, dtype=np.float32).reshape(6, 6)
        for kind, suffix, text in (
            ("gold_standard", "arff", gold_text("train_1", values[0])),
            ("individual", "csv", ratings_text(values)),
        ):
            path = place / f"ratings_{kind}" / dimension / f"train_1.{suffix}"
            path.parent.mkdir(parents=True)
            path.write_text(text)
    return place / name


def make_own_labels(table: str, place: Path) -> Path:
    for name in "abcd":
        write_sound(place / f"{name}.wav", seconds=1.0)
    (place / "trace.csv").write_text("time,arousal_ann,valence_ann\n0,0.1,0.2\n0.5,0.2,1e-1\n1.0,-0.3,0.4\n")
    rows = "".join(f"{name}.wav,trace.csv,{'train' if name < 'c' else 'test'}\n" for name in "abcd")
    (place / "labels.csv").write_text(f"file,labels,split\n{rows}")
    return place / table


def read_ekman6(path: Path) -> object:
    labels = {each.name.lower(): each.name for each in sorted(path.parent.iterdir()) if each.is_dir()}
    return class_folders.listed_splits(class_folders.class_files(path.parent, labels, "none"), path.parent, 1)


def npz_bytes() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, features=np.linspace(0, 1, 12).reshape(4, 3), time=np.arange(4) / 10)
    return stream.getvalue()


def npy_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.linspace(0, 1, 6))
    return stream.getvalue()


def zip_bytes() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Actor_01/a.wav", b"sound" * 100)
        archive.writestr("readme.txt", b"hello")
    return stream.getvalue()


def make_parquet(place: Path) -> Path:
    table = pyarrow.table({"time": [0.0, 0.1, 0.2], "loudness": [0.5, 0.25, 0.125], "voiced": [True, False, True]})
    pyarrow.parquet.write_table(table, place / "a.parquet")
    return place / "a.parquet"


def make_rows(place: Path) -> Path:
    figures = {"ccc_arousal": 0.5, "rmse": 1e-3}
    row = comparison_rows.Row("am-fbp", 1, figures, {"ccc_arousal": (0.4, 0.6)}, {}, 2)
    comparison_rows.write_csv([row, row], place / "results.csv")
    return place / "results.csv"


def make_arrays(place: Path) -> Path:
    path = place / "a.safetensors"
    arrays.write_arrays(path, {"x": np.arange(6.0).reshape(2, 3), "y": np.zeros(0, np.int64)}, "a test")
    return path


def read_both(path: Path) -> object:
    return arrays.origin_of(path), {name: array.sum() for name, array in arrays.read_arrays(path).items()}


def read_archive(path: Path) -> object:
    return unpack(path, path.parent / "out", max_bytes=2**20)


def read_labels(path: Path) -> object:
    columns, rows = read_table(path)
    return columns, list(rows)


def make_cache(place: Path) -> Path:
    write_sound(place / "a.wav", seconds=0.3)
    cached_features(place / "a.wav", Recipe(), None, place / "cache")
    [path] = (place / "cache").rglob("*.npz")
    return path


def read_cache(path: Path) -> object:
    return cached_features(path.parents[2] / "a.wav", Recipe(), None, path.parents[1])


_CELL = SystemCell("kalman-fusion", PRESETS["kalman-fusion"].settings, Path(), StageOneSettings())


def read_result(path: Path) -> object:
    cell = replace(_CELL, folder=path.parent)
    return system_row(cell), confusion(cell), weight_points(cell), commit_of(cell)


def make_system(name: str, place: Path) -> Path:
    system = build(_CELL.settings, sizes_of(_CELL.settings, track()))
    save_system(place, system, _CELL.settings, 10, ["t0", "t1"])
    return place / name


def make_weights(name: str, place: Path) -> Path:
    state = nn.Linear(3, 2).state_dict()
    if name.endswith(".safetensors"):
        save_file(state, place / name)
    else:
        torch.save({"state_dict": state}, place / name)
    return place / name


def read_weights(path: Path) -> object:
    return load_pretrained(nn.Linear(3, 2), path, "a layer")


def read_ledger(path: Path) -> object:
    with open_ledger(path.parent, ["talk"]) as ledger:
        return ledger.last("talk")
