"""The graph beside its account: which group of layers a node belongs to, and what there is to be fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.export.engines.plans.graph import ATTENTIONS

_PRODUCTS = {"MatMul", "Gemm"}
_ATTENTIONS = {*ATTENTIONS, "Softmax"}
"""One that is no operator of its own is told by its softmax."""


@dataclass(frozen=True)
class GraphNodes:
    """The nodes of a graph by name, as far as an account asks for them."""

    groups: Mapping[str, str]
    """The group of layers of each node; empty where a network names no groups."""
    attentions: int
    quantised: Mapping[str, str]
    """Products whose operands are both quantised, and the weight that each reads; streams may share one."""

    @classmethod
    def of(cls, model: onnx.ModelProto, layers: LayerNames | None) -> GraphNodes:
        """Look over a graph; ``layers`` are the names that its architecture gives."""
        graph = model.graph
        origins = {name: node for node in graph.node for name in node.output}
        weights = _Weights({tensor.name for tensor in graph.initializer}, origins)
        groups = {
            node.name: layers.group_of([node.op_type, node.name], weights.behind(node))
            for node in graph.node
            if layers is not None
        }
        return cls(
            groups,
            attentions=sum(node.op_type in _ATTENTIONS for node in graph.node),
            quantised={
                node.name: next(iter(weights.behind(node)), node.name)
                for node in graph.node
                if node.op_type in _PRODUCTS and all(_is_quantised(origins.get(i)) for i in node.input[:2])
            },
        )

    def group_of(self, nodes: Sequence[str], rest: str) -> str:
        """The group of a kernel that came from some nodes: that of the first which is in one."""
        known = (self.groups.get(name, rest) for name in nodes)
        return next((group for group in known if group != rest), rest)


@dataclass(frozen=True)
class _Weights:
    """The weights of a graph, which may be quantised: then a node reads them through another."""

    names: set[str]
    origins: Mapping[str, onnx.NodeProto]

    def behind(self, node: onnx.NodeProto) -> list[str]:
        """The weights that a node reads, itself or through the node that makes them wide."""
        found = []
        for name in node.input:
            origin = self.origins.get(name)
            if name in self.names:
                found.append(name)
            elif origin is not None and origin.op_type == "DequantizeLinear":
                found += [each for each in origin.input[:1] if each in self.names]
        return found


def _is_quantised(origin: onnx.NodeProto | None) -> bool:
    return origin is not None and origin.op_type == "DequantizeLinear"
