"""The grids that numbers are rounded to: E4M3 and the whole numbers of eight and four bits, all symmetric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SMALLEST_SCALE = 2.0**-20
"""The smallest scale: below, a half has hardly a digit left, and TensorRT refuses a scale of zero."""


@dataclass(frozen=True)
class Format:
    """A grid that tensors are stored in; a number is its stored value times a scale."""

    name: str
    dtype: ir.DataType
    storage: Any
    """NumPy's type of the stored values."""
    largest: float

    def quantise(self, values: NDArray[Any], scale: NDArray[Any] | float) -> NDArray[Any]:
        """Round to stored values, ties to even, saturating. Division is in FP32, as in ONNX Runtime."""
        scaled = np.asarray(values, np.float32) / np.asarray(scale, np.float32)
        clipped = np.clip(scaled, -self.largest, self.largest)
        # Casts to E4M3 round by themselves; those to whole numbers cut off.
        return (clipped if self is FP8 else np.rint(clipped)).astype(self.storage)

    def dequantise(self, stored: NDArray[Any], scale: NDArray[Any] | float) -> Floats:
        """The numbers that stored values stand for."""
        return stored.astype(np.float32) * np.asarray(scale, np.float32)

    def rounded(self, values: NDArray[Any], scale: NDArray[Any] | float) -> Floats:
        """The numbers as they come back from being stored."""
        return self.dequantise(self.quantise(values, scale), scale)

    def scale_for(self, reach: NDArray[Any] | float) -> Floats:
        """Scales that just hold values up to ``reach``, as numbers of half precision, rounded up."""
        exact = np.maximum(np.asarray(reach, np.float64) / self.largest, SMALLEST_SCALE)
        half = exact.astype(np.float16)
        half = np.where(half.astype(np.float64) < exact, np.nextafter(half, np.float16(np.inf)), half)
        return np.asarray(half, np.float32)


FP8 = Format("fp8", ir.DataType.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn, 448.0)
INT8 = Format("int8", ir.DataType.INT8, np.int8, 127.0)
INT4 = Format("int4", ir.DataType.INT4, ml_dtypes.int4, 7.0)
FORMATS = {format_.name: format_ for format_ in (FP8, INT8, INT4)}
