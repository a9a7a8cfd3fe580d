"""Every parser of ours in one table: how a valid file is made, and what reads it. A new parser is one more line.

`tests/test_parsers.py` and `benchmarks/fuzz.py` damage these files and watch what the readers make of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from emotrace.app.ledger import NAME
from emotrace.bundle import MANIFEST, load_bundle
from emotrace.corpora import affwild2, ave, cremad, ferplus, folder, iemocap, nemo
from emotrace.corpora.arff import read_arff
from emotrace.corpora.feature_files import read_features
from emotrace.corpora.feature_rows import entries_in
from emotrace.corpora.recola_labels import labels_of
from emotrace.corpora.synthetic import read_truth
from emotrace.corpus_download import download, names_in
from emotrace.timeline import Timeline
from emotrace.training import comparison_rows, settings
from emotrace.training.systems import load_system
from emotrace.turns import read_turns
from tests import parser_files as files
from tests.app import tiny_bundle
from tests.corpora.miniature_acted import write_cremad, write_iemocap
from tests.corpora.miniature_ave import write_ave
from tests.corpora.miniature_features import write_features
from tests.corpora.miniature_open import write_affwild2, write_ekman6
from tests.corpora.trees import write_nemo

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
        is_costly: whether a reading takes tens of milliseconds, as media or weights stand beside the file.
    """

    name: str
    target: Target
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    is_text: bool = True
    opens_file: bool = True
    is_costly: bool = False


