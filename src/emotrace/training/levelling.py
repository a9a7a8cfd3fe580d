"""A graph of convolutions -> the same function, its channels of like range, so that 8-bit integers fit all of them.

Cross-layer equalisation (M. Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019, section 4.1). As here the weights have one scale for each output channel and the activations one for each
tensor, a channel's activations are weighed against the next convolution's weights that read it.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from emotrace.types import FloatArray

_KEEP_SCALE = ("Relu", "MaxPool")
"""Of these, a channel times a positive number gives the output times that number."""
_LEAST = 1e-3
"""Of the greatest range; channels that are all but silent are not blown up further."""


def convolutions(model: ModelProto) -> dict[str, list[NodeProto]]:
    """Return the convolutions in their order, those that share a weight together under its name."""
    found: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            found.setdefault(node.input[1], []).append(node)
    return found


def level(model: ModelProto, greatest: dict[str, FloatArray]) -> None:
    """Rescale, in place, the channels between each convolution and the one that alone reads it.

    Args:
        model: in float; every convolution has a bias.
        greatest: [C] value of each channel of a convolution's output, by the name of its weight.
    """
    stored = {each.name: each for each in model.graph.initializer}
    for name, nodes in convolutions(model).items():
        reader = _reader(model, nodes[0])
        if reader is None:
            continue
        following = numpy_helper.to_array(stored[reader.input[1]])
        read = np.abs(following / np.abs(following).max(axis=(1, 2, 3), keepdims=True)).max(axis=(0, 2, 3))
        factor = np.sqrt(_floored(read) / _floored(greatest[name]))
        factor /= np.exp(np.log(factor).mean())
        replace(stored[name], numpy_helper.to_array(stored[name]) * factor[:, None, None, None])
        replace(stored[nodes[0].input[2]], numpy_helper.to_array(stored[nodes[0].input[2]]) * factor)
        replace(stored[reader.input[1]], following / factor[None, :, None, None])


def replace(tensor: TensorProto, values: np.ndarray) -> None:
    """Put values into a stored tensor, in place, as the type that it has."""
    kept = values.astype(numpy_helper.to_array(tensor).dtype)
    tensor.CopyFrom(numpy_helper.from_array(kept, tensor.name))


def _reader(model: ModelProto, node: NodeProto) -> NodeProto | None:
    """Return the convolution that a convolution leads to and nothing else, if there is one."""
    while True:
        readers = [each for each in model.graph.node if node.output[0] in each.input]
        if len(readers) != 1 or readers[0].op_type not in (*_KEEP_SCALE, "Conv"):
            return None
        node = readers[0]
        if node.op_type == "Conv":
            return node


def _floored(ranges: np.ndarray) -> np.ndarray:
    least = max(_LEAST * float(ranges.max()), float(np.finfo(np.float32).tiny))
    return np.asarray(np.maximum(ranges, least))
