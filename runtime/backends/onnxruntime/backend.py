"""ONNX Runtime: runs the bundle's graphs as they are, on the CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.contract import FREE, refuse_another_graph
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.onnxruntime import NAME
from dit4sr.runtime.backends.onnxruntime.compatibility import CPU, CUDA, PROVIDERS, has_cuda
from dit4sr.runtime.backends.onnxruntime.group_norm import with_fewer_passes
from dit4sr.runtime.backends.onnxruntime.stopping import stoppable_opening, stoppable_run
from dit4sr.runtime.backends.onnxruntime.widening import widened
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedComponent
from dit4sr.runtime.bundles.manifest import Component, TensorSpec
from dit4sr.runtime.errors import IncompatibleError, RunError

DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""The entry that says where a graph given as bytes has its weights."""
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}
"""The library's names of types; of any other a component has no tensors."""


def session_options(threads: int) -> Any:
    """How the library opens a graph; 0 threads are one per physical core."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Nothing but what ends the process: an error is raised as well, and is ours to tell in one line.
    options.log_severity_level = 4
    # Tiles and pictures of every size pass through; plans remembered per shape would pile up.
    options.enable_mem_pattern = False
    # Not the library's own format, which it would tell by a few bytes and which nobody has looked through.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Fused quantised kernels round differently from the Q/DQ pairs whose accuracy was measured.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # Between the operators of a run threads spin, for waking them takes a quarter of a small model's step;
    # after it they sleep, or they would take the cores from whoever runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def for_cpus(graph: bytes) -> bytes:
    """A graph in the form that the library computes fastest without a device."""
    return with_fewer_passes(widened(graph))


class OnnxRuntime:
    """The library on one device."""

    name = NAME

    def __init__(self, device: str = AUTO, threads: int = 0, *, frugal: bool = False) -> None:
        """``threads`` are those of one operator; 0 leaves it to the library, one per physical core.

        ``frugal`` leaves quantised weights in their bits, to be widened anew in every run; the library would
        widen them all when it loads them, to four bytes each on a CPU. Graphs are then opened as they stand.
        """
        self._device = device if device != AUTO else CUDA if has_cuda() else CPU
        self._threads, self._frugal = threads, frugal

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._device

    def open(self, bundle: Bundle, component: str) -> OnnxEngine:
        """Load a component from the files whose digests have been checked."""
        import onnxruntime  # noqa: PLC0415

        with bundle.opened_component(component) as files:
            try:
                with stoppable_opening(session_options(self._threads)) as options:
                    options.add_session_config_entry(DATA_FOLDER, str(files.graph.path.parent))
                    session = onnxruntime.InferenceSession(
                        self._form(files),
                        options,
                        providers=self._providers(),
                        disabled_optimizers=["ConstantFolding"] if self._frugal else [],
                    )
            except Exception as error:
                raise translated(error, f"{files.graph.path} cannot be loaded") from None
        promised = bundle.components[component]
        refuse_another_graph(component, promised.inputs, _specs(session.get_inputs()))
        refuse_another_graph(component, promised.outputs, _specs(session.get_outputs()))
        return OnnxEngine(session, component, promised, self)

    def _form(self, files: CheckedComponent) -> bytes | str:
        """The graph as it is given to the library: in a form for CPUs, made of the bytes that were hashed."""
        if self._device != CPU or self._frugal or files.content is None:
            return files.model
        return for_cpus(files.content)

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
    kind = value.data_type()
    if kind not in _DTYPES:
        raise IncompatibleError(f"an answer is a {kind}", expected=", ".join(_DTYPES))
    return Array(value.data_ptr(), tuple(value.shape()), np.dtype(_DTYPES[kind]), value)


def _specs(tensors: Sequence[Any]) -> list[TensorSpec]:
    """What the graph itself says of its inputs or outputs."""
    return [
        TensorSpec(
            tensor.name,
            _DTYPES.get(tensor.type, tensor.type),
            tuple(axis if isinstance(axis, int) else FREE for axis in tensor.shape),
        )
        for tensor in tensors
    ]
