"""The protocol over TensorRT for RTX, which compiles kernels on the card and records runs by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.plans.library import DeviceExecution, DevicePlan, PlanLibrary
from dit4sr.runtime.backends.tensorrt_rtx.machine import LIBRARY, module, this_machine
from dit4sr.runtime.backends.tensorrt_rtx.runtime_cache import RuntimeCache
from dit4sr.runtime.backends.tensorrt_rtx.validity import Validity

trt = module()


class Library(PlanLibrary):
    """TensorRT for RTX on a CUDA device."""

    def __init__(self, stream: int | None = None) -> None:
        super().__init__(trt, LIBRARY, stream)
        self.machine = this_machine()

    @property
    def header_size(self) -> int:
        """Bytes of a plan that tell whether it is valid here."""
        return int(self.runtime.engine_header_size)

    def validity(self, header: bytes) -> Validity:
        """What the library says of a plan that begins with these bytes."""
        return validity_of(header, self.runtime, self.errors)

    def load(self, plan: bytes | memoryview, cache: RuntimeCache) -> RtxDevicePlan:
        """Read a plan, and the kernels that were compiled for it before."""
        return RtxDevicePlan(self, self.engine(plan), cache)


def validity_of(header: bytes, runtime: Any, errors: Any) -> Validity:
    """A runtime's answer; where it gives no diagnostics, what it has logged is all there is."""
    errors.taken()
    verdict, bits = runtime.get_engine_validity(header)
    known = trt.EngineInvalidityDiagnostics.__members__
    names = tuple(name for name, member in known.items() if bits & member.value)
    return Validity(verdict.name, names, errors.taken())


class RtxDevicePlan(DevicePlan):
    """A plan of TensorRT for RTX, and the kernels that have been compiled for it."""

    def __init__(self, library: Library, engine: Any, kept: RuntimeCache) -> None:
        super().__init__(library, engine)
        self._kept, self._lock = kept, threading.Lock()
        self._kernels = engine.create_runtime_config().create_runtime_cache()
        content = kept.read()
        is_taken = bool(content) and self._kernels.deserialize(content)
        self._written = hash(content) if is_taken else None

    @property
    def has_free_sizes(self) -> bool:
        """True if any size is for the caller to choose."""
        return any(size < 0 for binding in self.bindings for size in binding.shape)

    def execution(self, profile: int) -> RtxExecution:
        """A context, for good at one profile, whose runs are launched kernel by kernel."""
        return RtxExecution(self, trt.CudaGraphStrategy.DISABLED, profile)

    def config(self, strategy: Any) -> Any:
        """How a context is to run."""
        config = self.engine.create_runtime_config()
        config.cuda_graph_strategy = strategy
        # It matters where sizes are free, and pictures come in any size: each runs at once on kernels for all
        # sizes, and on its own from when these are compiled, which happens in the background.
        lazy = trt.DynamicShapesKernelSpecializationStrategy.LAZY
        config.dynamic_shapes_kernel_specialization_strategy = lazy
        self.library.errors.require(config.set_runtime_cache(self._kernels), "kernels cannot be kept")
        return config

    def context(self, config: Any) -> Any:
        """A context, for which the library compiles what it has no kernels for; in one thread at a time."""
        with self._lock:
            return self.engine.create_execution_context(runtime_config=config)

    def keep(self) -> None:
        """Write the kernels that have been compiled by now, if there are others than before."""
        with self._lock:
            content = bytes(self._kernels.serialize() or b"")
            if content and hash(content) != self._written:
                self._kept.write(content)
                self._written = hash(content)


class RtxExecution(DeviceExecution):
    """A context of TensorRT for RTX. To make it is to compile what the cache does not have."""

    def __init__(self, plan: RtxDevicePlan, strategy: Any, profile: int = 0) -> None:
        self._config, self._rtx_plan, self._runs = plan.config(strategy), plan, 0
        super().__init__(plan, plan.context(self._config), profile)
        plan.keep()

    def enqueue(self, stream: int) -> None:
        """Put a run at the end of a stream."""
        super().enqueue(stream)
        self._runs += 1
        # Kernels for a size that is new are there some runs later: looked for after one, two, four and so on.
        if self._rtx_plan.has_free_sizes and self._runs.bit_count() == 1:
            self._rtx_plan.keep()

    def record(self, addresses: Mapping[str, int]) -> Callable[[], None]:
        """A context of its own that the library records when it is first run, and replays from then on."""
        recorded = RtxExecution(self._rtx_plan, trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE)
        for name, address in addresses.items():
            recorded.bind(name, address)
        launch = RtxRecording(self._library, recorded)
        # Whoever holds the recording against the plan is to see replays of it.
        for _ in range(WARM_RUNS):
            launch()
        return launch


class RtxRecording:
    """A context that the library records when it sees fit: on a stream that nobody else puts anything on."""

    def __init__(self, library: PlanLibrary, recorded: RtxExecution) -> None:
        self._library, self._recorded, self._side = library, recorded, library.side_stream()

    def __call__(self) -> None:
        """Run after all that our stream holds, and before whatever is put on it next."""
        library, side = self._library, self._side.handle
        library.follow(side, after=library.stream)
        self._recorded.enqueue(side)
        library.follow(library.stream, after=side)
