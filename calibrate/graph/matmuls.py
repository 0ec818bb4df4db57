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
    """A matrix product with a weight, or one operand of an attention, which has none."""

    name: str
    node: ir.Node
    place: int
    """Place of the activation among the inputs of the node."""
    weight: ir.Value | None

    @property
    def activation(self) -> ir.Value:
        """The activation that is multiplied."""
        value = self.node.inputs[self.place]
        assert value is not None
        return value

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
        # Bodies carry no types; what a fused attention reads is what it is for.
        matmul.activation.dtype = ir.DataType.FLOAT16


def _weighted(graph: ir.Graph, layers: LayerNames) -> Iterator[MatMul]:
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" and not node.domain else None
        if weight is None or not weight.is_initializer() or weight.dtype != ir.DataType.FLOAT16:
            continue
        assert weight.name is not None
        name = layers.layer_of(weight.name)
        # A weight that several MatMuls share cannot be scaled for one of them.
        if len(weight.uses()) == 1 and not layers.stays_wide(name):
            yield MatMul(name, node, 0, weight)


def _attentions(graph: ir.Graph) -> Iterator[MatMul]:
    nodes = [node for node in graph if node.op_type == ATTENTION]
    for number, node in enumerate(nodes):
        for place, operand in enumerate(OPERANDS):
            yield MatMul(f"attention.{number}.{operand}", node, place, None)
