"""Execution contexts and their recordings, lent for the length of a run.

An execution does one run at a time. A pooled context holds one, and comes back with the recording it has
made: threads and pictures that follow one another share contexts, so that a step is recorded once and not for
every picture.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from dit4sr.runtime.backends.contract import refuse_other
from dit4sr.runtime.backends.graph_replay import WARM_RUNS, replays_agree
from dit4sr.runtime.backends.plans.driver import ALIGNMENT, Binding, Driver, Execution, LoadedPlan
from dit4sr.runtime.backends.plans.memory import device_array, size_of
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.errors import IncompatibleError

Arrays = Mapping[str, Array]


class PooledContext:
    """One execution. Runs of fixed sizes into the caller's own arrays, which loops make, get recorded."""

    def __init__(self, driver: Driver, plan: LoadedPlan, name: str, *, profile: int, is_static: bool) -> None:
        self._driver, self._name, self._is_static = driver, name, is_static
        self._execution: Execution | None = plan.execution(profile)
        self._bindings = plan.bindings
        self._runs, self._is_tried = 0, False
        self._buffers: dict[str, Array] = {}
        self._launch: Callable[[], None] | None = None

    @property
    def is_recorded(self) -> bool:
        """True if runs are launches of a recording."""
        return self._launch is not None

    def run(self, inputs: Arrays, targets: Arrays) -> dict[str, Array]:
        """Put a run on the stream; results land in the targets, or in new arrays."""
        self._check(inputs)
        if self._is_static and targets and self._runs >= WARM_RUNS and not self._is_tried:
            self._is_tried = True
            self._record(inputs)
        self._runs += 1
        run = self._directly if self._launch is None else self._recorded
        return run(inputs, targets)

    def _check(self, inputs: Arrays) -> None:
        for binding in self._of(inputs=True):
            if inputs[binding.name].dtype != binding.dtype:
                raise IncompatibleError(
                    f"{self._name} reads {binding.name} as {inputs[binding.name].dtype}",
                    expected=str(binding.dtype),
                )

    def _directly(self, inputs: Arrays, targets: Arrays) -> dict[str, Array]:
        """On the caller's arrays; those that are not aligned, as rows may be, pass through others."""
        execution = self._execution
        assert execution is not None, "a recording has taken its place"
        read = {binding.name: self._aligned(inputs[binding.name]) for binding in self._of(inputs=True)}
        for name, array in read.items():
            if not self._is_static:
                execution.set_shape(name, array.shape)
            execution.bind(name, array.address)
        written = {}
        for binding in self._of(inputs=False):
            shape, target = execution.shape(binding.name), targets.get(binding.name)
            if target is not None:
                refuse_other(self._name, binding.name, (binding.dtype, shape), (target.dtype, target.shape))
            if target is None or target.address % ALIGNMENT:
                target = self._room(binding, shape)
            execution.bind(binding.name, target.address)
            written[binding.name] = target
        execution.enqueue(self._driver.stream)
        # What was only for this run is released from here on, and given back in the stream's order: after it.
        return self._delivered(written, targets)

    def _aligned(self, array: Array) -> Array:
        if array.address % ALIGNMENT == 0:
            return array
        place = self._like(array)
        self._copy(place, array)
        return place

    def _recorded(self, inputs: Arrays, targets: Arrays) -> dict[str, Array]:
        """A recording has fixed addresses: copies in, one launch, copies out."""
        assert self._launch is not None
        self._fill(inputs)
        self._launch()
        results = {}
        for binding in self._of(inputs=False):
            buffer, target = self._buffers[binding.name], targets.get(binding.name)
            if target is not None:
                kinds = (buffer.dtype, buffer.shape), (target.dtype, target.shape)
                refuse_other(self._name, binding.name, *kinds)
            results[binding.name] = self._like(buffer) if target is None else target
            self._copy(results[binding.name], buffer)
        return results

    def _fill(self, inputs: Arrays) -> None:
        for binding in self._of(inputs=True):
            self._copy(self._buffers[binding.name], inputs[binding.name])

    def _delivered(self, places: Arrays, targets: Arrays) -> dict[str, Array]:
        for name, place in places.items():
            if name in targets and targets[name] is not place:
                self._copy(targets[name], place)
        return {name: targets.get(name, place) for name, place in places.items()}

    def _copy(self, target: Array, source: Array) -> None:
        self._driver.copy(target.address, source.address, size_of(source))

    def _of(self, *, inputs: bool) -> list[Binding]:
        return [binding for binding in self._bindings if binding.is_input == inputs]

    def _record(self, inputs: Arrays) -> None:
        """Keep a recording if it answers two different inputs as the plan does."""
        execution = self._execution
        assert execution is not None, "only what runs directly is recorded"
        try:
            samples = [inputs, {name: self._flipped(array) for name, array in inputs.items()}]
            expected = [self._values(self._directly(sample, {})) for sample in samples]
            self._buffers = {name: self._like(array) for name, array in inputs.items()}
            for binding in self._of(inputs=False):
                self._buffers[binding.name] = self._room(binding, execution.shape(binding.name))
            self._fill(inputs)  # a library may run what it records
            self._launch = execution.record({name: array.address for name, array in self._buffers.items()})
            found = [self._values(self._recorded(sample, {})) for sample in samples]
        except RuntimeError as error:
            self._forget(f"its CUDA graph cannot be made ({error})")
        else:
            if replays_agree(expected, found):
                self._execution = None  # what launches need of it, they keep
            else:
                self._forget("its CUDA graph answers wrongly")

    def _forget(self, reason: str) -> None:
        self._launch, self._buffers = None, {}
        warnings.warn(f"{self._name}: {reason} and is not used", stacklevel=5)

    def _room(self, binding: Binding, shape: tuple[int, ...]) -> Array:
        """Room for an output; one whose size only a run would tell is refused."""
        if any(size < 0 for size in shape):
            raise IncompatibleError(
                f"{self._name} decides the size of {binding.name} while it runs",
                expected="sizes that follow from those of the inputs",
            )
        return device_array(self._driver, shape, binding.dtype)

    def _like(self, array: Array) -> Array:
        return device_array(self._driver, array.shape, array.dtype)

    def _flipped(self, array: Array) -> Array:
        other = self._like(array)
        self._driver.upload(other.address, np.ascontiguousarray(np.flip(self._downloaded(array), -1)))
        return other

    def _values(self, results: Arrays) -> list[np.ndarray]:
        return [self._downloaded(results[binding.name]) for binding in self._of(inputs=False)]

    def _downloaded(self, array: Array) -> np.ndarray:
        values = np.empty(array.shape, array.dtype)
        self._driver.download(values, array.address)
        return values


class ContextPool:
    """The contexts of one plan: as many as are in use at once, or as the plan allows."""

    def __init__(self, open_context: Callable[[int], PooledContext], most: int | None) -> None:
        """``open_context`` takes the number of a profile; ``most`` is None where any number may be open."""
        self._open, self._most = open_context, most
        self._idle: list[PooledContext] = []
        self._opened = 0
        self._changed = threading.Condition()

    @property
    def opened(self) -> int:
        """How many contexts there are."""
        return self._opened

    @contextmanager
    def borrow(self) -> Iterator[PooledContext]:
        """A context to oneself for the length of a block."""
        context = self._taken()
        try:
            yield context
        finally:
            with self._changed:
                self._idle.append(context)
                self._changed.notify()

    def _taken(self) -> PooledContext:
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._most is None or self._opened < self._most)
            if self._idle:
                return self._idle.pop()
            # Opening is quick beside a run, and under the lock no two contexts get the same profile.
            context = self._open(0 if self._most is None else self._opened)
            self._opened += 1
            return context
