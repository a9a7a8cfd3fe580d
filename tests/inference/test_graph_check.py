"""Networks of strangers: what could run without bounds, read files or answer nonsense is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emotrace.bundle import NETWORKS, load_bundle
from emotrace.errors import BundleError
from emotrace.features.voice_input import input_shape
from emotrace.inference.session import Estimates, Session
from emotrace.inference.system_session import open_session
from emotrace.recipe import Recipe
from emotrace.types import Features
from tests.app import tiny_bundle
from tests.bundle_changes import replace_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.write(tmp_path / "tiny")


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


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damaged_network_is_refused(folder: Path, name: str) -> None:
    replace_network(folder, name, b"\x08\x09no graph")
    with pytest.raises(BundleError, match=f"{name} is no usable network"):
        Session(load_bundle(folder))


def test_a_network_with_other_inputs_is_refused(folder: Path) -> None:
    replace_network(folder, "face.onnx", load_bundle(folder).read("voice.onnx"))
    with pytest.raises(BundleError, match=r"face\.onnx has the inputs and outputs .*expected \('crops',\)"):
        Session(load_bundle(folder))
