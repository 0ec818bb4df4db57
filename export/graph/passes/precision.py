"""Precision, written into the graph: MatMuls and their like in half, everything that accumulates in FP32.

Three kinds of node. *Products* (MatMuls, convolutions, our operators) run in half. *Movers* (reshape, split,
concatenate) keep the type of what they move. All others, the norms, modulations, gates, residual sums,
guidance and solver, stay in FP32, but for a sum that only a product reads, of our attention's answer with
tokens that products read as halves anyway (the LR residual). A value crosses between the two by one cast,
however many read it.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from dit4sr.export.graph.passes.cleanup import is_weight

PRODUCTS = {
    "Conv",
    "Gemm",
    "MatMul",
    "dit4sr::DepthwiseInject",
    "dit4sr::JointAttention",
    "dit4sr::JointAttentionDual",
    "dit4sr::JointAttentionFinal",
}
MOVERS = {
    "Concat",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
JOINING = {"Concat"}
"""Movers all of whose inputs are data; of the others, only the first is."""

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


def mixed_precision(half: ir.DataType) -> Callable[[ir.Model], None]:
    """Return the pass that rounds a graph of FP32 to FP32 and ``half``."""

    def mix_precision(model: ir.Model) -> None:
        in_half = _half_nodes(model.graph)
        caster = _Caster(model.graph, half, in_half)
        for node in list(model.graph):
            wanted = half if node in in_half else ir.DataType.FLOAT
            for place in _data_inputs(node):
                value = node.inputs[place]
                if value is not None and value.dtype in {half, ir.DataType.FLOAT}:
                    node.replace_input_with(place, caster.cast(value, wanted))
            if node in in_half:
                for output in node.outputs:
                    output.dtype = half
        caster.restore_outputs()

    return mix_precision


def _half_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that compute in half, by what they are and what they stand between."""
    half = {node for node in graph if _identifier(node) in PRODUCTS}
    for node in graph:
        # What follows a product and needs no precision of its own: its bias, the activation before the next
        # product, and moving its result about.
        follows = bool(node.inputs) and node.inputs[0] is not None and node.inputs[0].producer() in half
        if follows and (
            node.op_type in MOVERS
            or (node.op_type == "Add" and _adds_weight(node))
            or (node.op_type == "Gelu" and _only_read_by(node, half))
        ):
            half.add(node)
    for node in reversed(graph):
        # Tokens that only MatMuls read are rounded before they are moved, once; so are two of them that meet
        # there, as the LR stream and its attention's answer do.
        is_rounded = node.op_type in MOVERS or (node.op_type == "Add" and _adds_tokens(node, half))
        if is_rounded and _moves_numbers(node) and _only_read_by(node, half):
            half.add(node)
    return half


def _identifier(node: ir.Node) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def _adds_weight(node: ir.Node) -> bool:
    return any(value is not None and is_weight(value) for value in node.inputs)


def _adds_tokens(node: ir.Node, half: set[ir.Node]) -> bool:
    """True for a sum of an operator's answer with tokens that something else in half reads as well."""
    producers = [value.producer() if value is not None else None for value in node.inputs]
    made = [producer is not None and producer.domain == "dit4sr" for producer in producers]
    read = [
        value is not None and any(use.node in half and use.node is not node for use in value.uses())
        for value in node.inputs
    ]
    return any(mine and other for mine, other in zip(made, reversed(read), strict=True))


def _moves_numbers(node: ir.Node) -> bool:
    return node.outputs[0].dtype == ir.DataType.FLOAT


def _only_read_by(node: ir.Node, readers: set[ir.Node]) -> bool:
    uses = [use.node for output in node.outputs for use in output.uses()]
    returned = any(output.is_graph_output() for output in node.outputs)
    return bool(uses) and not returned and all(user in readers for user in uses)


def _data_inputs(node: ir.Node) -> range:
    """Positions of a node's inputs that carry numbers rather than shapes."""
    moves_one = node.op_type in MOVERS - JOINING
    return range(1 if moves_one else len(node.inputs))


class _Caster:
    """Inserts casts, each value at most once to each type; weights are not cast but bound at their type."""

    def __init__(self, graph: ir.Graph, half: ir.DataType, in_half: set[ir.Node]) -> None:
        self.graph, self.half, self.in_half = graph, half, in_half
        self.done: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def cast(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        if value.dtype == wanted:
            return value
        if is_weight(value) and self._is_read_alike(value):
            value.dtype = wanted
            return value
        if (value, wanted) not in self.done:
            node = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(wanted))])
            node.outputs[0].dtype, node.outputs[0].shape = wanted, value.shape
            producer = value.producer()
            if producer is None:
                self.graph.insert_before(self.graph[0], node)
            else:
                self.graph.insert_after(producer, node)
            self.done[value, wanted] = node.outputs[0]
        return self.done[value, wanted]

    def _is_read_alike(self, weight: ir.Value) -> bool:
        """True if all who read a weight, as two streams may, read it at one type."""
        return len({use.node in self.in_half for use in weight.uses()}) == 1

    def restore_outputs(self) -> None:
        """Cast graph outputs to FP32, whatever computed them."""
        for place, value in enumerate(self.graph.outputs):
            if value.dtype == self.half:
                name, value.name = value.name, f"{value.name}_half"
                restored = self.cast(value, ir.DataType.FLOAT)
                restored.name = name
                self.graph.outputs[place] = restored
