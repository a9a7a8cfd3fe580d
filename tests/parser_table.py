"""Every parser of ours in one table: how a valid file is made, and what reads it. A new parser is one more line.

`tests/test_parsers.py` and `benchmarks/fuzz.py` damage these files and watch what the readers make of them.
"""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow
import pyarrow.parquet

from emotrace.bundle import MANIFEST, load_bundle
from emotrace.corpora import affwild2, ave, class_folders, cremad, ferplus, folder, iemocap, nemo
from emotrace.corpora.arff import read_arff
from emotrace.corpora.feature_files import read_features
from emotrace.corpora.feature_rows import entries_in
from emotrace.corpora.label_table import read_table
from emotrace.corpora.recola_labels import labels_of
from emotrace.corpora.synthetic import read_truth
from emotrace.inference.graph_check import check_content
from emotrace.recipe import Recipe
from emotrace.timeline import Timeline
from emotrace.training import arrays, comparison_rows, settings
from emotrace.turns import read_turns
from emotrace.unpacking import unpack
from tests.app import tiny_bundle
from tests.corpora.miniature_acted import write_cremad, write_iemocap
from tests.corpora.miniature_ave import write_ave
from tests.corpora.miniature_features import write_features
from tests.corpora.miniature_open import write_affwild2, write_ekman6
from tests.corpora.test_recola import gold_text, ratings_text
from tests.corpora.trees import write_ferplus, write_nemo, write_sound
from tests.test_timeline import make_timeline

Target = Literal["bundle", "recipe", "labels", "features", "turns", "timeline", "others"]


@dataclass(frozen=True)
class Parser:
    """One of our parsers.

    Attributes:
        name: of the parser.
        target: of the fuzz run that it belongs to.
        make: writes a valid file, and what stands beside it, into an empty folder; returns its path.
        read: reads the file as the project does.
        is_text: whether a line may end as on other systems, and a mark of UTF-8 may stand first.
        opens_file: whether `read` lets the project open the file, and not the table.
    """

    name: str
    target: Target
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    is_text: bool = True
    opens_file: bool = True


def _file(name: str, content: str | bytes) -> Callable[[Path], Path]:
    data = content.encode() if isinstance(content, str) else content

    def write(place: Path) -> Path:
        (place / name).write_bytes(data)
        return place / name

    return write


def _in_tree(write: Callable[[Path], object], name: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        write(place)
        return place / name

    return make


def _recipe(path: Path) -> object:
    """Read a recipe as it comes: within a manifest, whose digest of the recipe is right where it is one."""
    manifest = path.parent / "tiny" / MANIFEST
    whole = manifest.read_bytes()
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        digest = Recipe.model_validate_json(text).digest()
    except ValueError:
        digest = "none"
    head = f'{{"recipe": {text}, "recipe_digest": "{digest}",'.encode()
    rest = (path.parent / "rest.json").read_bytes()
    manifest.write_bytes(head + rest)
    try:
        return load_bundle(manifest.parent)
    finally:
        manifest.write_bytes(whole)


def _make_recipe(place: Path) -> Path:
    tiny_bundle.write(place / "tiny")
    manifest = load_bundle(place / "tiny").manifest
    rest = manifest.model_dump_json(exclude={"recipe", "recipe_digest"})
    (place / "rest.json").write_text(rest[1:])
    return _file("recipe.json", Recipe().model_dump_json(indent=1))(place)


def _graph(path: Path) -> object:
    return check_content(path.name, path.read_bytes())


def _make_timeline(suffix: str, place: Path) -> Path:
    timeline = make_timeline(12)
    path = place / f"talk.{suffix}"
    timeline.to_json(path) if suffix == "json" else timeline.to_parquet(path)
    return path


def _written_again(timeline: Timeline, path: Path) -> object:
    """What was read can be told and written."""
    timeline.to_json(path.with_name("again.json"))
    timeline.to_csv(path.with_name("again.csv"))
    return timeline.summary()


def _ferplus_tree(place: Path) -> Path:
    write_ferplus(place, seeds={"FER2013Train": [1, 2], "FER2013Valid": [3], "FER2013Test": [4]})
    return place / "FER2013Train" / "label.csv"


def _make_recola(name: str, place: Path) -> Path:
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


def _own_labels(table: str, place: Path) -> Path:
    for name in "abcd":
        write_sound(place / f"{name}.wav", seconds=1.0)
    (place / "trace.csv").write_text("time,arousal_ann,valence_ann\n0,0.1,0.2\n0.5,0.2,1e-1\n1.0,-0.3,0.4\n")
    rows = "".join(f"{name}.wav,trace.csv,{'train' if name < 'c' else 'test'}\n" for name in "abcd")
    (place / "labels.csv").write_text(f"file,labels,split\n{rows}")
    return place / table


def _ekman6(path: Path) -> object:
    labels = {each.name.lower(): each.name for each in sorted(path.parent.iterdir()) if each.is_dir()}
    return class_folders.listed_splits(class_folders.class_files(path.parent, labels, "none"), path.parent, 1)


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, features=np.linspace(0, 1, 12).reshape(4, 3), time=np.arange(4) / 10)
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.linspace(0, 1, 6))
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Actor_01/a.wav", b"sound" * 100)
        archive.writestr("readme.txt", b"hello")
    return stream.getvalue()


