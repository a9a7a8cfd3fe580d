"""Levelled channels compute the same function with ranges that are closer together."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from emotrace.training.levelling import convolutions, level
from emotrace.types import FloatArray

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 1, 8, 8)).astype(np.float32)


def chain(*, between: str = "Relu") -> ModelProto:
    """Return two convolutions with something and a pooling between; the first one's channels differ in range."""
    loudness = np.array([0.01, 1, 20], dtype=np.float32)[:, None, None, None]
    tensors = {
        "w1": RNG.normal(size=(3, 1, 3, 3)) * loudness,
        "b1": loudness.ravel(),
        "w2": RNG.normal(size=(5, 3, 3, 3)),
        "b2": RNG.normal(size=5),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["first"]),
        helper.make_node(between, ["first"], ["bent"]),
        helper.make_node("MaxPool", ["bent"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pooled", "w2", "b2"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in ("first", "answer")],
        [numpy_helper.from_array(np.asarray(value, dtype=np.float32), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def answers(model: ModelProto) -> tuple[FloatArray, FloatArray]:
    first, answer = ReferenceEvaluator(model).run(None, {"images": IMAGES})
    return np.asarray(first), np.asarray(answer)


def greatest(model: ModelProto) -> dict[str, FloatArray]:
    first, answer = answers(model)
    return {"w1": first.max(axis=(0, 2, 3)), "w2": answer.max(axis=(0, 2, 3))}


def test_the_function_stays_and_the_channels_come_closer() -> None:
    model = chain()
    (first, answer), before = answers(model), greatest(model)["w1"]
    level(model, greatest(model))
    after = greatest(model)["w1"]
    np.testing.assert_allclose(answers(model)[1], answer, rtol=1e-4, atol=1e-4)
    assert not np.allclose(answers(model)[0], first)
    assert after.max() / after.min() < 0.5 * before.max() / before.min()


def test_a_silent_channel_stays_finite() -> None:
    model = chain()
    level(model, greatest(model) | {"w1": np.array([0, 1, 20], dtype=np.float32)})
    assert np.isfinite(answers(model)[1]).all()


def test_channels_stay_where_scale_is_not_kept() -> None:
    model = chain(between="Tanh")
    before = model.SerializeToString()
    level(model, greatest(model))
    assert model.SerializeToString() == before


def test_channels_stay_where_something_else_reads_them_too() -> None:
    model = chain()
    model.graph.node.append(helper.make_node("Neg", ["bent"], ["also"]))
    before = model.SerializeToString()
    level(model, greatest(model))
    assert model.SerializeToString() == before


def test_convolutions_that_share_weights_stand_together_in_order() -> None:
    model = chain()
    model.graph.node.append(helper.make_node("Conv", ["pooled", "w2", "b2"], ["again"]))
    assert {weight: [node.output[0] for node in nodes] for weight, nodes in convolutions(model).items()} == {
        "w1": ["first"],
        "w2": ["answer", "again"],
    }
