"""The Q/DQ pass: what an engine needs to see around a MatMul to run it in eight bits.

``x → Q → DQ → MatMul ← DQ ← weight``, nothing between. The activation's scale is one number; the weight is
stored as it is multiplied, ``[in, out]``, in its eight bits. Scales are halves, because a DQ takes the type
of its scale, and FP32 would leak into the graph otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dit4sr.calibrate.graph.late_scales import late_flag
from dit4sr.calibrate.graph.matmuls import MatMul, find_matmuls
from dit4sr.calibrate.scales.formats import Format
from dit4sr.calibrate.scales.qparams import QuantParams
from dit4sr.export.architectures.layer_names import LayerNames


def insert_qdq(model: ir.Model, qparams: Mapping[str, QuantParams], layers: LayerNames) -> None:
    """Put Q/DQ pairs around the MatMuls that have parameters, and store their weights in eight bits."""
    matmuls = find_matmuls(model, layers)
    is_switched = any(params.late_scale is not None for params in qparams.values())
    writer = _Writer(model.graph, late_flag(model.graph) if is_switched else None)
    for name, params in qparams.items():
        matmul = matmuls[name]
        for node, activation in zip(matmul.nodes, matmul.activations, strict=True):
            node.replace_input_with(matmul.place, writer.rounded(activation, params))
        if matmul.weight is not None:
            writer.store(matmul, params)


def quantised_matmuls(model: ir.Model) -> list[str]:
    """Weights of MatMuls both of whose factors come straight from a DQ, the activation's straight from a Q.

    This is counted from the graph alone, so it also says what an engine could fuse in a graph of others.
    """
    names: dict[str, None] = {}
    for node in model.graph:
        if node.op_type != "MatMul" or node.domain:
            continue
        left, right = (_maker(value, "DequantizeLinear") for value in node.inputs)
        if left is None or right is None or _maker(left.inputs[0], "QuantizeLinear") is None:
            continue
        stored = right.inputs[0]
        assert stored is not None
        if stored.is_initializer():
            names[str(stored.name)] = None
    return list(names)


def _maker(value: ir.Value | None, operator: str) -> ir.Node | None:
    """The node that a value comes from, if it is of this operator."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == operator else None


def dequantised(graph: ir.Graph, weight: ir.Value, scale: NDArray[np.float32], axis: int | None) -> ir.Value:
    """Put a DQ behind a stored weight, read by everything that read the weight before."""
    assert weight.name is not None
    assert weight.dtype is not None
    wanted, uses = weight.dtype, list(weight.uses())
    constant = scalar_or_vector(graph, f"{weight.name}.scale", scale, wanted)
    attributes = [] if axis is None else [ir.AttrInt64("axis", axis)]
    node = ir.Node("", "DequantizeLinear", [weight, constant], attributes, name=f"{weight.name}.dq")
    node.outputs[0].name = f"{weight.name}.dequantised"
    node.outputs[0].dtype, node.outputs[0].shape = wanted, weight.shape
    graph.insert_before(graph[0], node)
    for use in uses:
        use.node.replace_input_with(use.idx, node.outputs[0])
    return node.outputs[0]


def restore_later(weight: ir.Value, format_: Format, scale: NDArray[np.float32], rows: Any = None) -> None:
    """Let the initialiser hold stored values, made of the original ones when the graph is written."""
    original = weight.const_value
    assert original is not None
    assert weight.shape is not None

    def stored() -> ir.TensorProtocol:
        values = original.numpy() if rows is None else original.numpy().astype(np.float32) * rows[:, None]
        return ir.Tensor(format_.quantise(values, scale), format_.dtype, name=weight.name)

    weight.const_value = ir.LazyTensor(stored, format_.dtype, ir.Shape(weight.shape), name=weight.name)
    weight.dtype = format_.dtype


def scalar_or_vector(graph: ir.Graph, name: str, values: NDArray[Any], dtype: ir.DataType) -> ir.Value:
    """Add a constant to a graph, in the type that the graph computes in."""
    tensor = ir.Tensor(np.asarray(values).astype(dtype.numpy()), dtype, name=name)
    constant = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(dtype), const_value=tensor)
    graph.register_initializer(constant)
    return constant


class _Writer:
    """Writes Q/DQ pairs: one for each activation and scale, however many MatMuls read it."""

    def __init__(self, graph: ir.Graph, is_late: ir.Value | None) -> None:
        self.graph, self.is_late = graph, is_late
        self.done: dict[tuple[ir.Value, str, float, bytes], ir.Value] = {}

    def rounded(self, value: ir.Value, params: QuantParams) -> ir.Value:
        """The value that stands behind the Q/DQ pair of an activation, and its smoothing before that."""
        divisors = b"" if params.divisors is None else params.divisors.tobytes()
        key = (value, params.format.name, params.activation_scale, divisors)
        if key not in self.done:
            self.done[key] = self._pair(value, params)
        return self.done[key]

    def store(self, matmul: MatMul, params: QuantParams) -> None:
        """Store the weight of a MatMul in eight bits, with a DQ behind it."""
        weight, scale = matmul.weight, params.weight_scale
        assert weight is not None
        assert scale is not None
        axis = None if scale.ndim == 0 else 1
        dequantised(self.graph, weight, scale, axis)
        restore_later(weight, params.format, scale, params.divisors)

    def _pair(self, value: ir.Value, params: QuantParams) -> ir.Value:
        assert value.name is not None
        assert value.dtype is not None
        name, wanted = f"{value.name}.{len(self.done)}", value.dtype
        current, producer = value, value.producer()
        if params.divisors is not None:
            factors = scalar_or_vector(self.graph, f"{name}.smoothing", 1 / params.divisors, wanted)
            current = producer_output = self._append(
                producer, "Mul", [value, factors], f"{name}.smooth", wanted
            )
            producer = producer_output.producer()
        dtype = params.format.dtype
        scale = self._scale(f"{name}.scale", params, wanted)
        zero = scalar_or_vector(self.graph, f"{name}.zero", np.zeros((), params.format.storage), dtype)
        stored = self._append(producer, "QuantizeLinear", [current, scale, zero], f"{name}.q", dtype)
        return self._append(
            stored.producer(), "DequantizeLinear", [stored, scale, zero], f"{name}.dq", wanted
        )

    def _scale(self, name: str, params: QuantParams, dtype: ir.DataType) -> ir.Value:
        early = scalar_or_vector(self.graph, name, np.array(params.activation_scale), dtype)
        if params.late_scale is None or self.is_late is None:
            return early
        late = scalar_or_vector(self.graph, f"{name}.late", np.array(params.late_scale), dtype)
        node = ir.Node("", "Where", [self.is_late, late, early], name=f"{name}.now")
        output = node.outputs[0]
        output.name, output.dtype, output.shape = f"{name}.now", dtype, ir.Shape([])
        flag = self.is_late.producer()
        assert flag is not None
        self.graph.insert_after(flag, node)
        return output

    def _append(
        self,
        after: ir.Node | None,
        operator: str,
        inputs: list[ir.Value],
        name: str,
        dtype: ir.DataType,
    ) -> ir.Value:
        node = ir.Node("", operator, inputs, name=name)
        output = node.outputs[0]
        output.name, output.dtype, output.shape = name, dtype, inputs[0].shape
        if after is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(after, node)
        return output
