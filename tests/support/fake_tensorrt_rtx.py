"""TensorRT for RTX on the fake device: our code over the library runs as it is, over classes that compute.

What stands in for the library's classes has their names and nothing they lack, which a test holds; types,
enums and the logger are the library's own.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from support.fake_tensorrt import OURS, UNWRITTEN, FakeExecution, FakeGpu, FakePlan, view
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime.backends.plans.library import logger_class
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.backends.tensorrt_rtx.machine import LIBRARY
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Engine, record_of

trt = pytest.importorskip(
    "tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64"
)
library = pytest.importorskip("dit4sr.runtime.backends.tensorrt_rtx.library")

VERSION = "1.7.1.116"
MACHINE = Machine(
    f"{sys.platform}-{platform.machine()}", LIBRARY, VERSION, True, "13.0", "sm_89", "Fake RTX 4090"
)
Specialisation = trt.DynamicShapesKernelSpecializationStrategy
TYPES = {"float32": trt.DataType.FLOAT, "int64": trt.DataType.INT64}


class FakeRtxGpu(FakeGpu, library.Library):
    """The fake device with our own code over the library."""

    stream = OURS
    load = library.Library.load

    def __init__(self, *, machine: Machine = MACHINE, capacity: int = 1 << 30) -> None:
        FakeGpu.__init__(self, machine=machine, capacity=capacity)
        self.trt, self.name, self.errors = trt, LIBRARY, logger_class(trt)()
        self.runtime = FakeRuntime(self)
        self.compiled: Counter[str] = Counter()
        """How often kernels were compiled, by what they are for."""
        self.validity_bits = 0
        self.is_slow = False
        self.rejects_caches = False
        self.strategies: list[trt.CudaGraphStrategy] = []
        """Of every context that was made."""

    def side_stream(self) -> SimpleNamespace:
        return SimpleNamespace(handle=next(self._sides))

    def put(self, stream: int, run: Callable[[], None]) -> None:
        """Run now, also on a stream beside ours, unless that one is recorded."""
        super().put(stream if stream in self._recordings else OURS, run)

    def synchronise(self) -> None:
        """The fake has done everything by the time it is asked."""


class FakeRuntime:
    """Reads plans of the fake builder's."""

    engine_header_size = 64

    def __init__(self, gpu: FakeRtxGpu) -> None:
        self._gpu = gpu

    def get_engine_validity(self, buffer: bytes) -> tuple[trt.EngineValidity, int]:
        assert len(buffer) <= self.engine_header_size, "the header would do"
        bits = self._gpu.validity_bits
        if not buffer.startswith(b'{"tensorrt"'):
            bits |= trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE.value
        elif self._gpu.machine.version.encode() not in buffer:
            bits |= trt.EngineInvalidityDiagnostics.VERSION_MISMATCH.value
        fine = trt.EngineValidity.SUBOPTIMAL if self._gpu.is_slow else trt.EngineValidity.VALID
        return (trt.EngineValidity.INVALID if bits else fine), bits

    def deserialize_cuda_engine(self, serialized_engine: bytes | memoryview) -> FakeEngine | None:
        header, _, content = bytes(serialized_engine).partition(b"\n")
        facts = json.loads(header)
        if facts["tensorrt"] != self._gpu.machine.version:
            self._gpu.errors.log(trt.ILogger.Severity.ERROR, "it was built with another version")
            return None
        self._gpu.loads += 1
        return FakeEngine(self._gpu, FakePlan(self._gpu, onnx.load_from_string(content), facts))


class FakeEngine:
    """A plan of the fake's by the library's names."""

    def __init__(self, gpu: FakeRtxGpu, plan: FakePlan) -> None:
        self._gpu, self._plan = gpu, plan
        self._known = {binding.name: binding for binding in plan.bindings}
        gpu.resident.add(plan)

    @property
    def num_io_tensors(self) -> int:
        return len(self._known)

    @property
    def num_optimization_profiles(self) -> int:
        return self._plan.profiles

    def get_tensor_name(self, index: int) -> str:
        return list(self._known)[index]

    def get_tensor_dtype(self, name: str) -> trt.DataType:
        return TYPES[str(self._known[name].dtype)]

    def get_tensor_mode(self, name: str) -> trt.TensorIOMode:
        return trt.TensorIOMode.INPUT if self._known[name].is_input else trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._known[name].shape

    def create_runtime_config(self) -> FakeConfig:
        return FakeConfig(self._gpu)

    def create_execution_context(self, *, runtime_config: FakeConfig) -> FakeContext | None:
        return FakeContext(self._gpu, self._plan, runtime_config)


class FakeConfig:
    """How a context is to run."""

    def __init__(self, gpu: FakeRtxGpu) -> None:
        self._gpu, self._cache = gpu, FakeKernels(gpu)
        self.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED
        self.dynamic_shapes_kernel_specialization_strategy = Specialisation.NONE

    def create_runtime_cache(self) -> FakeKernels:
        return FakeKernels(self._gpu)

    def set_runtime_cache(self, cache: FakeKernels) -> bool:
        self._cache = cache
        return True

    def get_runtime_cache(self) -> FakeKernels:
        return self._cache


