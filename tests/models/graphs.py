"""Exported networks, run."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
from torch import Tensor

from emotrace.inference.graph_check import check_content


def run_graph(content: bytes, inputs: Mapping[str, Tensor]) -> list[np.ndarray]:
    """Return all outputs of a graph, which must be one that bundles may hold."""
    check_content("system.onnx", content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options)
    found: list[np.ndarray] = session.run(None, {name: values.numpy() for name, values in inputs.items()})
    return found
