"""Looking over the runtime's shoulder: its own loop, with what some components make shown to watchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dit4sr.calibrate.graph.bundle_rewriting import Change
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.protocol import Array, Context, Engine
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.manifest import TensorSpec

STEP = "step"
Results = Mapping[str, NDArray[Any]]
Watch = Callable[[Results], None]
_SMALL = 1 << 30


def watched_outputs(model: ir.Model, values: Sequence[ir.Value]) -> Change:
    """A graph that gives some of its inner values away as well."""
    model.graph.outputs.extend(value for value in values if value not in set(model.graph.outputs))
    return Change(model, "fp16")


def can_stay_open(bundle: Bundle) -> bool:
    """Whether all components can be in memory together; of a large bundle one at a time has to do."""
    return sum(record.bytes for record in bundle.manifest.files()) < _SMALL


class WatchedRuntime(OnnxRuntime):
    """ONNX Runtime, with a watcher for the results of some components."""

    def __init__(self, watchers: Mapping[str, Watch], threads: int = 0, *, frugal: bool = False) -> None:
        super().__init__(threads=threads, frugal=frugal)
        self._watchers = watchers

    def open(self, bundle: Bundle, component: str) -> Engine:  # type: ignore[override]
        """Load a component."""
        engine = super().open(bundle, component)
        watch = self._watchers.get(component)
        return engine if watch is None else _WatchedEngine(engine, self, watch)


class _WatchedEngine:
    def __init__(self, engine: Engine, backend: OnnxRuntime, watch: Watch) -> None:
        self._engine, self._backend, self._watch = engine, backend, watch

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._engine.outputs

    def context(self) -> Context:
        return _WatchedContext(self._engine.context(), self._backend, self._watch)


class _WatchedContext:
    def __init__(self, context: Context, backend: OnnxRuntime, watch: Watch) -> None:
        self._context, self._backend, self._watch = context, backend, watch

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        results = self._context.run(inputs, outputs)
        self._watch({name: np.asarray(self._backend.download(array)) for name, array in results.items()})
        return results
