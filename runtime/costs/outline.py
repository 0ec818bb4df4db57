"""A graph's outline: its operators, and the type and shape of every tensor. Weights are not read.

The lean runtime has no library for ONNX files, and needs no more of them than this.
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.axes import Sizes, axis_length
from dit4sr.runtime.bundles.wire import fields, message, numbers, signed, text
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.reading import opened

Shape = tuple[int, ...]

_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
"""Fields of a graph, by the numbers that ONNX gives them; so in all that follows."""
_BYTES = {1: 4.0, 2: 1.0, 3: 1.0, 4: 2.0, 5: 2.0, 6: 4.0, 7: 8.0, 9: 1.0, 10: 2.0, 11: 8.0, 12: 4.0, 13: 8.0}
_BYTES |= {16: 2.0, 17: 1.0, 18: 1.0, 19: 1.0, 20: 1.0, 21: 0.5, 22: 0.5}
"""Bytes of an element, by the number of its type."""
_FLOATING = frozenset({1, 10, 11, 16, 17, 18, 19, 20})


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph, without its values."""

    element: int
    """The number of its type."""
    shape: tuple[int | str, ...] | None

    @property
    def is_floating(self) -> bool:
        """True for numbers of the network; whole numbers are arithmetic on shapes, or quantised."""
        return self.element in _FLOATING

    @property
    def element_bytes(self) -> float:
        """Bytes of one element, as the file states its type."""
        return _BYTES.get(self.element, 4.0)

    def sides(self, sizes: Sizes) -> Shape:
        """Its shape in numbers, where every named axis measures what ``sizes`` says."""
        if self.shape is None:
            raise BadInputError("a graph that does not say what shape a tensor has")
        return tuple(axis_length(axis, sizes) for axis in self.shape)

    def elements(self, sizes: Sizes) -> int:
        """How many numbers it holds."""
        return math.prod(self.sides(sizes))


@dataclass(frozen=True)
class Node:
    """One operator of a graph."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int]
    """Those that are whole numbers."""


@dataclass(frozen=True)
class Outline:
    """A graph without its weights: its nodes in order, and what is known of every tensor by its name."""

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    weights: frozenset[str]

    def element(self, name: str) -> int:
        """The number of a tensor's type; 0 where the graph does not state it."""
        return self.tensors[name].element if name in self.tensors else 0

    @property
    def operators(self) -> Counter[str]:
        """How often each operator occurs, with its domain where that is not ONNX's own."""
        return Counter("::".join(filter(None, (node.domain, node.operator))) for node in self.nodes)


def read_outline(file: Path) -> Outline:
    """Read the outline of an ONNX file; one that is none is refused in one line."""
    if not file.exists():
        raise IntegrityError(f"{file} is missing", fix="copy the bundle again, or export it anew")
    try:
        with opened(file) as stream:
            # Mapped, not read: the weights that stand between the nodes are stepped over. The mapping goes
            # with the last view of it, which in case of an error is the traceback's.
            return _read_model(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    except ValueError as error:
        raise IntegrityError(f"{file} is no graph ({error})", fix="export the bundle anew") from None


def _read_model(model: memoryview) -> Outline:
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    weights: set[str] = set()
    for number, value in _fields_of_graphs(model):
        if number == _NODE:
            nodes.append(_node(message(value)))
        elif number == _INITIALIZER:
            name, tensor = _initializer(message(value))
            tensors[name] = tensor
            weights.add(name)
        elif number in {_INPUT, _OUTPUT, _VALUE_INFO}:
            name, tensor = _value(message(value))
            tensors[name] = tensor
    return Outline(tuple(nodes), tensors, frozenset(weights))


def _fields_of_graphs(model: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    for number, value in fields(model):
        if number == _MODEL_GRAPH:
            yield from fields(message(value))


def _node(node: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, int] = {}
    operator = domain = ""
    for number, value in fields(node):
        if number == 1:
            inputs.append(text(value))
        elif number == 2:
            outputs.append(text(value))
        elif number == 4:
            operator = text(value)
        elif number == 5:
            attributes |= _whole_number(message(value))
        elif number == 7:
            domain = text(value)
    return Node(operator, domain, tuple(inputs), tuple(outputs), attributes)


def _whole_number(attribute: memoryview) -> dict[str, int]:
    """An attribute's name and value, if that is one whole number."""
    name, found = "", None
    for number, value in fields(attribute):
        if number == 1:
            name = text(value)
        elif number == 3 and isinstance(value, int):
            found = signed(value)
    return {} if found is None else {name: found}


def _initializer(tensor: memoryview) -> tuple[str, Tensor]:
    name, element = "", 0
    sides: list[int] = []
    for number, value in fields(tensor):
        if number == 1:
            sides += numbers(value)
        elif number == 2 and isinstance(value, int):
            element = value
        elif number == 8:
            name = text(value)
    return name, Tensor(element, tuple(sides))


def _value(info: memoryview) -> tuple[str, Tensor]:
    name, element = "", 0
    shape: tuple[int | str, ...] | None = None
    for number, value in fields(info):
        if number == 1:
            name = text(value)
        elif number == 2:
            for part in _fields_within(message(value), 1):
                if part[0] == 1 and isinstance(part[1], int):
                    element = part[1]
                elif part[0] == 2:
                    shape = _shape(message(part[1]))
    return name, Tensor(element, shape)


def _fields_within(whole: memoryview, wanted: int) -> Iterator[tuple[int, int | memoryview]]:
    for number, value in fields(whole):
        if number == wanted:
            yield from fields(message(value))


def _shape(shape: memoryview) -> tuple[int | str, ...]:
    axes: list[int | str] = []
    for number, dimension in fields(shape):
        if number == 1:
            stated: int | str = "?"
            for kind, value in fields(message(dimension)):
                stated = signed(value) if isinstance(value, int) else text(value)
                if kind not in {1, 2}:
                    stated = "?"
            axes.append(stated)
    return tuple(axes)
