"""One layer of a plan: what kind of kernel it is, what it multiplies, and what it moves.

Multiply-accumulates are counted, each as two floating-point operations, as everywhere here. Bytes are those
of all that a kernel reads and writes, as the compiler lists it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PRODUCT, ATTENTION, CONVOLUTION = "product", "attention", "convolution"
POINTWISE, COPY = "pointwise", "copy"
KINDS = (PRODUCT, ATTENTION, CONVOLUTION, POINTWISE, COPY)
"""What a kernel does: multiply matrices, a fused attention, convolve, compute by element, or only move."""

TRANSPOSED = "deconv"
"""The compiler's type of a transposed convolution."""
_NO_KERNELS = {"signal", "wait", "shape_call"}
_ITEM_SIZES = {
    "Float": 4, "Half": 2, "BFloat16": 2, "FP8": 1, "E4M3": 1, "Int8": 1, "UInt8": 1, "Bool": 1, "Int32": 4,
    "Int64": 8, "Int4": 0.5, "FP4": 0.5,
}  # fmt: skip
_PRECISIONS = {
    "Float": "fp32",
    "Half": "fp16",
    "BFloat16": "bf16",
    "FP8": "fp8",
    "E4M3": "fp8",
    "Int8": "int8",
}
_FUSED_ATTENTION = re.compile(r"_mha|fmha|flash_?att", re.IGNORECASE)
_STEPS = re.compile(r"[A-Z][a-z0-9]*")
_MOVING = {"Cast", "Conc", "Copy", "Move", "Repl", "Resh", "Shuf", "Slic", "Tran"}
"""The compiler names a generated kernel by its steps, as ``MulAddCast``; these compute nothing."""


@dataclass(frozen=True)
class Tensor:
    """A tensor that a kernel reads or writes."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it occupies; a type that is not known counts as four bytes an element."""
        return math.ceil(self.elements * _ITEM_SIZES.get(self.dtype, 4))


