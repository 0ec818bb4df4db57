"""Inductor: runs packages that torch compiled ahead of time, on a CUDA device or the CPU, with torch alone.

A package takes one set of sizes, or some; a component may have several packages, which share its weights.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.compiled import compiled_for, engine_for, fixed_sizes
from dit4sr.runtime.backends.contract import refuse_other
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.graph_replay import (
    WARM_RUNS,
    Call,
    Recorder,
    Replay,
    Tensors,
    trusted_replay,
)
from dit4sr.runtime.backends.inductor import CPU, NAME
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.inductor.tensors import array_of, read_weights, tensor_of
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.errors import IncompatibleError

CUDA = "cuda"


class Inductor:
    """torch on one device."""

    name = NAME

    def __init__(self, target: str, threads: int = 0) -> None:
        """``target`` is what packages were compiled for, ``cpu`` or a GPU.

        ``threads`` are those of one operator, for the whole process; 0 leaves it to torch.
        """
        import torch  # noqa: PLC0415 - costs seconds, and only if used

        self._torch: Any = torch
        self._target, self._device = target, CPU if target == CPU else CUDA
        if threads:
            torch.set_num_threads(threads)

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._device

    @property
    def recorder(self) -> Recorder | None:
        """How calls are recorded here; launches cost nothing on a CPU."""
        return _cuda_graph if self._device == CUDA else None

    def open(self, bundle: Bundle, component: str) -> InductorEngine:
        """Load a component's weights, after all digests have been checked; its packages follow on demand."""
        packages = compiled_for(Package, bundle, component, self._target)
        # Packages share their weights, which are too large to be read for each of them.
        records = dict.fromkeys(record for package in packages for record in package.record.files)
        files = {record: bundle.opened(record) for record in records}
        for file in files.values():
            file.check()
        weighing = [files[record] for record in dict.fromkeys(package.weights for package in packages)]
        try:
            with ExitStack() as reading:
                for file in weighing:
                    reading.enter_context(file.unchanged())
                weights = self.weights([file.path for file in weighing])
        except RuntimeError as error:
            raise translated(error, f"no room for the weights of {component}") from None

        def load(package: Package) -> Call:
            with files[package.code].copied() as copy:
                return self.loaded(copy, weights)

        return InductorEngine(packages, load, self.recorder)

    def weights(self, files: Sequence[Path]) -> dict[str, Any]:
        """The tensors of some files, on the device."""
        tensors: dict[str, Any] = {}
        for file in files:
            tensors |= read_weights(file, self._torch, self._device)
        return tensors

    def loaded(self, package: Path, weights: Mapping[str, Any]) -> Call:
        """A package's call. It keeps no copy of its weights, which others may use as well."""
        # On a GPU bookkeeping between threads would wait for the device, which a recording must not.
        runner = self._torch._inductor.aoti_load_package(
            str(package), run_single_threaded=self._device == CUDA
        )
        needed = {name: weights[name] for name in runner.get_constant_fqns()}
        runner.load_constants(needed, check_full_update=True, user_managed=True)
        return _Loaded(runner, needed)

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        return self._made(lambda: self._torch.empty(tuple(shape), device=self._device))

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where packages read them; on the CPU the same memory."""
        return self._made(lambda: self._torch.from_numpy(np.ascontiguousarray(values)).to(self._device))

    def _made(self, make: Callable[[], Any]) -> Array:
        try:
            return array_of(make())
        except RuntimeError as error:
            raise translated(error, "no room for an array") from None

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array."""
        tensor_of(target).copy_(self._torch.from_numpy(np.ascontiguousarray(values)))

    def download(self, array: Array) -> NDArray[Any]:
        """An array as NumPy sees it."""
        values: NDArray[Any] = tensor_of(array).cpu().numpy()
        return values


class _Loaded:
    """A package's code and the weights that it reads where they are: both live as long as either is used."""

    def __init__(self, runner: Any, weights: Mapping[str, Any]) -> None:
        self._runner, self._weights = runner, weights

    def __call__(self, inputs: Tensors) -> Tensors:
        answers = self._runner(*inputs)
        return tuple(answers) if isinstance(answers, (tuple, list)) else (answers,)