def _make_parquet(place: Path) -> Path:
    table = pyarrow.table({"time": [0.0, 0.1, 0.2], "loudness": [0.5, 0.25, 0.125], "voiced": [True, False, True]})
    pyarrow.parquet.write_table(table, place / "a.parquet")
    return place / "a.parquet"


def _make_rows(place: Path) -> Path:
    figures = {"ccc_arousal": 0.5, "rmse": 1e-3}
    row = comparison_rows.Row("am-fbp", 1, figures, {"ccc_arousal": (0.4, 0.6)}, {}, 2)
    comparison_rows.write_csv([row, row], place / "results.csv")
    return place / "results.csv"


def _make_arrays(place: Path) -> Path:
    path = place / "a.safetensors"
    arrays.write_arrays(path, {"x": np.arange(6.0).reshape(2, 3), "y": np.zeros(0, np.int64)}, "a test")
    return path


def _arrays(path: Path) -> object:
    return arrays.origin_of(path), {name: array.sum() for name, array in arrays.read_arrays(path).items()}


_TURNS = 'start,end,speaker,note\n0.5,1.25,ann,"said, twice"\n1.5,3e0,Zo\u00eb,\n'
_RTTM = (
    "SPEAKER talk 1 0.50 0.75 <NA> <NA> ann <NA> <NA>\n;; a remark\nSPEAKER talk 1 1.5 1e0 <NA> <NA> bob <NA> <NA>\n"
)
_FEATURES = "\ufefftime;name;loudness;F0\n0,0;'x';0,5;120\n0,1;'x';;1e2\n0,2;'x';nan;-3\n"
_ARFF = (
    "% made by hand\n@relation 'a b'\n@attribute name string\n@attribute frameTime numeric\n"
    "@attribute mood {calm,'very angry'}\n@attribute F0 real\n@data\n"
    "'it\\'s',0.0,calm,?\n\"x\",0.04,'very angry',1e-3\n{1 0.08,3 -2}\n"
)
_OPENFACE = (
    "frame, face_id, timestamp, confidence, success, AU01_r\n1, 0, 0.000, 0.98, 1, 0.5\n2, 0, 0.033, 0.98, 0, 0\n"
)
_TRUTH = "time;arousal;valence;voice_reliability;face_reliability\n0.00;0.1;0.2;1;1\n0.04;0.1;-0.2;0.5;0\n"
_FACE_SETTINGS = (
    "epochs: 3\nbatch_size: 8\nlearning_rate: 1.0e-3\nweight_decay: 0.0\npatience: 2\naverage_decay: 0.9\n"
    "precision: 32-true\nnetwork: face-cnn\n"
)


def _unpack(path: Path) -> object:
    return unpack(path, path.parent / "out", max_bytes=2**20)


def _table(path: Path) -> object:
    columns, rows = read_table(path)
    return columns, list(rows)


