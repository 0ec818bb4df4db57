"""DepthwiseInject as TensorRT's compiler fuses it: nine shifted multiply-adds in one kernel.

As a convolution it costs the compiler a kernel of its own and two that turn channels last into channels first
and back. Shifts are pointwise to it: everything from the padding to the sum becomes one kernel, which reads
both streams and writes one.
"""

import onnx_ir
from onnx_ir import DataType, Value

from dit4sr.kernels.onnx_domain import Operators

__all__ = ["body"]

_TO_THE_END = 2**62


def body() -> onnx_ir.Function:
    """Write the reference in ONNX as shifts of the padded LR stream, summed in FP32 and rounded once."""
    op = Operators()
    noise, lr, weight, bias = inputs = [Value(name=name) for name in ("noise", "lr", "weight", "bias")]
    one = op.integers(1)
    grid = op.Concat(one, op.Shape(lr, start=1, end=3), one, axis=0)
    # The rim repeats the edge, times zero: zeros of their own would be four more tensors to read.
    rim = op.integers(0, 1, 1, 0, 0, 1, 1, 0)
    inside = op.Pad(op.Expand(op.number(1.0), grid), rim)
    padded = op.Mul(op.Cast(op.Pad(lr, rim, mode="edge"), to=DataType.FLOAT), inside)
    taps = op.Split(op.Reshape(weight, op.integers(9, -1)), axis=0, num_outputs=9, outputs=9)
    total = op.Add(op.Cast(noise, to=DataType.FLOAT), op.Cast(bias, to=DataType.FLOAT))
    for place, tap in enumerate(taps):
        row, column = divmod(place, 3)
        ends = (corner - 2 or _TO_THE_END for corner in (row, column))
        shifted = op.Slice(padded, op.integers(row, column), op.integers(*ends), op.integers(1, 2))
        total = op.Add(total, op.Mul(shifted, op.Cast(tap, to=DataType.FLOAT)))
    function = op.function("DepthwiseInject", inputs, [op.CastLike(total, noise)])
    function.attributes["channels"] = onnx_ir.Attr("channels", onnx_ir.AttributeType.INT, None)
    return function
