"""From a module on meta tensors to a graph without weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import onnx_ir as ir
import torch

from dit4sr.export.component import ComponentSource
from dit4sr.export.libraries import quiet_libraries
from dit4sr.kernels.depthwise_inject import onnx_function as depthwise_inject
from dit4sr.kernels.joint_attention import onnx_function as joint_attention
from dit4sr.runtime.axes import Sizes, axis_length

OPSET = {"fp32": 21, "fp16": 21, "bf16": 23}
"""Opset by precision: convolutions take BF16 from 22 on; everything else is content with 21."""


def trace(source: ComponentSource, sizes: Sizes, *, static: bool, opset: int) -> ir.Model:
    """Trace a source; axes are symbolic unless ``static``, and initialisers are names without data."""
    with torch.device("meta"):
        example = tuple(
            torch.empty([axis_length(axis, sizes) for axis in spec.shape], dtype=getattr(torch, spec.dtype))
            for spec in source.inputs
        )
    dynamic = [
        {
            i: torch.export.Dim.AUTO
            for i, axis in enumerate(spec.shape)
            if isinstance(axis, str) and not static
        }
        for spec in source.inputs
    ]
    with quiet_libraries():
        program = torch.export.export(
            source.module,
            example,
            dynamic_shapes=dict(inspect.signature(source.module.forward).bind(*dynamic).arguments),
            strict=False,
            # Rows are branches times images. As a guard that would be a constraint on three axes, which the
            # exporter cannot state; as a deferred assertion it stays out of the way.
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            custom_translation_table={
                **depthwise_inject.translation_table(),
                **joint_attention.translation_table(),
            },
            optimize=False,
        )
    assert exported is not None
    model = exported.model
    _name_inputs_and_outputs(model, source)
    _name_axes(model, source, static=static)
    _drop_data(model)
    return model


def attach_operators(model: ir.Model) -> None:
    """Give our operators their bodies; the last change a graph sees."""
    operators = {node.op_type for node in model.graph if node.domain == "dit4sr"}
    if "DepthwiseInject" in operators:
        depthwise_inject.attach(model)
    if operators - {"DepthwiseInject"}:
        joint_attention.attach(model)


def _name_inputs_and_outputs(model: ir.Model, source: ComponentSource) -> None:
    for value, name in zip(model.graph.outputs, source.outputs, strict=True):
        value.name = name
    for value, spec in zip(model.graph.inputs, source.inputs, strict=True):
        value.name = spec.name


def _name_axes(model: ir.Model, source: ComponentSource, *, static: bool) -> None:
    """Replace the tracer's symbols by ours, everywhere; two of its symbols may be one axis of ours."""
    names: dict[str, str] = {}
    for value, spec in zip(model.graph.inputs, source.inputs, strict=True):
        for axis, traced in zip(spec.shape, value.shape or (), strict=True):
            if isinstance(traced, ir.SymbolicDim) and isinstance(axis, str):
                names.setdefault(str(traced.value), axis)
            elif isinstance(axis, str) and not static:
                raise AssertionError(f"{source.name}: axis {axis} of {spec.name} was traced as fixed")

    def renamed(dim: int | ir.SymbolicDim) -> int | ir.SymbolicDim:
        if isinstance(dim, int) or dim.value is None:
            return dim
        return ir.SymbolicDim(re.sub(r"\bs\d+\b", lambda m: names.get(m[0], m[0]), dim.value))

    for value in _values(model):
        if value.shape is not None:
            value.shape = ir.Shape([renamed(dim) for dim in value.shape])


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from model.graph.inputs
    for node in model.graph:
        yield from node.outputs


def _drop_data(model: ir.Model) -> None:
    """Turn parameters into names to bind later; constants that tracing lifted keep their data."""
    for value in model.graph.initializers.values():
        data = getattr(value.const_value, "raw", None)
        if isinstance(data, torch.Tensor) and data.is_meta:
            value.const_value = None
