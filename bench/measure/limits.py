"""What this machine can do at best, measured rather than looked up: copies and products."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.runtime.backends.onnxruntime.backend import session_options
from dit4sr.runtime.errors import MissingDependencyError

COPIED, SLICE = 1 << 27, 1 << 23
"""Bytes of the copied array, far more than any cache, and of the part of it that is timed at a time: short
enough to fit between two turns of other work, and out of the caches when its own turn comes again."""
CACHED = 1 << 18
"""Bytes of one that stays in a core's own cache, beside its copy."""
SIDES, DEVICE_SIDE, DEVICE_COPIED = (384, 1024), 8192, 1 << 30
"""A product short enough for a busy machine, and one large enough for many cores."""
LOOK, REPEATS = 0.1, 5
"""Seconds, and calls, that one look takes at least."""
MEMORY, CACHES, COMPUTE = "memory", "caches", "compute"


@dataclass(frozen=True)
class Limits:
    """The roof: bytes and floating-point operations per second."""

    copy_bandwidth: float
    """Of arrays far larger than the caches."""
    cached_bandwidth: float
    """Of arrays that stay in them."""
    matmul_rate: float
    precision: str
    source: str = MEMORY
    """Where bytes come from: the memory, or for a small network the caches."""

    def for_weights(self, weight_bytes: int) -> Limits:
        """The roof of a network of this size: one that fits the last cache is read from there."""
        return self if weight_bytes > last_cache() else replace(self, source=CACHES)

    def seconds(self, flops: float, moved: float) -> float:
        """The least time for so much arithmetic and traffic, the two overlapping perfectly."""
        return max(flops / self.matmul_rate, moved / self._bandwidth)

    def bound(self, flops: float, moved: float) -> str:
        """Which of the two is the limit."""
        return COMPUTE if flops / self.matmul_rate >= moved / self._bandwidth else self.source

    @property
    def _bandwidth(self) -> float:
        return self.cached_bandwidth if self.source == CACHES else self.copy_bandwidth


class Gauge:
    """Measures the limits again and again while other things are measured.

    A limit is what can be reached, so the best of all looks stands: other work on the machine can hide a
    limit from one look, but none can make it higher than it is.
    """

    def __init__(self, calls: Contenders, precision: str) -> None:
        self._calls, self._precision = calls, precision
        self._best: dict[str, float] = {}

    def look(self) -> None:
        """Measure once more."""
        for name, contenders in self._calls.items():
            reached = max(amount / _fastest(call) for amount, call in contenders)
            self._best[name] = max(reached, self._best.get(name, 0.0))

    @property
    def limits(self) -> Limits:
        """The best so far."""
        if not self._best:
            self.look()
        return Limits(self._best["copy"], self._best["cached copy"], self._best["product"], self._precision)


Contenders = dict[str, list[tuple[float, Callable[[], Any]]]]
"""For each limit, the ways to reach it: what one call achieves, and the call."""


def gauge_for(device: str, precision: str, *, threads: int = 0) -> Gauge:
    """Of the device that the subject runs on."""
    return host_gauge(threads=threads) if device == "cpu" else device_gauge(precision)


def host_gauge(*, threads: int = 0) -> Gauge:
    """The processor's: NumPy's copy, and the faster of NumPy's and ONNX Runtime's product, in FP32."""
    calls: Contenders = {
        "copy": [(2.0 * SLICE, _copy_by_slices())],
        "cached copy": [(2.0 * CACHED, _copy(np.ones(CACHED, dtype=np.uint8)))],
        "product": [(2.0 * side**3, call) for side in SIDES for call in _products(side, threads)],
    }
    return Gauge(calls, "fp32")


def device_gauge(precision: str) -> Gauge:
    """A CUDA device's: torch's copy and cuBLAS's product, in the bundle's precision."""
    try:
        import torch  # noqa: PLC0415  (2 GB that only this needs)
    except ImportError:
        raise MissingDependencyError(
            "no torch to measure the device's limits with", fix="pip install 'dit4sr[export]'"
        ) from None
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
    source = torch.ones(DEVICE_COPIED, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    matrix = torch.randn(DEVICE_SIDE, DEVICE_SIDE, dtype=dtype, device="cuda")

    def awaited(call: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            call()
            torch.cuda.synchronize()

        return run

    copy = [(2.0 * DEVICE_COPIED, awaited(lambda: target.copy_(source)))]
    product = [(2.0 * DEVICE_SIDE**3, awaited(lambda: matrix @ matrix))]
    return Gauge({"copy": copy, "cached copy": copy, "product": product}, str(dtype)[6:])


def last_cache() -> int:
    """Bytes of the processor's last cache; 0 where the system does not say."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    found = [file.read_text(encoding="ascii").strip() for file in sorted(folder.glob("index*/size"))]
    units = {"K": 1 << 10, "M": 1 << 20}
    return max((int(text[:-1]) * units.get(text[-1], 0) for text in found), default=0)


def _fastest(call: Callable[[], Any]) -> float:
    """The best of many."""
    call()
    seconds: list[float] = []
    while len(seconds) < REPEATS or sum(seconds) < LOOK:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _copy(source: np.ndarray[Any, Any]) -> Callable[[], Any]:
    target = source.copy()
    return lambda: np.copyto(target, source)


def _copy_by_slices() -> Callable[[], Any]:
    """Copies the next part of a large array at every call."""
    source = np.ones((COPIED // SLICE, SLICE), dtype=np.uint8)
    target = source.copy()  # not merely reserved: a page's first use is not what is timed
    turns = itertools.cycle(zip(target, source, strict=True))
    return lambda: np.copyto(*next(turns))


def _products(side: int, threads: int) -> list[Callable[[], Any]]:
    matrix = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    result = np.empty_like(matrix)
    run = _onnxruntime_product(matrix, threads)
    return [lambda: np.matmul(matrix, matrix, out=result), *([run] if run is not None else [])]


def _onnxruntime_product(matrix: np.ndarray[Any, Any], threads: int) -> Callable[[], Any] | None:
    """A product in ONNX Runtime, where there is a library to write its graph with."""
    try:
        import onnx  # noqa: PLC0415
        import onnxruntime  # noqa: PLC0415
    except ImportError:
        return None
    sides = list(matrix.shape)
    square = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, sides)
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sides)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [square],
        [result],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "product.onnx"
        onnx.save(model, file)
        session = onnxruntime.InferenceSession(
            file, session_options(threads), providers=["CPUExecutionProvider"]
        )
    return lambda: session.run(None, {"x": matrix})
