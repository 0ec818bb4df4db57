"""The protocol over either of NVIDIA's libraries, whose modules have the same names.

Their Python reports most failures as ``False`` or ``None`` and the reason to a logger. Here the logger
remembers the last error, and every answer is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dit4sr.runtime.backends.plans.cuda import Cuda
from dit4sr.runtime.backends.plans.driver import Binding


def logger_class(trt: Any) -> Any:
    """The class of loggers of one of the two libraries."""

    class ErrorLogger(trt.ILogger):  # type: ignore[misc]
        """A logger that remembers the last error; the rest is of no interest to whoever runs a plan."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._last = ""

        def log(self, severity: Any, msg: str) -> None:
            """Called by the library, from any thread."""
            if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
                self._last = msg

        def taken(self) -> str:
            """The last error, once."""
            reason, self._last = self._last, ""
            return reason

        def error(self, what: str) -> RuntimeError:
            """An error that says what failed, and why."""
            reason = self.taken()
            return RuntimeError(f"{what}: {reason}" if reason else what)

        def require(self, is_done: Any, what: str) -> None:
            """Raise if the library answered that it failed."""
            if not is_done:
                raise self.error(what)

    return ErrorLogger


def profiler_class(trt: Any) -> Any:
    """The class of profilers of one of the two libraries."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        """Adds up what the library reports of each layer."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Called by the library."""
            self.times[layer_name] = self.times.get(layer_name, 0.0) + ms

    return Profiler


class PlanLibrary(Cuda):
    """A library on a CUDA device. Construct it only where there is one: TensorRT dies without a driver."""

    def __init__(self, trt: Any, name: str, stream: int | None = None) -> None:
        super().__init__(stream)  # raises where there is no device, before the library can crash
        self.trt, self.name = trt, name
        self.errors = logger_class(trt)()
        self.runtime = trt.Runtime(self.errors)

    def engine(self, plan: bytes | memoryview) -> Any:
        """What the library makes of a plan."""
        engine = self.runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self.errors.error(f"{self.name} rejects the plan")
        return engine


class DevicePlan:
    """An engine of the library's. Keeps the library alive, which must outlive it."""

    def __init__(self, library: PlanLibrary, engine: Any) -> None:
        self.library, self.engine, trt = library, engine, library.trt
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.bindings = tuple(
            Binding(
                name,
                np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
                engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
                tuple(engine.get_tensor_shape(name)),
            )
            for name in names
        )

    @property
    def profiles(self) -> int:
        """How many profiles the plan has."""
        return int(self.engine.num_optimization_profiles)


class DeviceExecution:
    """An execution context of the library's, for good at one profile."""

    def __init__(self, plan: DevicePlan, context: Any, profile: int = 0) -> None:
        self._plan, self._library, self._context = plan, plan.library, context
        self._require = self._library.errors.require
        if context is None:
            raise self._library.errors.error("no room to run the plan")
        if profile:
            is_set = context.set_optimization_profile_async(profile, self._library.stream)
            self._require(is_set, f"profile {profile} cannot be set")

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set the size of an input; one that the profile does not hold is refused."""
        self._require(self._context.set_input_shape(name, shape), f"{name} cannot have shape {shape}")

    def shape(self, name: str) -> tuple[int, ...]:
        """An output's shape."""
        return tuple(self._context.get_tensor_shape(name))

    def bind(self, name: str, address: int) -> None:
        """Set where a tensor is."""
        self._require(self._context.set_tensor_address(name, address), f"{name} cannot be at {address:#x}")

    def enqueue(self, stream: int) -> None:
        """Put a run at the end of a stream."""
        self._require(self._context.execute_async_v3(stream), "the plan cannot be run")

    def time_layers(self, stream: int) -> dict[str, float]:
        """Milliseconds of each layer, with the library's own profiler."""
        profiler = profiler_class(self._library.trt)()
        self._context.profiler = profiler
        self.enqueue(stream)
        self._library.synchronise()
        return dict(profiler.times)
