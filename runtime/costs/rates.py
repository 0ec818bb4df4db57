"""What this machine's processor does in a second, measured as it is now, other work beside it included."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dit4sr.runtime.backends.onnxruntime.backend import session_options
from dit4sr.runtime.bundles.wire import field

SIDE = 512
"""Of the matrices: large enough for all cores, and multiplied in milliseconds."""
COPIED = 1 << 24
"""Bytes of the array that is copied: more than caches hold."""
LEAST_SECONDS, LEAST_CALLS = 0.15, 3


@dataclass(frozen=True)
class Rates:
    """Floating-point operations, and bytes, of a second."""

    arithmetic: float
    """In ONNX Runtime's MatMul, in FP32."""
    copying: float
    """Bytes read and written by one core that copies."""

    def seconds(self, flops: float, moved: float) -> float:
        """The time for so much arithmetic and traffic, one after the other."""
        return flops / self.arithmetic + moved / self.copying


NOMINAL = Rates(3e11, 1e10)
"""Those of two recent cores: enough to compare parts of one bundle with one another, and for nothing else."""


def measured_rates(threads: int = 0) -> Rates:
    """Measure in about half a second: what is reached on average, not at best."""
    import onnxruntime  # noqa: PLC0415 - costs a third of a second, and only if used

    session = onnxruntime.InferenceSession(
        _MATMUL, session_options(threads), providers=["CPUExecutionProvider"]
    )
    matrix = np.ones((SIDE, SIDE), dtype=np.float32)
    source = np.ones(COPIED, dtype=np.uint8)
    target = source.copy()  # not merely reserved: a page's first use is not what is timed
    return Rates(
        2 * SIDE**3 / _mean_seconds(lambda: session.run(None, {"x": matrix, "w": matrix})),
        2 * COPIED / _mean_seconds(lambda: np.copyto(target, source)),
    )


def _mean_seconds(call: Callable[[], Any]) -> float:
    call()
    start, calls = time.perf_counter(), 0
    while calls < LEAST_CALLS or time.perf_counter() - start < LEAST_SECONDS:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def _float_matrix(name: bytes) -> bytes:
    sides = field(1, b"") + field(1, b"")
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sides)))


_NODE = field(1, b"x") + field(1, b"w") + field(2, b"y") + field(4, b"MatMul")
_GRAPH = (
    field(1, _NODE)
    + field(2, b"g")
    + field(11, _float_matrix(b"x"))
    + field(11, _float_matrix(b"w"))
    + field(12, _float_matrix(b"y"))
)
_MATMUL = field(1, 8) + field(7, _GRAPH) + field(8, field(2, 18))
"""An ONNX file of one MatMul, format 8 and operator set 18: the runtime has no library that writes them."""
