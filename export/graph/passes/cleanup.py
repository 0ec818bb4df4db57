"""Passes that leave the mathematics alone: less graph for the same result."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
from onnxscript import optimizer

from dit4sr.export.libraries import quiet_libraries


def simplify_graph(model: ir.Model) -> None:
    """Fold shapes and constants, and drop what nobody reads.

    Weights have no data yet, so nothing data-dependent can happen to them, and their names survive.
    """
    with quiet_libraries():
        optimizer.optimize_ir(model, inline=False, num_iterations=2)
    RemoveUnusedNodesPass()(model)


def is_weight(value: ir.Value) -> bool:
    """True if a value is a weight, which has no data before it is bound; constants do."""
    return value.is_initializer() and value.const_value is None


def strip_stack_traces(model: ir.Model) -> None:
    """Strip the tracer's stack traces: nine tenths of the file, and paths of the machine it ran on."""
    ClearMetadataAndDocStringPass()(model)


def transpose_weights(model: ir.Model) -> None:
    """Store weights as their MatMuls read them, instead of transposing at run time.

    The exporter writes ``x @ transpose(weight)``. A weight so consumed is marked, and bound transposed; its
    name stays.
    """
    for node in list(model.graph):
        weight = node.inputs[0] if node.op_type == "Transpose" else None
        if weight is None or not is_weight(weight) or len(weight.uses()) != 1:
            continue
        assert weight.shape is not None
        weight.meta["transposed"] = True
        weight.shape = ir.Shape(list(weight.shape)[::-1])
        node.outputs[0].replace_all_uses_with(weight)
        model.graph.remove(node, safe=True)