class InductorEngine:
    """A component's packages over one copy of its weights."""

    def __init__(
        self,
        packages: Sequence[Package],
        load: Callable[[Package], Call],
        recorder: Recorder | None = None,
    ) -> None:
        self.packages, self.recorder = tuple(packages), recorder
        self._load = load
        self._loaded: dict[Package, Call] = {}
        self.lock = threading.Lock()
        """Held while a package is loaded and, on a GPU, while it runs: there it keeps no books of threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it reads; sizes are fixed where no package has another."""
        return fixed_sizes(self.packages, self.packages[0].component.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it makes."""
        return fixed_sizes(self.packages, self.packages[0].component.outputs)

    def call_of(self, package: Package) -> Call:
        """A package's call; the package is loaded when it is first needed."""
        with self.lock:
            if package not in self._loaded:
                try:
                    self._loaded[package] = self._load(package)
                except (RuntimeError, KeyError) as error:
                    raise translated(error, f"{package.code.path} cannot be loaded") from None
            return self._loaded[package]

    def context(self) -> InductorContext:
        """A thread's own recordings."""
        return InductorContext(self)


class InductorContext:
    """One thread's use of a component: the first runs are direct, and on a GPU the later ones recordings."""

    def __init__(self, engine: InductorEngine) -> None:
        self._engine = engine
        self._runs: dict[Package, int] = {}
        self._replays: dict[Package, Replay | None] = {}

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Compute; results land in ``outputs``, or in new arrays."""
        package = engine_for(self._engine.packages, inputs)
        call = self._engine.call_of(package)
        given = outputs or {}
        try:
            tensors = [tensor_of(inputs[spec.name]) for spec in package.inputs]
            if self._engine.recorder is None:
                return _delivered(package, call(tensors), given)
            with self._engine.lock:
                replay = self._recorded(package, call, tensors)
                if replay is None:
                    return _delivered(package, call(tensors), given)
                # The next replay overwrites its results: they leave while the lock is held.
                return _delivered(package, replay(tensors), given, are_lasting=False)
        except RuntimeError as error:
            raise translated(error, f"component {package.record.component} failed") from None

    def _recorded(self, package: Package, call: Call, tensors: Tensors) -> Replay | None:
        """A recording, once the package is warm and if it can be trusted. Free sizes are not recorded."""
        recorder, runs = self._engine.recorder, self._runs.get(package, 0)
        self._runs[package] = runs + 1
        if recorder is not None and package.is_static and runs >= WARM_RUNS and package not in self._replays:
            self._replays[package] = trusted_replay(call, tensors, recorder)
            if self._replays[package] is None:
                name = package.record.component
                warnings.warn(f"{name}: its CUDA graph answers wrongly and is not used", stacklevel=4)
        return self._replays.get(package)


def _delivered(
    package: Package, answers: Tensors, targets: Mapping[str, Array], *, are_lasting: bool = True
) -> dict[str, Array]:
    """Answers in the caller's arrays where there are any."""
    component, outputs = package.record.component, package.component.outputs
    if len(answers) != len(outputs):
        raise IncompatibleError(
            f"{component}: its package makes {len(answers)} tensors", expected=str(len(outputs))
        )
    results = {}
    for spec, answer in zip(outputs, answers, strict=True):
        target = targets.get(spec.name)
        if target is None:
            results[spec.name] = array_of(answer if are_lasting else answer.clone())
        else:
            made = array_of(answer)  # torch would repeat rows and convert numbers to make an answer fit
            kinds = (made.dtype, made.shape), (target.dtype, target.shape)
            refuse_other(component, spec.name, *kinds)
            tensor_of(target).copy_(answer)
            results[spec.name] = target
    return results


def _cuda_graph(call: Callable[[], None]) -> Callable[[], None]:
    """Record on a stream of its own, after one more run there; other threads may go on meanwhile."""
    import torch  # noqa: PLC0415

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        call()
    return graph.replay
