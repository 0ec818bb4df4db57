"""What this machine can do at best, measured rather than looked up: copies and MatMuls."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.bench.measure.limits import Limits
from dit4sr.runtime.backends.onnxruntime.backend import session_options
from dit4sr.runtime.errors import MissingDependencyError

COPIED, SLICE = 1 << 27, 1 << 23
"""Bytes of the copied array, far more than any cache, and of the part of it that is timed at a time: short
enough to fit between two turns of other work, and out of the caches when its own turn comes again."""
CACHED = 1 << 18
"""Bytes of an array that stays in a core's own cache, beside its copy."""
SIDES, DEVICE_SIDE, DEVICE_COPIED = (384, 1024), 8192, 1 << 30
"""Sides of a MatMul short enough for a busy machine and of one large enough for many cores, and of a
device's; bytes of the array that a device copies."""
LEAST_SECONDS, LEAST_CALLS = 0.1, 5
"""Seconds, and calls, that one measurement takes at least."""
Contenders = dict[str, list[tuple[float, Callable[[], Any]]]]
"""For each limit, the ways to reach it: what one call achieves, and the call."""


class LimitProbe:
    """Measures the limits again and again while other things are measured.

    A limit is what can be reached, so the best of all measurements stands: other work on the
    machine can hide a limit from one of them, but none can make it higher than it is.
    """

    def __init__(self, calls: Contenders, precision: str) -> None:
        self._calls, self._precision = calls, precision
        self._best: dict[str, float] = {}

    def measure(self) -> None:
        """Measure every limit once more, and keep the best."""
        for name, contenders in self._calls.items():
            reached = max(amount / _fastest(call) for amount, call in contenders)
            self._best[name] = max(reached, self._best.get(name, 0.0))

    @property
    def limits(self) -> Limits:
        """The best measurement of each limit so far."""
        if not self._best:
            self.measure()
        return Limits(self._best["copy"], self._best["cached copy"], self._best["matmul"], self._precision)


def probe_for(device: str, precision: str, *, threads: int = 0) -> LimitProbe:
    """The probe for the device that the subject runs on."""
    return host_probe(threads=threads) if device == "cpu" else device_probe(precision)


def host_probe(*, threads: int = 0) -> LimitProbe:
    """The processor's probe: NumPy's copy, and the faster of NumPy's and ONNX Runtime's MatMul, in FP32."""
    calls: Contenders = {
        "copy": [(2.0 * SLICE, _copy_by_slices())],
        "cached copy": [(2.0 * CACHED, _copy(np.ones(CACHED, dtype=np.uint8)))],
        "matmul": [(2.0 * side**3, call) for side in SIDES for call in _matmuls(side, threads)],
    }
    return LimitProbe(calls, "fp32")


def device_probe(precision: str) -> LimitProbe:
    """A CUDA device's probe: torch's copy and cuBLAS's MatMul, in the bundle's precision."""
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
    matmul = [(2.0 * DEVICE_SIDE**3, awaited(lambda: matrix @ matrix))]
    return LimitProbe({"copy": copy, "cached copy": copy, "matmul": matmul}, str(dtype)[6:])


def _fastest(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of many calls."""
    call()
    seconds: list[float] = []
    while len(seconds) < LEAST_CALLS or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _copy(source: np.ndarray[Any, Any]) -> Callable[[], Any]:
    target = source.copy()
    return lambda: np.copyto(target, source)


def _copy_by_slices() -> Callable[[], Any]:
    """A call that copies the next part of a large array every time."""
    source = np.ones((COPIED // SLICE, SLICE), dtype=np.uint8)
    target = source.copy()  # not merely reserved: a page's first use is not what is timed
    turns = itertools.cycle(zip(target, source, strict=True))
    return lambda: np.copyto(*next(turns))


def _matmuls(side: int, threads: int) -> list[Callable[[], Any]]:
    matrix = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    result = np.empty_like(matrix)
    run = _onnxruntime_matmul(matrix, threads)
    return [lambda: np.matmul(matrix, matrix, out=result), *([run] if run is not None else [])]


def _onnxruntime_matmul(matrix: np.ndarray[Any, Any], threads: int) -> Callable[[], Any] | None:
    """A MatMul in ONNX Runtime, where there is a library to write its graph with."""
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
        "matmul",
        [square],
        [result],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "matmul.onnx"
        onnx.save(model, file)
        session = onnxruntime.InferenceSession(
            file, session_options(threads), providers=["CPUExecutionProvider"]
        )
    return lambda: session.run(None, {"x": matrix})
