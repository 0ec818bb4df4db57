"""A graph in the making: nodes that answer with the names of their tensors, and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Tensor = str
"""A tensor, by its name."""


class Nodes:
    """Nodes of a graph, or of a loop's body, which sees all that is outside."""

    def __init__(self, outside: Nodes | None = None, name: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = outside.constants if outside else []
        """The graph's, also those that only the body of a loop reads: so the loop makes none anew."""
        self._name = name

    def constant(self, values: Any, dtype: Any = np.float32) -> Tensor:
        """A constant tensor."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=dtype), name))
        return name

    def add(self, operator: str, *inputs: Tensor, output: str = "", **attributes: Any) -> Tensor:
        """Add a node with one output."""
        name = f"{self._name}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name=name, **attributes))
        return output or name

    def affine(self, x: Tensor, factor: float, offset: float) -> Tensor:
        """``x · factor + offset``."""
        return self.add("Add", self.add("Mul", x, self.constant(factor)), self.constant(offset))

    def cast(self, x: Tensor, dtype: Any) -> Tensor:
        """The same numbers in another type."""
        return self.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def part(self, x: Tensor, start: int, stop: int, axis: int = 0) -> Tensor:
        """Some rows of a tensor, or whatever lies along another axis."""
        return self.add("Slice", x, *(self.constant([place], np.int64) for place in (start, stop, axis)))

    def reshaped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same numbers in another shape."""
        return self.add("Reshape", x, self.constant(shape, np.int64))

    def inline(
        self, name: str, graph: onnx.GraphProto, feeds: Mapping[str, Tensor], copy: str = ""
    ) -> dict[str, Tensor]:
        """Put a component's graph in and return its outputs by their own names.

        Its tensors are named after it. It may be there more than once, each time as another ``copy``; its
        weights are there once.
        """
        weights = {tensor.name: f"{name}.{tensor.name}" for tensor in graph.initializer}
        known = {tensor.name for tensor in self.constants}
        for tensor in graph.initializer:
            if weights[tensor.name] not in known:
                shared = onnx.TensorProto()
                shared.CopyFrom(tensor)
                shared.name = weights[tensor.name]
                self.constants.append(shared)

        def renamed(tensor: str) -> str:
            return (
                weights.get(tensor) or feeds.get(tensor) or (tensor and f"{self._name}{name}{copy}/{tensor}")
            )

        for node in graph.node:
            self.nodes.append(_with_names(node, renamed))
        return {value.name: renamed(value.name) for value in graph.output}


def _with_names(node: onnx.NodeProto, renamed: Callable[[str], str]) -> onnx.NodeProto:
    """A node over tensors of other names, in the graphs within it as well."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = renamed(node.name)
    copy.input[:] = map(renamed, node.input)
    copy.output[:] = map(renamed, node.output)
    for attribute in copy.attribute:
        for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") or attribute.graphs else []:
            inner = [_with_names(each, renamed) for each in graph.node]
            del graph.node[:]
            graph.node.extend(inner)
            for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
                value.name = renamed(value.name)
    return copy
