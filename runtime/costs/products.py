"""What an operator multiplies, told by the shapes of what it reads and makes.

Multiply-accumulates are counted; sums and functions are not, which is the convention of the published counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Attributes = Mapping[str, int]


def macs(operator: str, inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """The multiply-accumulates of one operator; none of one that multiplies no matrices."""
    return _COUNTS[operator](inputs, outputs, attributes) if operator in _COUNTS else 0


def score_elements(operator: str, inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """How many scores an attention holds: one for each head, row that asks and row that is read."""
    if operator not in _STREAMS:
        return 0
    products = _attention(_STREAMS[operator], inputs, outputs, attributes)
    return products // (2 * attributes["head_dim"])


def _matmul(inputs: Shapes, outputs: Shapes, _: Attributes) -> int:
    return math.prod(outputs[0]) * inputs[0][-1]


def _gemm(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    return math.prod(outputs[0]) * inputs[0][0 if attributes.get("transA", 0) else 1]


def _convolution(inputs: Shapes, outputs: Shapes, _: Attributes) -> int:
    return math.prod(outputs[0]) * math.prod(inputs[1][1:])


def _injection(inputs: Shapes, _: Shapes, __: Attributes) -> int:
    """Nine taps for each element of a stream; version 1 of the operator read both streams as one tensor."""
    return 9 * math.prod(inputs[0]) // (2 if len(inputs) == 3 else 1)


def _joint_attention(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    return _attention(3, inputs, outputs, attributes)


def _dual_attention(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    return _attention(2, inputs, outputs, attributes)


def _attention(streams: int, inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """Every stream is read, and those with an output ask."""
    read = sum(shape[1] for shape in inputs[:streams])
    asking = sum(shape[1] for shape in inputs[: len(outputs)])
    return 2 * inputs[0][0] * asking * read * attributes["heads"] * attributes["head_dim"]


_COUNTS: Mapping[str, Callable[[Shapes, Shapes, Attributes], int]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _convolution,
    "DepthwiseInject": _injection,
    "JointAttention": _joint_attention,
    "JointAttentionFinal": _joint_attention,
    "JointAttentionDual": _dual_attention,
}
_STREAMS: Mapping[str, int] = {"JointAttention": 3, "JointAttentionFinal": 3, "JointAttentionDual": 2}
PRODUCTS = frozenset(_COUNTS)
"""The operators that multiply matrices or convolve."""

VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Expand", "Constant"})
"""Operators that move nothing, and only say how memory is to be read."""