PARSERS: tuple[Parser, ...] = (
    Parser(
        "bundle manifest",
        "bundle",
        files.in_tree(tiny_bundle.write, MANIFEST),
        lambda path: load_bundle(path.parent),
        is_text=False,
    ),
    Parser(
        "manifest of a system",
        "bundle",
        files.in_tree(tiny_bundle.write_for_turns, MANIFEST),
        lambda path: load_bundle(path),
        is_text=False,
    ),
    Parser(
        "graph",
        "bundle",
        files.in_tree(tiny_bundle.write, "fusion.onnx"),
        files.read_graph,
        is_text=False,
        opens_file=False,
    ),
    Parser("recipe", "recipe", files.make_recipe, files.read_recipe, is_text=False, opens_file=False),
    Parser("turns", "turns", files.file_of("turns.csv", files.TURNS), read_turns),
    Parser("turns, RTTM", "turns", files.file_of("turns.rttm", files.RTTM), read_turns),
    Parser(
        "timeline, JSON",
        "timeline",
        partial(files.make_timeline_file, "json"),
        lambda path: files.read_and_write(Timeline.from_json(path), path),
        is_text=False,
    ),
    Parser(
        "timeline, Parquet",
        "timeline",
        partial(files.make_timeline_file, "parquet"),
        lambda path: files.read_and_write(Timeline.from_parquet(path), path),
        is_text=False,
    ),
    Parser("features, CSV", "features", files.file_of("a.csv", files.FEATURES), read_features),
    Parser("features, OpenFace", "features", files.file_of("a.csv", files.OPENFACE), read_features),
    Parser("features, npz", "features", files.file_of("a.npz", files.npz_bytes()), read_features, is_text=False),
    Parser("features, npy", "features", files.file_of("a.npy", files.npy_bytes()), read_features, is_text=False),
    Parser("features, Parquet", "features", files.make_parquet, read_features, is_text=False),
    Parser("ARFF", "features", files.file_of("a.arff", files.ARFF), read_arff),
    Parser("label table", "labels", files.file_of("labels.csv", files.TURNS), files.read_labels),
    Parser(
        "own labels",
        "labels",
        partial(files.make_own_labels, "labels.csv"),
        lambda path: folder.read(path.parent, seed=1),
        is_costly=True,
    ),
    Parser(
        "own trace",
        "labels",
        partial(files.make_own_labels, "trace.csv"),
        lambda path: folder.read(path.parent, seed=1),
        is_costly=True,
    ),
    Parser(
        "labels of features",
        "labels",
        files.in_tree(write_features, "labels.csv"),
        lambda path: entries_in(path.parent),
    ),
    Parser(
        "RECOLA, gold standard",
        "labels",
        partial(files.make_recola, "ratings_gold_standard/arousal/train_1.arff"),
        lambda path: labels_of(path.parents[2], "train_1", "official"),
        is_costly=True,
    ),
    Parser(
        "RECOLA, ratings",
        "labels",
        partial(files.make_recola, "ratings_individual/valence/train_1.csv"),
        lambda path: labels_of(path.parents[2], "train_1", "centred"),
        is_costly=True,
    ),
    Parser(
        "Aff-Wild2",
        "labels",
        files.in_tree(write_affwild2, "VA_Set/Train_Set/1-30-1280x720.txt"),
        lambda path: affwild2.read(path.parents[2]),
        is_costly=True,
    ),
    Parser(
        "AVE",
        "labels",
        files.in_tree(partial(write_ave, clips=False), "trainSet.txt"),
        lambda path: ave.read(path.parent),
    ),
    Parser(
        "CREMA-D",
        "labels",
        files.in_tree(partial(write_cremad, clips=False), "processedResults/tabulatedVotes.csv"),
        lambda path: cremad.read(path.parents[1]),
    ),
    Parser("FER+", "labels", files.make_ferplus, lambda path: ferplus.read(path.parents[1], "train")),
    Parser(
        "IEMOCAP",
        "labels",
        files.in_tree(partial(write_iemocap, clips=False), "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"),
        lambda path: iemocap.read(path.parents[3]),
    ),
    Parser(
        "nEMO",
        "labels",
        files.in_tree(partial(write_nemo, speakers=("ann", "bob", "cat", "dan")), "data.tsv"),
        lambda path: nemo.read(path.parent),
    ),
    Parser(
        "lists of splits",
        "labels",
        files.in_tree(partial(write_ekman6, lists=True), "trainlist01.txt"),
        files.read_ekman6,
    ),
    Parser(
        "generated truth",
        "labels",
        files.make_truth,
        lambda path: read_truth(path.parents[1], "test_1"),
    ),
    Parser(
        "archive",
        "others",
        files.file_of("a.zip", files.zip_bytes()),
        files.read_archive,
        is_text=False,
    ),
    Parser("arrays", "others", files.make_arrays, files.read_both, is_text=False),
    Parser(
        "training settings",
        "others",
        files.file_of("face.yaml", files.FACE_SETTINGS),
        lambda path: settings.read(settings.FaceSettings, path),
    ),
    Parser("cache of features", "features", files.make_cache, files.read_cache, is_text=False, is_costly=True),
    Parser("result of a cell", "others", files.file_of("result.json", files.RESULT), files.read_result, is_text=False),
    Parser(
        "system",
        "others",
        partial(files.make_system, "system.json"),
        lambda path: load_system(path.parent),
        is_text=False,
        is_costly=True,
    ),
    Parser(
        "weights of a system",
        "others",
        partial(files.make_system, "weights.safetensors"),
        lambda path: load_system(path.parent),
        is_text=False,
        is_costly=True,
    ),
    Parser(
        "weights to start from",
        "others",
        partial(files.make_weights, "a.safetensors"),
        files.read_weights,
        is_text=False,
    ),
    Parser(
        "weights to start from, torch",
        "others",
        partial(files.make_weights, "a.pt"),
        files.read_weights,
        is_text=False,
    ),
    Parser(
        "record of a download",
        "others",
        files.file_of("sha256.txt", files.RECORD),
        lambda path: download((), path.parent),
    ),
    Parser("list of recordings", "others", files.file_of("names.csv", files.RECORDINGS), names_in),
    Parser("ledger", "others", files.file_of(NAME, files.LEDGER), files.read_ledger),
    Parser("comparison rows", "others", files.make_rows, comparison_rows.read_csv, is_text=False),
)
