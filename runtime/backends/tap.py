"""A tap on a backend: what chosen components make is shown to hooks, and nothing else is any different."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Context, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import TensorSpec

Outputs = Mapping[str, NDArray[Any]]
"""A component's outputs by name, read-only; copy what is to be kept, for the next run may write over them."""
Hook = Callable[[Outputs], None]
"""Called after every run of a component, by the thread that ran it."""


class TappedBackend:
    """A backend of any kind, with hooks that see what components make.

    From a device the outputs of tapped components are copied to the host, so tapped runs take longer there.
    """

    def __init__(self, backend: Backend, hooks: Mapping[str, Hook]) -> None:
        """``hooks`` are called by the name of their component."""
        self._backend, self._hooks = backend, hooks

    @property
    def name(self) -> str:
        """The name of the backend that is tapped."""
        return self._backend.name

    @property
    def device(self) -> str:
        """Where arrays live: ``cpu``, or a device."""
        return self._backend.device

    def open(self, bundle: Bundle, component: str) -> Engine:
        """Load a component's weights; its runs are seen by its hook, if it has one."""
        engine, hook = self._backend.open(bundle, component), self._hooks.get(component)
        return engine if hook is None else _TappedEngine(engine, self._backend, hook)

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        return self._backend.empty(shape)

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where engines read them."""
        return self._backend.upload(values)

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array that `empty` or `upload` made."""
        self._backend.write(target, values)

    def download(self, array: Array) -> NDArray[Any]:
        """An array as NumPy sees it; without a copy where the memory is the host's."""
        return self._backend.download(array)


class Recording:
    """A hook that keeps a copy of one output, run after run."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.runs: list[NDArray[Any]] = []

    def __call__(self, outputs: Outputs) -> None:
        """Keep what the run made."""
        self.runs.append(outputs[self.output].copy())


@dataclass(frozen=True)
class _TappedEngine:
    engine: Engine
    backend: Backend
    hook: Hook

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.engine.outputs

    def context(self) -> Context:
        return _TappedContext(self.engine.context(), self.backend, self.hook)


@dataclass(frozen=True)
class _TappedContext:
    context: Context
    backend: Backend
    hook: Hook

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        results = self.context.run(inputs, outputs)
        self.hook({name: _read_only(self.backend.download(array)) for name, array in results.items()})
        return results


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written through: the loop goes on with the same memory."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view
