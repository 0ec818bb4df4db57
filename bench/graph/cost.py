"""What a graph multiplies and moves, counted from the graph itself.

Shapes come from the graph, their symbolic axes from a workload. Multiply-accumulates are counted, each as two
floating-point operations; sums and functions are not, which is the convention of the published counts. Bytes
are what must cross the memory bus if every operator reads its inputs once and writes its outputs once; views
move nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dit4sr.bench.graph.layers import Node, group_of
from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.runtime.axes import Sizes, axis_length
from dit4sr.runtime.costs.products import PRODUCTS, VIEWS, macs
from dit4sr.runtime.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    import onnx_ir as ir

Shape = tuple[int, ...]

INTEGER = 2
"""ONNX's number of the kind of attribute that is one whole number."""


@dataclass(frozen=True)
class Cost:
    """What something costs: multiply-accumulates, and bytes of weights and activations."""

    macs: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.weight_bytes + other.weight_bytes,
            self.activation_bytes + other.activation_bytes,
        )

    @property
    def flops(self) -> int:
        """Floating-point operations: a product and a sum for each multiply-accumulate."""
        return 2 * self.macs

    @property
    def bytes(self) -> int:
        """Bytes of everything that is read or written."""
        return self.weight_bytes + self.activation_bytes


def read_graph(file: Path) -> ir.Model:
    """Read a graph without its weights."""
    try:
        import onnx_ir as ir  # noqa: PLC0415  (an extra)
    except ImportError:
        raise MissingDependencyError(
            "not installed: onnx-ir, which reads graphs", fix="pip install 'dit4sr[export]'"
        ) from None
    return ir.load(file)


def graph_cost(model: ir.Model, sizes: Sizes, layers: LayerNames) -> dict[str, Cost]:
    """The cost of one run by group of layers; groups that cost nothing are left out."""
    costs: defaultdict[str, Cost] = defaultdict(Cost)
    for node in model.graph:
        weights = [value.name or "" for value in node.inputs if value is not None and value.is_initializer()]
        costs[group_of(Node(node.op_type, node.name or "", weights), layers)] += _node_cost(node, sizes)
    return {group: cost for group, cost in costs.items() if cost != Cost()}


def total(costs: Mapping[str, Cost]) -> Cost:
    """The cost of all groups together."""
    return sum(costs.values(), Cost())


def _node_cost(node: ir.Node, sizes: Sizes) -> Cost:
    if node.op_type in VIEWS or not _moves_numbers(node):
        return Cost()
    given = [value for value in node.inputs if value is not None]
    weights = sum(_bytes(value, sizes) for value in given if value.is_initializer())
    moved = sum(_bytes(value, sizes) for value in given if not value.is_initializer())
    moved += sum(_bytes(value, sizes) for value in node.outputs if value.shape)
    return Cost(_macs(node, sizes), weights, moved)


def _moves_numbers(node: ir.Node) -> bool:
    """True if a node moves numbers of the network; arithmetic on shapes is whole numbers, and free."""
    dtype = node.outputs[0].dtype
    return dtype is not None and dtype.is_floating_point()


def _macs(node: ir.Node, sizes: Sizes) -> int:
    if node.op_type not in PRODUCTS:
        return 0
    inputs = [() if value is None else _shape(value, sizes) for value in node.inputs]
    attributes = {name: each.as_int() for name, each in node.attributes.items() if each.type == INTEGER}
    return macs(node.op_type, inputs, [_shape(value, sizes) for value in node.outputs], attributes)


def _bytes(value: ir.Value, sizes: Sizes) -> int:
    size = value.dtype.itemsize if value.dtype is not None else 4
    return int(math.prod(_shape(value, sizes)) * size)


def _shape(value: ir.Value | None, sizes: Sizes) -> Shape:
    if value is None or value.shape is None:
        raise BadInputError(f"the graph does not say what shape {value.name if value else 'an input'} has")
    axes = (axis if isinstance(axis, int) else str(axis.value) for axis in value.shape)
    return tuple(axis_length(axis, sizes) for axis in axes)