PARSERS: tuple[Parser, ...] = (
    Parser(
        "bundle manifest",
        "bundle",
        _in_tree(tiny_bundle.write, MANIFEST),
        lambda path: load_bundle(path.parent),
        is_text=False,
    ),
    Parser(
        "manifest of a system",
        "bundle",
        _in_tree(tiny_bundle.write_for_turns, MANIFEST),
        lambda path: load_bundle(path),
        is_text=False,
    ),
    Parser("graph", "bundle", _in_tree(tiny_bundle.write, "fusion.onnx"), _graph, is_text=False, opens_file=False),
    Parser("recipe", "recipe", _make_recipe, _recipe, is_text=False, opens_file=False),
    Parser("turns", "turns", _file("turns.csv", _TURNS), read_turns),
    Parser("turns, RTTM", "turns", _file("turns.rttm", _RTTM), read_turns),
    Parser(
        "timeline, JSON",
        "timeline",
        partial(_make_timeline, "json"),
        lambda path: _written_again(Timeline.from_json(path), path),
        is_text=False,
    ),
    Parser(
        "timeline, Parquet",
        "timeline",
        partial(_make_timeline, "parquet"),
        lambda path: _written_again(Timeline.from_parquet(path), path),
        is_text=False,
    ),
    Parser("features, CSV", "features", _file("a.csv", _FEATURES), read_features),
    Parser("features, OpenFace", "features", _file("a.csv", _OPENFACE), read_features),
    Parser("features, npz", "features", _file("a.npz", _npz()), read_features, is_text=False),
    Parser("features, npy", "features", _file("a.npy", _npy()), read_features, is_text=False),
    Parser("features, Parquet", "features", _make_parquet, read_features, is_text=False),
    Parser("ARFF", "features", _file("a.arff", _ARFF), read_arff),
    Parser("label table", "labels", _file("labels.csv", _TURNS), _table),
    Parser("own labels", "labels", partial(_own_labels, "labels.csv"), lambda path: folder.read(path.parent, seed=1)),
    Parser("own trace", "labels", partial(_own_labels, "trace.csv"), lambda path: folder.read(path.parent, seed=1)),
    Parser(
        "labels of features", "labels", _in_tree(write_features, "labels.csv"), lambda path: entries_in(path.parent)
    ),
    Parser(
        "RECOLA, gold standard",
        "labels",
        partial(_make_recola, "ratings_gold_standard/arousal/train_1.arff"),
        lambda path: labels_of(path.parents[2], "train_1", "official"),
    ),
    Parser(
        "RECOLA, ratings",
        "labels",
        partial(_make_recola, "ratings_individual/valence/train_1.csv"),
        lambda path: labels_of(path.parents[2], "train_1", "centred"),
    ),
    Parser(
        "Aff-Wild2",
        "labels",
        _in_tree(write_affwild2, "VA_Set/Train_Set/1-30-1280x720.txt"),
        lambda path: affwild2.read(path.parents[2]),
    ),
    Parser(
        "AVE",
        "labels",
        _in_tree(partial(write_ave, clips=False), "trainSet.txt"),
        lambda path: ave.read(path.parent),
    ),
    Parser(
        "CREMA-D",
        "labels",
        _in_tree(partial(write_cremad, clips=False), "processedResults/tabulatedVotes.csv"),
        lambda path: cremad.read(path.parents[1]),
    ),
    Parser("FER+", "labels", _ferplus_tree, lambda path: ferplus.read(path.parents[1], "train")),
    Parser(
        "IEMOCAP",
        "labels",
        _in_tree(partial(write_iemocap, clips=False), "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"),
        lambda path: iemocap.read(path.parents[3]),
    ),
    Parser(
        "nEMO",
        "labels",
        _in_tree(partial(write_nemo, speakers=("ann", "bob", "cat", "dan")), "data.tsv"),
        lambda path: nemo.read(path.parent),
    ),
    Parser("lists of splits", "labels", _in_tree(partial(write_ekman6, lists=True), "trainlist01.txt"), _ekman6),
    Parser(
        "generated truth",
        "labels",
        lambda place: ((place / "truth").mkdir(), _file("test_1.csv", _TRUTH)(place / "truth"))[1],
        lambda path: read_truth(path.parents[1], "test_1"),
    ),
    Parser(
        "archive",
        "others",
        _file("a.zip", _zip()),
        lambda path: unpack(path, path.parent / "out", max_bytes=2**20),
        is_text=False,
    ),
    Parser("arrays", "others", _make_arrays, _arrays, is_text=False),
    Parser(
        "training settings",
        "others",
        _file("face.yaml", _FACE_SETTINGS),
        lambda path: settings.read(settings.FaceSettings, path),
    ),
    Parser("comparison rows", "others", _make_rows, comparison_rows.read_csv, is_text=False),
)