class FakeKernels:
    """Names of kernels that were compiled."""

    def __init__(self, gpu: FakeRtxGpu) -> None:
        self._gpu = gpu
        self._names: set[str] = set()

    def deserialize(self, blob: bytes) -> bool:
        if not self._gpu.rejects_caches:
            self._names = set(json.loads(blob))
        return not self._gpu.rejects_caches

    def serialize(self) -> bytes:
        return json.dumps(sorted(self._names)).encode()

    def _compile(self, name: str) -> None:
        if name not in self._names:
            self._gpu.compiled[name] += 1
            self._names.add(name)


class FakeContext:
    """An execution by the library's names, which records itself where it is told to."""

    def __init__(self, gpu: FakeRtxGpu, plan: FakePlan, config: FakeConfig) -> None:
        self._gpu, self._config, self._execution = gpu, config, FakeExecution(plan)
        self._is_lazy = config.dynamic_shapes_kernel_specialization_strategy == (Specialisation.LAZY)
        self._launch: Callable[[], None] | None = None
        self._compiling: str | None = None
        gpu.executions += 1
        gpu.strategies.append(config.cuda_graph_strategy)
        config.get_runtime_cache()._compile(plan.name)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return _is_done(lambda: self._execution.set_shape(name, shape))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._execution.shape(name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        return _is_done(lambda: self._execution.bind(name, memory))

    def execute_async_v3(self, stream_handle: int) -> bool:
        is_plain = self._config.cuda_graph_strategy == trt.CudaGraphStrategy.DISABLED
        assert is_plain == (stream_handle == OURS), "what other threads put there would be recorded"
        if is_plain:
            self._execution.enqueue(stream_handle)
            self._specialise()
            return True
        if self._launch is None:
            self._require_values()
            try:
                self._launch = self._gpu.record(self._execution.enqueue)
            except RuntimeError as error:
                self._gpu.errors.log(trt.ILogger.Severity.ERROR, str(error))
                return False
        self._launch()
        return True

    def _require_values(self) -> None:
        """On memory that nobody has written to, a table may be read beyond its end."""
        execution = self._execution
        for binding in execution.plan.bindings:
            if binding.is_input:
                address, shape = execution.addresses[binding.name], execution.shapes[binding.name]
                values = view(self._gpu, address, shape, binding.dtype)
                assert (values.reshape(-1).view(np.uint8) != UNWRITTEN).any(), binding.name

    def _specialise(self) -> None:
        """Kernels for sizes that are free are there one run after they were wanted."""
        if not self._execution.plan.shapes or not self._is_lazy:
            return
        if self._compiling is not None:
            self._config.get_runtime_cache()._compile(self._compiling)
        self._compiling = f"{self._execution.plan.name} {sorted(self._execution.shapes.items())}"


def _is_done(work: Callable[[], None]) -> bool:
    try:
        work()
    except RuntimeError:
        return False
    return True


STANDS_FOR = {
    FakeRuntime: trt.Runtime,
    FakeEngine: trt.ICudaEngine,
    FakeConfig: trt.IRuntimeConfig,
    FakeKernels: trt.IRuntimeCache,
    FakeContext: trt.IExecutionContext,
}


# ----------------------------------------------------------------------------------------- in their place


def install(monkeypatch, gpu: FakeRtxGpu) -> None:
    """Make the runtime find this device and library."""
    monkeypatch.setattr(
        "dit4sr.runtime.backends.tensorrt_rtx.compatibility.this_machine", lambda: gpu.machine
    )
    monkeypatch.setattr("dit4sr.runtime.backends.tensorrt_rtx.library.Library", lambda _: gpu)


def other(**changes: object) -> Machine:
    """The machine, but for something."""
    return replace(MACHINE, **changes)


def rtx_bundle(folder: Path) -> Bundle:
    """The toy bundle with the fake builder's plans as this library would have made them."""
    bundle = plan_bundle(folder, FakeGpu())
    engines = tuple(_of_this_library(bundle, engine) for engine in bundle.engines)
    manifest = replace(bundle.manifest, engines=engines)
    (bundle.path / MANIFEST).write_text(manifest.to_text())
    return Bundle.open(bundle.path, trust_engines=True)


def _of_this_library(bundle: Bundle, engine: Engine) -> Engine:
    content = bundle.content(engine.files[0])
    header, _, model = content.partition(b"\n")
    old = bundle.path / engine.files[0].path
    plan = bundle.path / "engines" / f"{NAME}-80-89" / old.name
    plan.parent.mkdir(exist_ok=True)
    plan.write_bytes(json.dumps(json.loads(header) | {"tensorrt": VERSION}).encode() + b"\n" + model)
    layers = plan.with_suffix(".layers.json")
    layers.write_text("[]")
    return replace(
        engine,
        backend=NAME,
        files=(record_of(plan, bundle.path), record_of(layers, bundle.path)),
        gpu_architecture="sm_80+sm_89",
        versions={"tensorrt_rtx": VERSION},
    )


def another_process(monkeypatch, **changes) -> FakeRtxGpu:
    """A device on which nothing has been compiled yet."""
    found = FakeRtxGpu(machine=other(**changes))
    install(monkeypatch, found)
    return found
