"""A graph of halves as one of FP32, for processors on which ONNX Runtime multiplies nothing narrower.

Left to itself the library rounds the result of every operator to half and widens it again for the next one:
a quarter of a step's time. Here the graph says FP32 instead. Weights stay in half where they are, for a cast
stands behind each, which the library computes once when it loads; so nothing but the graph is rewritten, and
the memory is what it was. Results differ from those of halves by the roundings that are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from dit4sr.runtime.bundles.wire import field, fields, message, text, written_fields

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 11, 12, 13
_FUNCTION_NODE, _FUNCTION_DEFAULT, _FUNCTION_VALUE_INFO = 7, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 3, 5, 6, 11
_ATTRIBUTE_KIND, _KIND_INT = 20, 2
_TENSOR_TYPE, _TENSOR_NAME = 2, 8
"""Fields of a message, by the numbers that ONNX gives them."""
_FLOAT, _HALF = 1, 10
_TYPE_ATTRIBUTES = frozenset(
    {"to", "dtype", "output_dtype", "output_datatype", "precision", "softmax_precision"}
)
"""Attributes that name the type in which an operator computes or answers."""


def widened(model: bytes) -> bytes:
    """The graph in FP32; as it is where it takes or gives halves itself, or is none."""
    try:
        return b"".join(_model(memoryview(model)))
    except ValueError:
        return model


def _model(model: memoryview) -> Iterator[bytes | memoryview]:
    for number, value, whole in written_fields(model):
        if number == _MODEL_GRAPH:
            yield field(number, _graph(message(value)))
        elif number == _MODEL_FUNCTION:
            yield field(number, b"".join(_function(message(value))))
        else:
            yield whole


def _graph(graph: memoryview) -> bytes:
    casts: list[bytes] = []
    rest: list[bytes | memoryview] = []
    for number, value, whole in written_fields(graph):
        if number == _GRAPH_NODE:
            rest += (field(number, node) for node in _nodes(message(value)))
        elif number == _GRAPH_INITIALIZER and _is_half(message(value)):
            tensor, name = _set_aside(message(value), _TENSOR_NAME)
            rest.append(field(number, tensor))
            casts.append(field(_GRAPH_NODE, _cast(name)))
        elif number == _GRAPH_VALUE_INFO:
            continue  # The library infers the types in between; these are those of halves.
        else:
            if number in {_GRAPH_INPUT, _GRAPH_OUTPUT} and _declares_half(message(value)):
                raise ValueError("a graph that takes or gives halves")
            rest.append(whole)
    return b"".join([*casts, *rest])


def _function(function: memoryview) -> Iterator[bytes | memoryview]:
    for number, value, whole in written_fields(function):
        if number == _FUNCTION_NODE:
            yield from (field(number, node) for node in _nodes(message(value)))
        elif number == _FUNCTION_DEFAULT:
            yield field(number, b"".join(_attribute(message(value))))
        elif number != _FUNCTION_VALUE_INFO:
            yield whole


def _nodes(node: memoryview) -> list[bytes]:
    """A node in FP32; one that holds a constant in half, with the cast behind it."""
    parts: list[bytes | memoryview] = []
    holds_half = False
    for number, value, whole in written_fields(node):
        if number == _NODE_ATTRIBUTE:
            parts.append(field(number, b"".join(_attribute(message(value)))))
            tensors = (part for key, part in fields(message(value)) if key == _ATTRIBUTE_TENSOR)
            holds_half |= any(_is_half(message(tensor)) for tensor in tensors)
        else:
            parts.append(whole)
    changed = b"".join(parts)
    if not holds_half:
        return [changed]
    constant, name = _set_aside(memoryview(changed), _NODE_OUTPUT)
    return [constant, _cast(name)]


def _attribute(attribute: memoryview) -> Iterator[bytes | memoryview]:
    names_type = any(
        number == _ATTRIBUTE_NAME and text(value) in _TYPE_ATTRIBUTES for number, value in fields(attribute)
    )
    for number, value, whole in written_fields(attribute):
        if number in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
            yield field(number, _graph(message(value)))
        elif number == _ATTRIBUTE_INT and value == _HALF and names_type:
            yield field(number, _FLOAT)
        else:
            yield whole


def _set_aside(part: memoryview, number: int) -> tuple[bytes, bytes]:
    """A message under another name, and the name that it had, in the field of that number."""
    name, rest = b"", []
    for found, value, whole in written_fields(part):
        if found == number:
            name = bytes(message(value))
        else:
            rest.append(whole)
    return b"".join([*rest, field(number, _aside(name))]), name


def _aside(name: bytes) -> bytes:
    return name + b" in half"


def _cast(name: bytes) -> bytes:
    to = field(_ATTRIBUTE_NAME, b"to") + field(_ATTRIBUTE_INT, _FLOAT) + field(_ATTRIBUTE_KIND, _KIND_INT)
    return (
        field(_NODE_INPUT, _aside(name))
        + field(_NODE_OUTPUT, name)
        + field(_NODE_OPERATOR, b"Cast")
        + field(_NODE_ATTRIBUTE, to)
    )


def _is_half(tensor: memoryview) -> bool:
    return any(number == _TENSOR_TYPE and value == _HALF for number, value in fields(tensor))


def _declares_half(value_info: memoryview) -> bool:
    """True for an input or output that is a tensor of halves."""
    found = [value_info]
    for wanted in (2, 1):  # its type, and of that the tensor's
        found = [message(value) for part in found for number, value in fields(part) if number == wanted]
    return any(number == 1 and value == _HALF for part in found for number, value in fields(part))
