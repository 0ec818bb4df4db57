"""A graph's inputs and outputs as the manifest describes them."""

from __future__ import annotations

import onnx_ir as ir

from dit4sr.runtime.bundles.manifest import TensorSpec


def tensor_spec(value: ir.Value) -> TensorSpec:
    """Describe an input or output by name, type and shape, symbolic axes as their expressions."""
    assert value.name is not None
    assert value.dtype is not None
    shape = tuple(axis if isinstance(axis, int) else str(axis.value) for axis in value.shape or ())
    return TensorSpec(value.name, str(value.dtype.numpy()), shape)
