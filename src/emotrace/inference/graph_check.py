"""The bytes of an ONNX graph -> nothing, or why it is not run: graphs come from strangers, with their bundles.

ONNX Runtime refuses what is damaged and operators that it does not know. It would run loops without an end, read files
beside the program that a graph names, and make room for whatever a sparse tensor declares; here such graphs are refused
before it sees them. What the project exports needs none of it; its one loop, of the Kalman filter, runs once for each
entry of an axis. Room and time for what a graph computes are not bounded here.

A graph is a message of Protocol Buffers; the numbers of its fields are those of onnx.proto, IR version 10.
"""

import math
from collections.abc import Iterator

from emotrace.errors import BundleError

_MAX_FIELDS = 2_000_000
"""Looked at in one graph: the largest that the project exports has some ten thousand."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
"""Types on the wire that ONNX uses."""
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE_TENSOR = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
_TENSOR_DIMS, _TENSOR_OUTSIDE, _TENSOR_LOCATION = 1, 13, 14
_DOMAINS = (b"", b"ai.onnx")
"""Two names of the operators of ONNX itself."""
_BRANCH = b"If"
"""Of the operators that hold graphs the one that runs each at most once; exported where a shape is not known."""
_LOOP, _LENGTHS, _ONE_OF = b"Loop", b"Shape", b"Gather"
_MAX_DEPTH = 8
_NUMBERS_PER_BYTE = 2
"""The narrowest numbers of ONNX have four bits."""
_MAX_AXES = 16

_Fields = Iterator[tuple[int, int | memoryview]]


class _DamagedError(Exception):
    """The bytes are no message."""


def check_content(name: str, content: bytes) -> None:
    """Refuse a graph that could not be run within bounds, or that would read other files.

    Args:
        name: of the file, for the message.
        content: of the file.

    Raises:
        BundleError: the graph is damaged, or has operators of another domain, loops but those over an axis, branches
            within branches beyond measure, functions of its own, sparse tensors, tensors in other files or tensors that
            declare more numbers than the file can hold.
    """
    budget = iter(range(_MAX_FIELDS))
    try:
        reason = next(_reasons(memoryview(content), budget, _NUMBERS_PER_BYTE * len(content)), None)
    except _DamagedError as error:
        raise BundleError(f"{name} is no usable network: {error}. Install or export the bundle again.") from error
    if reason is not None:
        raise BundleError(f"{name} {reason}: such a network is not run. Export the bundle again.")


def _reasons(model: memoryview, budget: Iterator[int], most: int) -> Iterator[str]:
    for number, value in _fields(model, budget):
        if number == _MODEL_FUNCTIONS:
            yield "holds functions of its own, expected the operators of ONNX alone"
        elif number == _MODEL_TRAINING:
            yield "holds graphs of a training, expected one that answers"
        elif number == _MODEL_GRAPH:
            yield from _in_graph(_message(value), budget, most)


def _in_graph(graph: memoryview, budget: Iterator[int], most: int, depth: int = 0) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        yield f"holds more than {_MAX_DEPTH} branches within each other"
        return
    for number, value in _fields(graph, budget):
        if number == _GRAPH_NODE:
            yield from _in_node(_message(value), graph, budget, most, depth)
        elif number == _GRAPH_TENSOR:
            yield from _in_tensor(_message(value), budget, most)
        elif number == _GRAPH_SPARSE_TENSOR:
            yield "holds a sparse tensor, expected dense ones"


def _in_node(node: memoryview, graph: memoryview, budget: Iterator[int], most: int, depth: int) -> Iterator[str]:
    fields = list(_fields(node, budget))
    operators = _texts(fields, _NODE_OPERATOR)
    ends = operators == [_BRANCH] or (operators == [_LOOP] and depth == 0 and _runs_over_an_axis(fields, graph, budget))
    shown = ascii(b" ".join(operators[:2])[:40].decode(errors="replace"))
    for number, value in fields:
        if number == _NODE_DOMAIN and bytes(_message(value)[:100]) not in _DOMAINS:
            domain = bytes(_message(value)[:40]).decode(errors="replace")
            yield f"holds the operator {shown} of the domain {domain!a}, expected operators of ONNX alone"
        elif number == _NODE_ATTRIBUTE:
            for kind, part in _fields(_message(value), budget):
                if kind in _ATTRIBUTE_GRAPHS and not ends:
                    yield f"holds the operator {shown}, which may run a graph without an end, expected no such loop"
                elif kind in _ATTRIBUTE_GRAPHS:
                    yield from _in_graph(_message(part), budget, most, depth + 1)
                else:
                    yield from _in_attribute(kind, part, budget, most)


def _runs_over_an_axis(loop: list[tuple[int, int | memoryview]], graph: memoryview, budget: Iterator[int]) -> bool:
    """Tell whether how often a loop runs at most is one of the lengths of an array of its graph."""
    made_by: dict[bytes, tuple[list[bytes], bytes]] = {}
    for number, value in _fields(graph, budget):
        if number == _GRAPH_NODE:
            fields = list(_fields(_message(value), budget))
            source = next(iter(_texts(fields, _NODE_INPUT)), b"")
            made_by |= dict.fromkeys(_texts(fields, _NODE_OUTPUT), (_texts(fields, _NODE_OPERATOR), source))
    operators, source = made_by.get(next(iter(_texts(loop, _NODE_INPUT)), b""), ([], b""))
    return operators == [_ONE_OF] and made_by.get(source, ([], b""))[0] == [_LENGTHS]


def _texts(fields: list[tuple[int, int | memoryview]], wanted: int) -> list[bytes]:
    return [bytes(_message(value)) for number, value in fields if number == wanted]


def _in_attribute(number: int, value: int | memoryview, budget: Iterator[int], most: int) -> Iterator[str]:
    if number in _ATTRIBUTE_SPARSE_TENSORS:
        yield "holds a sparse tensor, expected dense ones"
    elif number in _ATTRIBUTE_TENSORS:
        yield from _in_tensor(_message(value), budget, most)


def _in_tensor(tensor: memoryview, budget: Iterator[int], most: int) -> Iterator[str]:
    dims: list[int] = []
    for number, value in _fields(tensor, budget):
        if number == _TENSOR_OUTSIDE or (number == _TENSOR_LOCATION and value != 0):
            yield "names another file that holds its numbers, expected all in one file"
        elif number == _TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else _packed(value, budget)
    if len(dims) > _MAX_AXES or math.prod(dims) > most:
        sizes = " x ".join(map(str, dims[:_MAX_AXES]))
        yield f"declares a tensor of {sizes} numbers, more than the file can hold"


def _fields(message: memoryview, budget: Iterator[int]) -> _Fields:
    """Yield the number and the value of each field, in their order."""
    place = 0
    while place < len(message):
        if next(budget, None) is None:
            raise _DamagedError(f"more than {_MAX_FIELDS:,} fields were found, far beyond what a network has")
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind not in (_EIGHT_BYTES, _LENGTH, _FOUR_BYTES):
            raise _DamagedError(f"a field of unknown type {kind} was found")
        if kind == _LENGTH:
            length, place = _varint(message, place)
        else:
            length = 8 if kind == _EIGHT_BYTES else 4
        if length > len(message) - place:
            raise _DamagedError("it ends in the middle of a field")
        yield key >> 3, message[place : place + length]
        place += length


def _packed(values: memoryview, budget: Iterator[int]) -> list[int]:
    found, place = [], 0
    while place < len(values):
        if next(budget, None) is None:
            raise _DamagedError(f"more than {_MAX_FIELDS:,} fields were found, far beyond what a network has")
        value, place = _varint(values, place)
        found.append(value)
    return found


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise _DamagedError("a number without an end was found")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _DamagedError("a number was found where a part of a network was expected")
    return value
