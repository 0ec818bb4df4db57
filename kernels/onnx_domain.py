"""The ONNX domain of our operators, what points TensorRT to their plugins, and a builder of their bodies."""

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir
import onnxscript
from onnx_ir import Value

__all__ = ["DOMAIN", "PLUGIN", "Operators"]

DOMAIN = onnxscript.values.Opset("dit4sr", 2)
"""Version 1 had GELU inside DepthwiseInject, and both streams in one tensor."""
PLUGIN = {"plugin_namespace": DOMAIN.domain, "plugin_version": "1", "aot": 1}
"""A node's attributes by which TensorRT's parser finds our kernel; without them it reads the node's body."""


class Operators:
    """Builder of ONNX nodes by operator: `op.Concat(a, b, axis=2)` adds a node and returns its output."""

    def __init__(self) -> None:
        self.tape = onnx_ir.tape.Tape()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*inputs: Value, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
            values = self.tape.op_multi_out(name, inputs, attributes, domain=domain, num_outputs=outputs)
            return values[0] if outputs == 1 else values

        return call

    def integers(self, *values: int) -> Any:
        """Add a constant shape, axis or position."""
        return self.Constant(value_ints=values)

    def number(self, value: float) -> Any:
        """Add an FP32 constant."""
        return self.Constant(value_float=value)

    def function(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> onnx_ir.Function:
        """Return all nodes that were added, as a function."""
        graph = onnx_ir.Graph(inputs, outputs, nodes=self.tape.nodes)
        return onnx_ir.Function(DOMAIN.domain, name, graph=graph, attributes=[])
