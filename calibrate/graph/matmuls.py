"""The MatMuls of a graph that can run in eight bits, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from dit4sr.export.architectures.layer_names import LayerNames

ATTENTION = "TRT_Attention"
"""The function that a fused attention consists of, once its body has been opened."""
OPERANDS = ("query", "key", "value")


@dataclass(frozen=True, eq=False)
class MatMul:
    """Products with a weight, or one operand of an attention, which has none."""

    name: str
    nodes: tuple[ir.Node, ...]
    """One for each activation that meets the weight: streams that share a layer share its scales."""
    place: int
    """Place of the activation among the inputs of a node."""
    weight: ir.Value | None

    @property
    def activations(self) -> tuple[ir.Value, ...]:
        """The activations that are multiplied."""
        values = tuple(node.inputs[self.place] for node in self.nodes)
        return tuple(value for value in values if value is not None)

    @property
    def activation_names(self) -> tuple[str, ...]:
        """Names of the activations, by which they were observed."""
        return tuple(str(value.name) for value in self.activations)

    @property
    def weights(self) -> int:
        """How many numbers the weight has; 0 without one."""
        return 0 if self.weight is None else int(self.weight.const_value.size)  # type: ignore[union-attr]


def find_matmuls(model: ir.Model, layers: LayerNames) -> dict[str, MatMul]:
    """MatMuls of a graph that may be quantised, by their layers, in the order in which they run."""
    found = [*_weighted(model.graph, layers), *_attentions(model.graph)]
    return {matmul.name: matmul for matmul in found}


def open_attentions(model: ir.Model) -> None:
    """Replace fused attentions by their bodies, so that the operands of their MatMuls can be quantised.

    TensorRT keeps its own fused attention inside, our plugin no longer applies.
    """
    InlinePass(lambda function: function.name.startswith("JointAttention"))(model)
    for matmul in _attentions(model.graph):
        for activation in matmul.activations:
            # Bodies carry no types; what a fused attention reads is what it is for.
            activation.dtype = ir.DataType.FLOAT16


def _weighted(graph: ir.Graph, layers: LayerNames) -> Iterator[MatMul]:
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" and not node.domain else None
        if weight is not None and weight.is_initializer() and weight.dtype == ir.DataType.FLOAT16:
            readers.setdefault(weight, []).append(node)
    for weight, nodes in readers.items():
        assert weight.name is not None
        name = layers.layer_of(weight.name)
        # A weight that something else reads as well cannot be scaled.
        if len(weight.uses()) == len(nodes) and not layers.stays_wide(name):
            yield MatMul(name, tuple(nodes), 0, weight)


def _attentions(graph: ir.Graph) -> Iterator[MatMul]:
    nodes = [node for node in graph if node.op_type == ATTENTION]
    for number, node in enumerate(nodes):
        for place, operand in enumerate(OPERANDS):
            yield MatMul(f"attention.{number}.{operand}", (node,), place, None)
