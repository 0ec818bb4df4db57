"""ONNX Runtime: runs the bundle's graphs as they are, on the CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.onnxruntime import NAME
from dit4sr.runtime.backends.onnxruntime.compatibility import CPU, CUDA, PROVIDERS, has_cuda
from dit4sr.runtime.backends.onnxruntime.stopping import stoppable_opening, stoppable_run
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, TensorSpec
from dit4sr.runtime.errors import RunError

_DTYPES = {"float32": np.float32, "float16": np.float16, "int64": np.int64, "int32": np.int32}


def session_options(threads: int) -> Any:
    """How the library opens a graph; 0 threads are one per physical core."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Tiles and pictures of every size pass through; plans remembered per shape would pile up.
    options.enable_mem_pattern = False
    # Fused quantised kernels round differently from the Q/DQ pairs whose accuracy was measured.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # Between the operators of a run threads spin, for waking them takes a quarter of a small model's step;
    # after it they sleep, or they would take the cores from whoever runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


class OnnxRuntime:
    """The library on one device."""

    name = NAME

    def __init__(self, device: str = AUTO, threads: int = 0, *, frugal: bool = False) -> None:
        """``threads`` are those of one operator; 0 leaves it to the library, one per physical core.

        ``frugal`` leaves quantised weights in their bits, to be widened anew in every run; the library would
        widen them all when it loads them, to four bytes each on a CPU.
        """
        self._device = device if device != AUTO else CUDA if has_cuda() else CPU
        self._threads, self._frugal = threads, frugal

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._device

    def open(self, bundle: Bundle, component: str) -> OnnxEngine:
        """Load a component, after its digests have been checked."""
        import onnxruntime  # noqa: PLC0415

        path = bundle.component_file(component)
        try:
            with stoppable_opening(session_options(self._threads)) as options:
                session = onnxruntime.InferenceSession(
                    str(path),
                    options,
                    providers=self._providers(),
                    disabled_optimizers=["ConstantFolding"] if self._frugal else [],
                )
        except Exception as error:
            raise translated(error, f"{path} cannot be loaded") from None
        return OnnxEngine(session, component, bundle.components[component], self)

    def _providers(self) -> list[Any]:
        if self._device == CPU:
            return [PROVIDERS[CPU]]
        # Growing by what is asked, not by doubling, keeps the peak to what is used.
        return [(PROVIDERS[CUDA], {"arena_extend_strategy": "kSameAsRequested"}), PROVIDERS[CPU]]

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        if self._device == CPU:
            return host_array(np.empty(shape, dtype=np.float32))
        import onnxruntime  # noqa: PLC0415

        try:
            value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                list(shape), np.float32, self._device, 0
            )
        except Exception as error:
            raise translated(error, "no room for an array") from None
        return _library_array(value)

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where sessions read them; on the CPU the same memory."""
        values = np.ascontiguousarray(values)
        if self._device == CPU:
            return host_array(values)
        import onnxruntime  # noqa: PLC0415

        try:
            return _library_array(onnxruntime.OrtValue.ortvalue_from_numpy(values, self._device, 0))
        except Exception as error:
            raise translated(error, "no room for an array") from None

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array."""
        if isinstance(target.owner, np.ndarray):
            np.copyto(target.owner, values)
        else:
            owner: Any = target.owner
            owner.update_inplace(np.ascontiguousarray(values))

    def download(self, array: Array) -> NDArray[Any]:
        """A whole array as NumPy sees it."""
        if isinstance(array.owner, np.ndarray):
            return array.owner
        owner: Any = array.owner
        values: NDArray[Any] = owner.numpy()
        return values


class OnnxEngine:
    """A session: weights, shared by all contexts."""

    def __init__(self, session: Any, name: str, component: Component, backend: OnnxRuntime) -> None:
        self.session, self.name, self.backend = session, name, backend
        self._component = component

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors the graph reads."""
        return self._component.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors the graph makes."""
        return self._component.outputs

    def context(self) -> OnnxContext:
        """Bindings of one's own."""
        return OnnxContext(self)


class OnnxContext:
    """One thread's bindings: addresses, so that nothing is copied."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine = engine
        self._binding = engine.session.io_binding()
        self._bound: dict[str, Array] = {}
        self._results = [spec.name for spec in engine.outputs]

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Compute; results land in ``outputs``, or where the library puts them."""
        device = self._engine.backend.device
        try:
            for name, array in inputs.items():
                # Most arrays stay from step to step; binding one again costs as much as a small operator.
                if self._bound.get(name) is not array:
                    self._binding.bind_input(name, device, 0, array.dtype, array.shape, array.address)
                    self._bound[name] = array
            for name in self._results:
                target = outputs.get(name) if outputs else None
                if target is None:
                    self._binding.bind_output(name, device, 0)
                else:
                    self._binding.bind_output(name, device, 0, target.dtype, target.shape, target.address)
            with stoppable_run() as options:
                self._engine.session.run_with_iobinding(self._binding, options)
            if outputs and all(name in outputs for name in self._results):
                return dict(outputs)
            values = self._binding.get_outputs()
        except Exception as error:
            raise translated(error, f"component {self._engine.name} failed", RunError) from None
        return {name: _library_array(value) for name, value in zip(self._results, values, strict=True)}


def host_array(values: NDArray[Any]) -> Array:
    """An array over NumPy's memory."""
    return Array(values.ctypes.data, values.shape, values.dtype, values)


def _library_array(value: Any) -> Array:
    kind = value.data_type().removeprefix("tensor(").removesuffix(")")
    dtype = np.dtype(_DTYPES.get({"float": "float32"}.get(kind, kind), np.float32))
    return Array(value.data_ptr(), tuple(value.shape()), dtype, value)
