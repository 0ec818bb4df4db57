"""Weights in fewer bits, MatMuls as they were: what a bundle weighs, without what it computes.

Each output channel has its scale; at four bits each block of 32 inputs of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from types import MappingProxyType

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dit4sr.calibrate.graph.bundle_rewriting import GraphChange, load_graph
from dit4sr.calibrate.graph.qdq import dequantised, restore_later
from dit4sr.calibrate.scales.formats import INT4, INT8, Format
from dit4sr.runtime.bundles.bundle import Bundle

FEWEST = 1024
"""Numbers that a weight must have to be worth its scales."""
BLOCK = 32
_HALVES = {ir.DataType.FLOAT16, ir.DataType.FLOAT}


def store_weights(model: ir.Model, format_: Format = INT8) -> list[str]:
    """Store every large weight of a graph in fewer bits, and say which these are."""
    names = []
    for weight, axis, operator in list(_weights(model.graph)):
        assert weight.const_value is not None
        assert weight.name is not None
        values = weight.const_value.numpy()
        inner = {"MatMul": 0, "Gemm": 1 - axis}.get(operator)
        if format_ is INT4 and inner is not None and values.shape[inner] % BLOCK == 0:
            _store_blocks(model.graph, weight, values, inner)
        else:
            _store_channels(model.graph, weight, values, axis, INT8 if format_ is INT4 else format_)
        names.append(weight.name)
    return names


def weights_only_changes(
    bundle: Bundle,
    format_: Format,
    *,
    without: Set[str] = frozenset(),
    instead: Mapping[str, GraphChange] = MappingProxyType({}),
) -> dict[str, GraphChange]:
    """The changes that store the weights of every component in fewer bits.

    ``instead`` has graphs that were changed already, and are to be changed further.
    """
    changes = dict(instead)
    for name in bundle.components:
        if name in without:
            continue
        model = instead[name].model if name in instead else load_graph(bundle, name)
        if store_weights(model, format_):
            changes[name] = GraphChange(model, f"{format_.name} weights")
    return changes


def _weights(graph: ir.Graph) -> Iterator[tuple[ir.Value, int, str]]:
    """The large weights of a graph, each with the axis of its outputs and the operator that reads it."""
    for value in list(graph.initializers.values()):
        tensor, uses = value.const_value, list(value.uses())
        if tensor is None or value.dtype not in _HALVES or tensor.size < FEWEST or len(tensor.shape) < 2:
            continue
        axes = {_output_axis(use.node, use.idx, len(tensor.shape)) for use in uses}
        operators = {use.node.op_type for use in uses}
        if len(axes) == len(operators) == 1 and (axis := axes.pop()) is not None:
            yield value, axis, operators.pop()


def _output_axis(node: ir.Node, place: int, rank: int) -> int | None:
    """The axis of its weight along which a node's outputs lie; ``None`` if its weight cannot be stored."""
    if node.domain:
        return None
    if node.op_type == "MatMul" and place == 1 and rank == 2:
        return 1
    if node.op_type == "Gemm" and place == 1:
        transposed = node.attributes.get("transB")
        return 0 if transposed is not None and transposed.as_int() else 1
    if node.op_type == "Conv" and place == 1:
        return 0
    return 0 if node.op_type == "Gather" and place == 0 else None


def _store_channels(
    graph: ir.Graph, weight: ir.Value, values: NDArray[np.float16], axis: int, format_: Format
) -> None:
    others = tuple(place for place in range(values.ndim) if place != axis)
    scale = format_.scale_for(np.abs(values).max(axis=others).astype(np.float32))
    dequantised(graph, weight, scale, axis)
    restore_later(weight, format_, np.expand_dims(scale, others))


def _store_blocks(graph: ir.Graph, weight: ir.Value, values: NDArray[np.float16], inner: int) -> None:
    """Store a weight with a scale for each block of inputs, which `DequantizeLinear` has from opset 21."""
    blocks = np.abs(np.moveaxis(values, inner, 0).astype(np.float32)).reshape(
        -1, BLOCK, values.shape[1 - inner]
    )
    scale = np.moveaxis(INT4.scale_for(blocks.max(axis=1)), 0, inner)
    output = dequantised(graph, weight, scale, inner)
    node = output.producer()
    assert node is not None
    node.attributes.add(ir.AttrInt64("block_size", BLOCK))
    restore_later(weight, INT4, np.repeat(scale, BLOCK, axis=inner))
