"""A bundle is taken whole and unchanged, or refused with a reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emotrace import bundle as bundles
from emotrace.bundle import CARD, DIALOGUE, MANIFEST, NETWORKS, SYSTEM, load_bundle, save_bundle
from emotrace.bundle_graphs import ClipGraph, FrameGraph
from emotrace.errors import BundleError
from emotrace.features.voice_input import input_shape
from emotrace.inference.session import Estimates, Session
from emotrace.inference.system_session import SystemSession, open_session
from emotrace.labels import EMOTIONS
from emotrace.recipe import AudioRecipe, Recipe
from emotrace.types import Features
from tests.app import tiny_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.write(tmp_path / "tiny")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_was_saved_is_loaded(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.manifest.name == "tiny"
    assert set(bundle.manifest.files) == {*NETWORKS, CARD}
    assert bundle.card == "# Tiny\n"
    assert load_bundle(folder / MANIFEST) == bundle
    assert load_bundle(str(folder)) == bundle


def test_a_changed_file_of_the_same_size_is_refused(folder: Path) -> None:
    content = bytearray((folder / "face.onnx").read_bytes())
    content[10] ^= 1
    (folder / "face.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"face\.onnx does not match its sha256"):
        load_bundle(folder).read("face.onnx")


def test_a_file_of_another_size_is_refused(folder: Path) -> None:
    (folder / "voice.onnx").write_bytes(b"short")
    with pytest.raises(BundleError, match=r"voice\.onnx has 5 bytes, expected \d+"):
        load_bundle(folder).read("voice.onnx")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "fusion.onnx").unlink()
    with pytest.raises(BundleError, match=r"fusion\.onnx is missing"):
        Session(load_bundle(folder))


def test_a_file_that_the_manifest_does_not_list_is_not_read(folder: Path) -> None:
    (folder / "extra.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"lists no file 'extra\.txt'"):
        load_bundle(folder).read("extra.txt")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "C:x"])
def test_a_name_that_leads_out_of_the_bundle_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda manifest: manifest["files"].update({name: manifest["files"][CARD]}))
    with pytest.raises(BundleError, match="only plain names inside the bundle"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(colour="red"), "colour is refused"),
        (lambda manifest: manifest.update(format=2), "format is refused"),
        (lambda manifest: manifest["recipe"].update(shine=1), "recipe.shine is refused"),
        (lambda manifest: manifest.update(name="../up"), "name is refused"),
        (lambda manifest: manifest["files"][CARD].update(bytes=10**12), "bytes is refused"),
        (lambda manifest: manifest["files"].pop("voice.onnx"), r"lists no file 'voice\.onnx'"),
        (lambda manifest: manifest.update(emotions=list(reversed(EMOTIONS))), "emotions are contempt, neutral"),
        (lambda manifest: manifest.update(voice_classes=["anger"]), "voice_classes are anger"),
        (lambda manifest: manifest["face_prior"].pop(), "face_prior has 7 entries, expected 8"),
        (lambda manifest: manifest["voice_prior"].append(0.1), "voice_prior has 10 entries, expected 9"),
        (lambda manifest: manifest.update(face_prior=[-1.0] * 8), "face_prior.0 is refused"),
        (lambda manifest: manifest["temperature"].update(face=0), "temperature.face is refused"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000], ids=str)
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match=r"bundle\.json: \(whole file\) is refused"):
        load_bundle(folder)


def test_a_manifest_of_absurd_size_is_not_read(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b" " * 1_000_001)
    with pytest.raises(BundleError, match="larger than 1000000 bytes"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["no-such-bundle", "nul\0byte", ""])
def test_a_bundle_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(BundleError, match="No bundle"):
        load_bundle(name)


def replace_network(folder: Path, name: str, content: bytes) -> None:
    """Save the bundle again with another network, so that its checksums are right."""
    bundle = load_bundle(folder)
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    save_bundle(folder, bundle.manifest, contents | {name: content})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damaged_network_is_refused(folder: Path, name: str) -> None:
    replace_network(folder, name, b"\x08\x09no graph")
    with pytest.raises(BundleError, match=f"{name} is no usable network"):
        Session(load_bundle(folder))


def test_a_network_with_other_inputs_is_refused(folder: Path) -> None:
    replace_network(folder, "face.onnx", load_bundle(folder).read("voice.onnx"))
    with pytest.raises(BundleError, match=r"face\.onnx has the inputs and outputs .*expected \('crops',\)"):
        Session(load_bundle(folder))


def test_the_digest_changes_with_the_content_and_only_with_it(folder: Path, tmp_path: Path) -> None:
    first = load_bundle(folder)
    again = load_bundle(tiny_bundle.write(tmp_path / "again"))
    assert again.digest == first.digest
    replace_network(folder, CARD, b"# Tiny!\n")
    assert load_bundle(folder).digest != first.digest


def test_saving_replaces_the_older_bundle_whole(folder: Path) -> None:
    (folder / "left-over.txt").write_text("of an older version")
    replace_network(folder, CARD, b"# New\n")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*NETWORKS, CARD, MANIFEST])
    assert load_bundle(folder).card == "# New\n"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_bundle_that_would_not_load_leaves_the_older_one(folder: Path) -> None:
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="lists no file"):
        save_bundle(folder, bundle.manifest, {"face.onnx": b"x"})
    assert load_bundle(folder) == bundle
    with pytest.raises(BundleError, match="only plain names"):
        save_bundle(folder, bundle.manifest, dict.fromkeys((*NETWORKS, CARD, "../out"), b"x"))
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_folder_of_other_files_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    bundle = load_bundle(folder)
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "one.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="is no bundle: it would be lost"):
        save_bundle(photographs, bundle.manifest, contents)
    assert (photographs / "one.jpg").read_bytes() == b"precious"
    (tmp_path / "empty").mkdir()
    assert save_bundle(tmp_path / "empty", bundle.manifest, contents).digest == bundle.digest


def test_a_folder_named_as_a_shipped_bundle_is_saved_where_it_was_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(folder)
    monkeypatch.chdir(tmp_path)
    saved = save_bundle(Path("default"), bundle.manifest, {name: bundle.read(name) for name in bundle.manifest.files})
    assert saved.folder == Path("default")
    assert saved.manifest.name == "tiny"


SLICES = Recipe(audio=AudioRecipe(front_end="log-mel", window_seconds=0.04, hop_seconds=0.04, pre_emphasis=0.0))
FRAMES = FrameGraph(
    inputs=("voice", "crops", "audio_valid"),
    classes=("anger", "joy"),
    step_ticks=5,
    heard=24,
    pictures=8,
    context_steps=299,
)
CLIPS = ClipGraph(
    inputs=("pictures", "sound"),
    classes=("anger", "joy"),
    step_ticks=20,
    window_ticks=75,
    picture_ticks=2,
    sampling=(12, 16, 16, 256),
)
TURNS = CLIPS.model_copy(update={"turns": 64, "vector_dim": 128})


def with_system(folder: Path, graph: FrameGraph | ClipGraph) -> None:
    """Make the bundle one of a system; its graph is never opened here."""
    tiny = load_bundle(folder)
    changes = {"system": graph, "recipe": SLICES, "recipe_digest": SLICES.digest()}
    contents = dict.fromkeys((SYSTEM, DIALOGUE, "face.onnx"), b"no graph") | {CARD: b"# Tiny"}
    save_bundle(folder, tiny.manifest.model_copy(update=changes), contents)


def edit_system(folder: Path, changes: dict[str, Any], video: dict[str, Any], audio: dict[str, Any]) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["system"].update(changes)
        manifest["recipe"]["video"].update(video)
        manifest["recipe"]["audio"].update(audio)
        manifest["recipe_digest"] = Recipe.model_validate(manifest["recipe"]).digest()

    edit(folder, change)


@pytest.mark.parametrize("graph", [FRAMES, CLIPS, TURNS], ids=["frame", "clip", "turns"])
def test_a_system_of_usual_sizes_is_taken(folder: Path, graph: FrameGraph | ClipGraph) -> None:
    with_system(folder, graph)
    assert load_bundle(folder).manifest.system == graph


DESCRIPTORS = {"front_end": "descriptors", "window_seconds": 3.0}


@pytest.mark.parametrize(
    ("graph", "changes", "video", "audio", "message"),
    [
        (CLIPS, {"sampling": [4096, 4096, 1, 1]}, {}, {}, "16,777,216 pictures of a window, allowed are 20,000"),
        (CLIPS, {"sampling": [1, 1, 4096, 4096]}, {}, {}, "16,777,216 frames of sound of a window, allowed"),
        (CLIPS, {"window_ticks": 100_000}, {}, {}, "4,001 seconds of history, allowed are 600"),
        (CLIPS, {"window_ticks": 9_000, "step_ticks": 9_000}, {}, {}, "720 seconds of history"),
        (CLIPS, {}, {"crop_size": 512}, {}, "pixels at once at a crop_size of 512"),
        (CLIPS, {"sampling": [1, 1, 1, 1]}, {"crop_size": 512, "rate_hz": 120}, {}, "pixels of history at a crop_size"),
        (FRAMES, {"context_steps": 10_000, "step_ticks": 1000}, {}, {}, "400,041 seconds of history"),
        (FRAMES, {"context_steps": 2_000, "pictures": 100, "step_ticks": 1}, {}, {}, "pixels at once"),
        (
            FRAMES,
            {"context_steps": 0, "pictures": 1, "step_ticks": 1000, "heard": 1000},
            {"crop_size": 512},
            {},
            "history",
        ),
        (FRAMES, {"context_steps": 3_000, "heard": 1000, "step_ticks": 1, "pictures": 1}, {}, {}, "frames of sound at"),
        (
            TURNS,
            {"turns": 1000, "vector_dim": 2_501},
            {},
            {},
            "20,008,000 numbers of turns at once, allowed",
        ),
        (TURNS, {"vector_dim": 0}, {}, {}, "hears 64 turns by vectors of 0 numbers; expected both above 0, or both 0"),
        (TURNS, {"turns": 0}, {}, {}, "hears 0 turns by vectors of 128 numbers"),
        (CLIPS, {"explains": ["segments", "segments"]}, {}, {}, "explains segments, segments; expected each once"),
        (CLIPS, {"inputs": []}, {}, {}, "inputs are none; expected each once, one at least"),
        (FRAMES, {"inputs": []}, {}, {}, "inputs are none"),
        (CLIPS, {"inputs": ["sound", "sound"]}, {}, {}, "inputs are sound, sound"),
        (CLIPS, {"inputs": ["pictures", "regions"]}, {}, {}, "regions or pictures, not both"),
        (FRAMES, {"inputs": ["crops", "regions"]}, {}, {}, "regions or pictures, not both"),
        (CLIPS, {"classes": ["joy", "joy"]}, {}, {}, "a class of the system is told twice"),
        (CLIPS, {"classes": ["joy", "a" * 41]}, {}, {}, "expected plain text of 1 to 40 letters"),
        (FRAMES, {"classes": ["joy", "red\x1b[31m"]}, {}, {}, r"named 'red\\x1b\[31m'; expected plain text"),
        (FRAMES, {"classes": ["joy", " "]}, {}, {}, "expected plain text"),
        (CLIPS, {}, {}, DESCRIPTORS, "front end is descriptors; expected one of log-mel, log-spectrogram"),
        (FRAMES, {}, {}, DESCRIPTORS, "front end is descriptors; expected"),
        (
            CLIPS,
            {},
            {},
            {"window_seconds": 0.4, "hop_seconds": 0.4},
            r"slices of 0\.4 s, expected one per tick, 0\.04 s",
        ),
    ],
)
def test_a_system_that_cannot_be_run_in_bounded_memory_is_refused(
    folder: Path,
    graph: FrameGraph | ClipGraph,
    changes: dict[str, Any],
    video: dict[str, Any],
    audio: dict[str, Any],
    message: str,
) -> None:
    with_system(folder, graph)
    edit_system(folder, changes, video, audio)
    with pytest.raises(BundleError, match=f"{message}.*export"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [{"explains": ["turns"]}, {"explains": ["secret"]}, {"turns": -1}, {"turns": 1001}, {"vector_dim": 100_001}],
)
def test_what_no_system_shows_or_hears_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    with_system(folder, TURNS)
    edit_system(folder, changes, {}, {})
    with pytest.raises(BundleError, match=rf"system\.clip\.{next(iter(changes))}\S* is refused"):
        load_bundle(folder)


def test_a_system_that_hears_turns_needs_the_graph_that_does(folder: Path) -> None:
    with_system(folder, TURNS)
    edit(folder, lambda manifest: manifest["files"].pop(DIALOGUE))
    with pytest.raises(BundleError, match=r"lists no file 'dialogue\.onnx'"):
        load_bundle(folder)
    edit_system(folder, {"turns": 0, "vector_dim": 0}, {}, {})
    assert load_bundle(folder).manifest.networks == (SYSTEM,)


def test_a_missing_graph_of_turns_is_named(folder: Path) -> None:
    tiny_bundle.write_for_turns(folder)
    (folder / DIALOGUE).unlink()
    with pytest.raises(BundleError, match=r"dialogue\.onnx is missing"):
        SystemSession(load_bundle(folder))


@pytest.mark.parametrize("name", [SYSTEM, DIALOGUE])
def test_a_damaged_graph_of_a_system_is_refused(folder: Path, name: str) -> None:
    tiny_bundle.write_for_turns(folder)
    replace_network(folder, name, b"\x08\x09no graph")
    with pytest.raises(BundleError, match=f"{name} is no usable network"):
        SystemSession(load_bundle(folder))


def test_a_voice_of_any_front_end_is_taken_one_at_a_time(folder: Path) -> None:
    with_system(folder, FRAMES)
    edit_system(folder, {"heard": 1}, {}, DESCRIPTORS)
    assert load_bundle(folder).manifest.system == FRAMES.model_copy(update={"heard": 1})


def test_a_graph_of_the_largest_published_system_is_listed(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"]["fusion.onnx"].update(bytes=132_000_000 * 4))
    assert load_bundle(folder).manifest.files["fusion.onnx"].bytes == 528_000_000


def test_a_file_that_is_too_large_is_refused_in_plain_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_FILE_BYTES", 1_000)
    with pytest.raises(BundleError, match=r"fusion\.onnx has 1,001 bytes, a bundle's files may have 1,000"):
        replace_network(folder, "fusion.onnx", bytes(1_001))
    assert len(load_bundle(folder).read("fusion.onnx")) != 1_001


def with_network(folder: Path, name: str, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change a network, and save the bundle again so that its checksums are right."""
    model = onnx.load_from_string(load_bundle(folder).read(name))
    change(model)
    replace_network(folder, name, model.SerializeToString())


