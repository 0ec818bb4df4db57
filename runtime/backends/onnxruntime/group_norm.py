"""Group normalisation in fewer passes over a picture than ONNX Runtime makes of it on a CPU.

The library has no kernel for GroupNormalization there, and inlines the standard's own definition: deviation,
quotient, scale and bias are each a picture that is written and read. All of them are one multiply-add per
channel, whose factor and summand are a few hundred numbers. So the operator moves to a domain of ours, where
it is defined that way; in real numbers it is the same.
"""

from __future__ import annotations

from dit4sr.runtime.bundles.wire import field, fields, message, text, written_fields

DOMAIN = b"dit4sr.host"
OPERATOR = b"GroupNormalization"
FIRST_VERSION = 21
"""Of ONNX's operators; before it, scale and bias belonged to a group rather than to a channel."""

_MODEL_GRAPH, _MODEL_OPERATORS, _MODEL_FUNCTION = 7, 8, 25
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_OPERATORS_DOMAIN, _OPERATORS_VERSION = 1, 2
_FLOAT, _INT, _INTS = (2, 1), (3, 2), (8, 7)
"""Of an attribute's value: the field that holds it, and the number of its kind."""
_LAST, _FLAT, _CHANNELS = (-1,), (0, 0, -1), (0, -1, 1)


def with_fewer_passes(model: bytes) -> bytes:
    """The model with group normalisations of ours; as it is if it has none, or is no model."""
    try:
        return _rewritten(memoryview(model))
    except ValueError:
        return model


def _rewritten(model: memoryview) -> bytes:
    version = max(
        (_version(message(value)) for number, value in fields(model) if number == _MODEL_OPERATORS), default=0
    )
    parts: list[bytes | memoryview] = []
    is_changed = False
    for number, value, whole in written_fields(model):
        if number == _MODEL_GRAPH and version >= FIRST_VERSION:
            graph, has_any = _graph(message(value))
            parts.append(field(number, graph))
            is_changed |= has_any
        else:
            parts.append(whole)
    if is_changed:
        parts.append(field(_MODEL_OPERATORS, _operators(DOMAIN, 1)))
        parts.append(field(_MODEL_FUNCTION, _definition(version)))
    return b"".join(parts)


def _version(operators: memoryview) -> int:
    """The version of ONNX's own operators; 0 for those of another domain."""
    found = dict(fields(operators))
    version = found.get(_OPERATORS_VERSION, 0)
    return version if isinstance(version, int) and not found.get(_OPERATORS_DOMAIN) else 0


def _graph(graph: memoryview) -> tuple[bytes, bool]:
    parts: list[bytes | memoryview] = []
    has_any = False
    for number, value, whole in written_fields(graph):
        if number == _GRAPH_NODE and _is_group_norm(message(value)):
            parts.append(field(number, bytes(message(value)) + field(_NODE_DOMAIN, DOMAIN)))
            has_any = True
        else:
            parts.append(whole)
    return b"".join(parts), has_any


def _is_group_norm(node: memoryview) -> bool:
    found: dict[int, set[str]] = {_NODE_OPERATOR: set(), _NODE_DOMAIN: set(), _NODE_ATTRIBUTE: set()}
    for number, value in fields(node):
        if number == _NODE_ATTRIBUTE:
            found[number] |= {text(name) for key, name in fields(message(value)) if key == 1}
        elif number in found:
            found[number].add(text(value))
    return (
        found[_NODE_OPERATOR] == {OPERATOR.decode()}
        and found[_NODE_DOMAIN] <= {""}
        and found[_NODE_ATTRIBUTE] >= {"num_groups", "epsilon"}
    )


def _operators(domain: bytes, version: int) -> bytes:
    return field(_OPERATORS_DOMAIN, domain) + field(_OPERATORS_VERSION, version)


def _definition(version: int) -> bytes:
    """The function: per group the mean and the variance, and of both a factor and a summand per channel."""
    nodes = [
        _node("Constant", "", "count", _reference("value_int", _INT, "num_groups")),
        _node("Constant", "", "epsilon", _reference("value_float", _FLOAT, "epsilon")),
        *(_constant(name, sizes) for name, sizes in [("first", (0,)), ("last", _LAST), ("flat", _FLAT)]),
        _constant("channels", _CHANNELS),
        _node("Unsqueeze", "count first", "groups"),
        _node("Concat", "first groups last", "by_group", _integer("axis", 0)),
        _node("Concat", "groups last", "of_groups", _integer("axis", 0)),
        _node("Reshape", "x by_group", "members"),
        _node("ReduceMean", "members last", "mean"),
        _node("Mul", "members members", "squares"),
        _node("ReduceMean", "squares last", "mean_square"),
        _node("Mul", "mean mean", "square_mean"),
        _node("Sub", "mean_square square_mean", "difference"),
        # Of numbers that are all alike, rounding may leave a variance below nothing.
        _node("Relu", "difference", "variance"),
        _node("Add", "variance epsilon", "positive"),
        _node("Sqrt", "positive", "deviation"),
        _node("Reshape", "scale of_groups", "scales"),
        _node("Reshape", "bias of_groups", "biases"),
        _node("Div", "scales deviation", "factors"),
        _node("Mul", "factors mean", "shifts"),
        _node("Sub", "biases shifts", "summands"),
        _node("Reshape", "factors channels", "factor"),
        _node("Reshape", "summands channels", "summand"),
        _node("Reshape", "x flat", "rows"),
        _node("Mul", "rows factor", "scaled"),
        _node("Add", "scaled summand", "shifted"),
        _node("Shape", "x", "shape"),
        _node("Reshape", "shifted shape", "y"),
    ]
    return b"".join(
        [
            field(1, OPERATOR),
            *(field(4, name) for name in (b"x", b"scale", b"bias")),
            field(5, b"y"),
            *(field(6, name) for name in (b"num_groups", b"epsilon", b"stash_type")),
            *(field(7, node) for node in nodes),
            field(9, _operators(b"", version)),
            field(10, DOMAIN),
        ]
    )


def _node(operator: str, inputs: str, output: str, *attributes: bytes) -> bytes:
    return b"".join(
        [
            *(field(_NODE_INPUT, name.encode()) for name in inputs.split()),
            field(_NODE_OUTPUT, output.encode()),
            field(_NODE_OPERATOR, operator.encode()),
            *(field(_NODE_ATTRIBUTE, attribute) for attribute in attributes),
        ]
    )


def _constant(name: str, values: tuple[int, ...]) -> bytes:
    place, kind = _INTS
    # A number below zero is written as the 64 bits that it has.
    written = b"".join(field(place, value & (1 << 64) - 1) for value in values)
    return _node("Constant", "", name, field(1, b"value_ints") + written + field(20, kind))


def _integer(name: str, value: int) -> bytes:
    place, kind = _INT
    return field(1, name.encode()) + field(place, value) + field(20, kind)


def _reference(name: str, value: tuple[int, int], to: str) -> bytes:
    """An attribute whose value is that of the function's own attribute."""
    return field(1, name.encode()) + field(20, value[1]) + field(21, to.encode())
