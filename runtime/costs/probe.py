"""How long engines take here, by running each of them once: for bundles that are small enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dit4sr.runtime.axes import axis_length
from dit4sr.runtime.backends.protocol import Array, Backend, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import TensorSpec

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Sample:
    """What one engine took."""

    opening_seconds: float
    run_seconds: float


def probe(
    bundle: Bundle,
    backend: Backend,
    sizes: Mapping[str, Sizes],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Sample]:
    """Open and run each of some components once, one after the other, on noise of the given sizes."""
    samples = {}
    for name, measures in sizes.items():
        start = clock()
        engine = backend.open(bundle, name)
        opened = clock()
        inputs = _inputs(engine, backend, measures)
        begin = clock()
        _wait(engine, backend, inputs)
        samples[name] = Sample(opened - start, clock() - begin)
        del engine, inputs  # one at a time: the memory is that of the largest
    return samples


def _wait(engine: Engine, backend: Backend, inputs: Mapping[str, Array]) -> None:
    """Run, and wait for a device by asking for a result."""
    results = engine.context().run(inputs)
    backend.download(next(iter(results.values())))


def _inputs(engine: Engine, backend: Backend, sizes: Sizes) -> dict[str, Array]:
    rng = np.random.default_rng(0)

    def made(spec: TensorSpec) -> Array:
        shape = tuple(axis_length(axis, sizes) for axis in spec.shape)
        return backend.upload(rng.standard_normal(shape).astype(spec.dtype))

    return {spec.name: made(spec) for spec in engine.inputs}