def before(model: onnx.ModelProto, output: str, *nodes: onnx.NodeProto) -> None:
    """Put nodes between an output, whose name becomes "before", and the world; the last of them gives the output."""
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    model.graph.node.extend(nodes)


def constant(model: onnx.ModelProto, name: str, values: object, kind: type[np.generic] = np.float32) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))


def of_other_domain(model: onnx.ModelProto) -> None:
    before(model, "arousal_valence", helper.make_node("Hack", ["before"], ["arousal_valence"], domain="evil"))
    model.opset_import.append(helper.make_opsetid("evil", 1))


def of_microsoft(model: onnx.ModelProto) -> None:
    before(model, "arousal_valence", helper.make_node("Gelu", ["before"], ["arousal_valence"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def unknown_operator(model: onnx.ModelProto) -> None:
    before(model, "arousal_valence", helper.make_node("Frobnicate", ["before"], ["arousal_valence"]))


def looping(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["still"]), helper.make_node("Neg", ["given"], ["turned"])],
        "body",
        [value("count", TensorProto.INT64, []), value("goes_on", TensorProto.BOOL, []), value("given", 1, None)],
        [value("still", TensorProto.BOOL, []), value("turned", 1, None)],
    )
    constant(model, "trips", 2**62, np.int64)
    constant(model, "goes", True, np.bool_)
    node = helper.make_node("Loop", ["trips", "goes", "before"], ["arousal_valence"], body=body)
    before(model, "arousal_valence", node)


def over_an_axis(inner: bool) -> Callable[[onnx.ModelProto], None]:
    """A loop that runs once for each tick and changes nothing, or does so within another."""

    def change(model: onnx.ModelProto) -> None:
        value = helper.make_tensor_value_info

        def body(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
            return helper.make_graph(
                [helper.make_node("Identity", [f"goes{name}"], [f"still{name}"]), *nodes],
                f"body{name}",
                [
                    value(f"count{name}", TensorProto.INT64, []),
                    value(f"goes{name}", TensorProto.BOOL, []),
                    value(f"given{name}", 1, None),
                ],
                [value(f"still{name}", TensorProto.BOOL, []), value(f"same{name}", 1, None)],
            )

        work = helper.make_node("Identity", ["given"], ["same"])
        if inner:
            deeper = body("_too", helper.make_node("Identity", ["given_too"], ["same_too"]))
            work = helper.make_node("Loop", ["ticks", "goes_on", "given"], ["same"], body=deeper)
        constant(model, "second", 1, np.int64)
        constant(model, "goes_on", True, np.bool_)
        loop = helper.make_node("Loop", ["ticks", "goes_on", "before"], ["arousal_valence"], body=body("", work))
        before(model, "arousal_valence", loop)
        lengths = [helper.make_node("Shape", ["audio"], ["lengths"])]
        lengths.append(helper.make_node("Gather", ["lengths", "second"], ["ticks"]))
        for node in reversed(lengths):
            model.graph.node.insert(0, node)

    return change


def branching_without_end(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("Neg", ["before"], ["a"])], "deep", [], [value("a", 1, None)])
    for _ in range(12):
        node = helper.make_node("If", ["goes"], ["a"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "deep", [], [value("a", 1, None)])
    constant(model, "goes", True, np.bool_)
    node = helper.make_node("If", ["goes"], ["arousal_valence"], then_branch=graph, else_branch=graph)
    before(model, "arousal_valence", node)


def with_functions(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Neg", ["a"], ["b"])]
    model.functions.append(helper.make_function("", "Twice", ["a"], ["b"], nodes, list(model.opset_import)))


def reading(location: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="stolen", data_type=1, dims=[2], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        model.graph.initializer.append(tensor)
        before(model, "arousal_valence", helper.make_node("Add", ["before", "stolen"], ["arousal_valence"]))

    return change


def declaring(*dims: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(TensorProto(name="huge", data_type=1, dims=dims))
        before(model, "arousal_valence", helper.make_node("Add", ["before", "huge"], ["arousal_valence"]))

    return change


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "dense")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [10**6, 10**6]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_other_domain, "holds the operator 'Hack' of the domain 'evil'"),
        (of_microsoft, "holds the operator 'Gelu' of the domain 'com.microsoft'"),
        (unknown_operator, "is no usable network: .*Frobnicate"),
        (looping, "holds the operator 'Loop', which may run a graph without an end"),
        (over_an_axis(True), "holds the operator 'Loop', which may run a graph without an end"),
        (branching_without_end, "holds more than 8 branches within each other"),
        (with_functions, "holds functions of its own"),
        (reading("../../etc/passwd"), "names another file that holds its numbers"),
        (reading("/etc/passwd"), "names another file that holds its numbers"),
        (reading("weights.bin"), "names another file that holds its numbers"),
        (declaring(10**6, 10**6), "declares a tensor of 1000000 x 1000000 numbers, more than the file can hold"),
        (declaring(-5), "declares a tensor of 18446744073709551611 numbers"),
        (declaring(*[2] * 10_000), "declares a tensor of 2 x 2 x"),
        (sparse, "holds a sparse tensor"),
    ],
)
def test_a_network_that_could_run_without_bounds_or_read_files_is_refused(
    folder: Path, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    with_network(folder, "fusion.onnx", change)
    with pytest.raises(BundleError, match=rf"fusion\.onnx {message}"):
        open_session(load_bundle(folder))


def test_a_branch_is_no_loop_and_is_run(folder: Path) -> None:
    def branching(model: onnx.ModelProto) -> None:
        told = helper.make_tensor_value_info("a", 1, None)
        graph = helper.make_graph([helper.make_node("Identity", ["before"], ["a"])], "same", [], [told])
        constant(model, "goes", True, np.bool_)
        node = helper.make_node("If", ["goes"], ["arousal_valence"], then_branch=graph, else_branch=graph)
        before(model, "arousal_valence", node)

    expected = say(folder).arousal
    with_network(folder, "fusion.onnx", branching)
    np.testing.assert_array_equal(say(folder).arousal, expected)


def test_a_loop_over_the_ticks_has_an_end_and_is_run(folder: Path) -> None:
    expected = say(folder).arousal
    with_network(folder, "fusion.onnx", over_an_axis(False))
    np.testing.assert_array_equal(say(folder).arousal, expected)


def say(folder: Path) -> Estimates:
    """Return what the bundle says of some voice and no face."""
    ticks = 50
    features = Features(
        times=np.arange(ticks) / 25,
        voice_inputs=np.ones((5, *input_shape(Recipe().audio)), dtype=np.float32),
        voice_index=np.arange(ticks) // 10,
        voice_valid=np.arange(ticks) >= 10,
        speech=np.ones(ticks, dtype=bool),
        speech_energy=np.ones(ticks, dtype=np.float32),
        face_crops=np.zeros((0, 48, 48), dtype=np.uint8),
        face_index=np.full(ticks, -1),
        face_detected=np.zeros(ticks, dtype=bool),
        face_confidence=np.full(ticks, np.nan, dtype=np.float32),
        face_box=np.full((ticks, 4), np.nan, dtype=np.float32),
        person=np.zeros(ticks, dtype=np.int64),
    )
    session = open_session(load_bundle(folder))
    assert isinstance(session, Session)
    return session.run(features, session.initial_state())[0]


def growing(model: onnx.ModelProto) -> None:
    constant(model, "sizes", [10**7, 10**6, 2], np.int64)
    before(model, "arousal_valence", helper.make_node("Expand", ["before", "sizes"], ["arousal_valence"]))


def times(value: float, output: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        constant(model, "factor", value)
        before(model, output, helper.make_node("Mul", ["before", "factor"], [output]))

    return change


def doubled(output: str, axis: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        before(model, output, helper.make_node("Concat", ["before", "before"], [output], axis=axis))
        [told] = [each for each in model.graph.output if each.name == output]
        told.CopyFrom(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("fusion.onnx", growing, r"does not fit the bundle"),
        ("fusion.onnx", times(np.nan, "arousal_valence"), "answers with arousal_valence that is no finite number"),
        ("fusion.onnx", times(np.nan, "emotion_logits"), "answers with emotion_logits that is no finite number"),
        ("fusion.onnx", times(np.inf, "emotion_logits"), "answers with emotion_logits that is no finite number"),
        ("fusion.onnx", times(np.inf, "audio_weight"), "answers with audio_weight that is no finite number"),
        ("fusion.onnx", doubled("arousal_valence", 2), r"answers with arousal_valence of shape \(1, 50, 4\)"),
        ("fusion.onnx", doubled("emotion_logits", 1), r"answers with emotion_logits of shape \(1, 100, 8\)"),
        ("fusion.onnx", doubled("audio_weight", 0), r"answers with audio_weight of shape \(2, 50\)"),
        ("fusion.onnx", doubled("next_hidden", 1), r"answers with next_hidden of shape \(1, 10\)"),
        ("voice.onnx", doubled("features", 0), r"answers with features of shape \(10, 3\)"),
        ("voice.onnx", doubled("features", 1), "does not fit the bundle"),
        ("face.onnx", doubled("logits", 0), r"answers with logits of shape \(2, 8\)"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_network_that_answers_otherwise_than_it_should_is_refused(
    folder: Path, name: str, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    with_network(folder, name, change)
    with pytest.raises(BundleError, match=rf"(fusion|{name.removesuffix('.onnx')})\.onnx {message}"):
        say(folder)


def test_a_network_that_answers_with_other_types_is_refused(folder: Path) -> None:
    def doubles(model: onnx.ModelProto) -> None:
        before(model, "audio_weight", helper.make_node("Cast", ["before"], ["audio_weight"], to=TensorProto.DOUBLE))
        [told] = [each for each in model.graph.output if each.name == "audio_weight"]
        told.type.tensor_type.elem_type = TensorProto.DOUBLE

    with_network(folder, "fusion.onnx", doubles)
    with pytest.raises(BundleError, match=r"audio_weight of type tensor\(double\), expected tensor\(float\)"):
        open_session(load_bundle(folder))


@pytest.mark.parametrize(
    "content", [b"", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x3a\x05abc", b"\x80" * 30]
)
def test_a_network_of_nonsense_is_refused(folder: Path, content: bytes) -> None:
    replace_network(folder, "voice.onnx", content)
    with pytest.raises(BundleError, match=r"voice\.onnx (is no usable network|has the inputs and outputs)"):
        open_session(load_bundle(folder))


def test_a_network_of_endless_parts_is_refused_soon(folder: Path) -> None:
    replace_network(folder, "voice.onnx", b"\x3a\xc0\x9a\x0c" + b"\x0a\x00" * 100_000 + b"\x08\x01" * 3_000_000)
    with pytest.raises(BundleError, match=r"voice\.onnx is no usable network: more than 2,000,000 fields"):
        open_session(load_bundle(folder))


@pytest.mark.parametrize("name", [*NETWORKS, CARD, MANIFEST])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    outside = (folder / name).rename(tmp_path / "outside" / name)
    (folder / name).symlink_to(outside)
    with pytest.raises(BundleError, match=f"{name} is a link that leads out of the bundle"):
        load_bundle(folder).read(name)


def test_a_bundle_behind_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert load_bundle(tmp_path / "link").card == "# Tiny\n"


def test_a_link_that_leads_to_itself_is_refused(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / CARD).symlink_to(folder / CARD)
    with pytest.raises(BundleError, match=f"{CARD} is missing"):
        load_bundle(folder).read(CARD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"name"', '"name": "other", "name"', "the key 'name' stands twice"),
        ('"crop_size"', '"crop_size": 48, "crop_size"', "the key 'crop_size' stands twice"),
        ('"settings": {}', '"settings": {"a": ' + "[" * 5000 + "]" * 5000 + "}", "is refused"),
        ('"settings": {}', '"settings": {"a": ' + "9" * 5000 + "}", "is refused: .*number out of range"),
        ('"scale": 1.03', '"scale": NaN', "haar_geometry.scale is refused"),
        ('"scale": 1.03', '"scale": 1e999', "haar_geometry.scale is refused"),
        ('"metrics": {}', '"metrics": {"a": Infinity}', "metrics.a is refused"),
        ('"label_rate_hz": 25.0', '"label_rate_hz": NaN', "label_rate_hz is refused"),
        ('"format": 1', '"format": 1, "\\u001b[31m' + "x" * 3000 + '": 1', r"x\w*(\S*) is refused"),
    ],
)
def test_a_manifest_that_says_it_oddly_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    text = (folder / MANIFEST).read_text()
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError, match=message) as refused:
        load_bundle(folder)
    assert len(str(refused.value)) < 1500
    assert str(refused.value).isprintable()


def test_a_name_that_no_folder_can_have_is_no_bundle() -> None:
    with pytest.raises(BundleError, match="No bundle"):
        load_bundle("x" * 5000)


def test_a_card_of_other_bytes_than_text_is_shown_as_far_as_it_goes(folder: Path) -> None:
    replace_network(folder, CARD, b"\xff# Tiny")
    assert load_bundle(folder).card.endswith("# Tiny")