@dataclass(frozen=True)
class Layer:
    """A layer as its compiler lists it."""

    name: str
    type: str
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: tuple[str, ...]
    """Names of the ONNX nodes that it came from, as they stand in the graph."""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Layer:
        """Read an entry of a list of layers."""
        return cls(
            name=entry["Name"],
            type=entry["LayerType"],
            inputs=_tensors(entry["Inputs"]),
            constants=_tensors(entry["Constants"]),
            outputs=_tensors(entry["Outputs"]),
            nodes=_nodes(entry["Metadata"]),
        )

    @property
    def is_kernel(self) -> bool:
        """False for what only waits for another layer, or computes shapes on the host."""
        return self.type not in _NO_KERNELS

    @cached_property
    def kind(self) -> str:
        """One of `KINDS`."""
        if _FUSED_ATTENTION.search(self.name):
            return ATTENTION
        steps = self._steps
        if self.type in {"correlation", TRANSPOSED} or "Corr" in steps:
            return CONVOLUTION
        if self.type == "gemm" or "Fc" in steps or "Gemm" in steps:
            return PRODUCT
        return COPY if steps and steps <= _MOVING else POINTWISE

    @property
    def precision(self) -> str:
        """The type in which the operands of a product or convolution meet: the wider of the two."""
        widest = max(_operands(self), key=lambda tensor: _ITEM_SIZES.get(tensor.dtype, 4), default=None)
        return _PRECISIONS.get(widest.dtype, widest.dtype.lower()) if widest else ""

    @property
    def is_counted(self) -> bool:
        """True if all its sizes are numbers; a plan for ranges of sizes leaves them open."""
        return all(size >= 0 for tensor in self._tensors for size in tensor.shape)

    @property
    def bytes_read(self) -> int:
        """Bytes of inputs and constants."""
        return sum(tensor.bytes for tensor in (*self.inputs, *self.constants))

    @property
    def bytes_written(self) -> int:
        """Bytes of outputs."""
        return sum(tensor.bytes for tensor in self.outputs)

    @property
    def bytes(self) -> int:
        """Bytes that it moves."""
        return self.bytes_read + self.bytes_written

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of its products."""
        if self.kind == PRODUCT:
            return _product_flops(self)
        if self.kind == ATTENTION:
            return _attention_flops(self.inputs)
        return _convolution_flops(self) if self.kind == CONVOLUTION else 0

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs, *self.constants, *self.outputs)

    @cached_property
    def _steps(self) -> set[str]:
        found = re.match(r"_*myl_([A-Za-z0-9]+?)_(?:myl\d|0x)", self.name)
        return set(_STEPS.findall(found[1])) if found else set()


def _tensors(entries: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(tuple(entry["Dimensions"]), entry["Datatype"]) for entry in entries)


def _nodes(metadata: str) -> tuple[str, ...]:
    """Node names from ``[ONNX Layer: inner | outer (Operator)]…``: the outermost is what the graph holds."""
    names = (part.rpartition("]")[0] for part in metadata.split("[ONNX Layer: ")[1:])
    return tuple(re.sub(r" \(\w+\)$", "", name.split(" | ")[-1]) for name in names)


def _operands(layer: Layer) -> tuple[Tensor, ...]:
    """What is multiplied: an input and the weights, or two inputs where there are none.

    Biases, scales and the residual of a fused epilogue are read too. They do not fit together as a product
    does or, if they do, are of another type than the weights.
    """
    largest = max(layer.constants, key=lambda tensor: tensor.elements, default=None)
    is_weighted = largest is not None and sum(size > 1 for size in largest.shape) > 1
    seconds = [largest] if largest is not None and is_weighted else list(layer.inputs[1:])
    pairs = [(first, second) for second in seconds for first in layer.inputs if first is not second]
    pairs.sort(key=lambda pair: pair[0].dtype != pair[1].dtype)
    return next((pair for pair in pairs if _inner_size(*pair, layer.outputs)), pairs[0] if pairs else ())


def _inner_size(first: Tensor, second: Tensor, outputs: Sequence[Tensor]) -> int:
    """The size over which two operands are multiplied: ``|A|·|B|/|C|`` is its square, in whatever layout.

    All products of a batch may read the same first operand. 0 if the three are no product, for that size is
    one of both.
    """
    result, batch = (outputs[0].elements if outputs else 0), math.prod(second.shape[:-2])
    if result <= 0 or batch <= 0:
        return 0
    for readers in (1, batch):
        square, rest = divmod(readers * first.elements * second.elements, result * batch)
        inner = math.isqrt(max(square, 0))
        if not rest and inner * inner == square and inner in first.shape and inner in second.shape:
            return inner
    return 0


def _product_flops(layer: Layer) -> int:
    """Operations of a product: every element of its result sums over the inner size."""
    operands = _operands(layer)
    inner = _inner_size(operands[0], operands[1], layer.outputs) if len(operands) == 2 else 0
    return 2 * layer.outputs[0].elements * inner if inner else 0


def _attention_flops(inputs: Sequence[Tensor]) -> int:
    """Operations of ``softmax(QKᵀ)V``: each of the two products meets every query with every key."""
    queries, keys = inputs[0], inputs[1]
    heads, width = math.prod(queries.shape[:-2]), queries.shape[-1]
    return 4 * queries.elements * (keys.elements // max(heads * width, 1))


def _convolution_flops(layer: Layer) -> int:
    """Operations of a convolution: every output meets all taps of its channels; transposed, every input."""
    weights = max(layer.constants or layer.inputs[1:], key=lambda tensor: tensor.elements, default=None)
    if weights is None or not layer.outputs:
        return 0
    meeting = layer.inputs[0] if layer.type == TRANSPOSED else layer.outputs[0]
    return 2 * meeting.elements * math.prod(weights.shape[1:])
