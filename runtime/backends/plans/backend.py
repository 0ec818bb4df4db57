"""The backend: a bundle's plans on one device and one stream."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.compiled import engine_for, fixed_sizes
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.plans.context_pool import ContextPool, PooledContext
from dit4sr.runtime.backends.plans.driver import Driver, LoadedPlan
from dit4sr.runtime.backends.plans.interop import LentArray, borrowed
from dit4sr.runtime.backends.plans.memory import device_array
from dit4sr.runtime.backends.plans.plan import Plan, plans_for
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedFile
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.errors import BadInputError


class PlanBackend(ABC):
    """Plans on the first visible CUDA device. ``CUDA_VISIBLE_DEVICES`` makes another one the first."""

    name: ClassVar[str]
    device: ClassVar[str] = "cuda"
    kind: ClassVar[type[Plan]]
    """The plans that its library runs."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    @abstractmethod
    def loaded(self, bundle: Bundle, plan: Plan, file: CheckedFile) -> LoadedPlan:
        """A plan from its open file, on the device."""

    def examine(self, plan: Plan, file: CheckedFile) -> None:  # noqa: ARG002 - for what a library tells of it
        """Refuse a plan that will not run, before it is loaded."""
        file.check()

    def open(self, bundle: Bundle, component: str) -> PlanEngine:
        """Examine a component's plans; each is loaded from there when it is first run."""
        plans = plans_for(self.kind, bundle, component, self.driver.architecture)
        files = {plan: bundle.opened(plan.file) for plan in plans}
        for plan, file in files.items():
            self.examine(plan, file)

        def load(plan: Plan) -> ContextPool:
            file = files[plan]
            try:
                loaded = self.loaded(bundle, plan, file)
            except RuntimeError as error:
                raise translated(error, f"{file.path} cannot be loaded") from None
            plan.hold_to_manifest(loaded.bindings)

            def open_context(profile: int) -> PooledContext:
                return PooledContext(
                    self.driver, loaded, component, profile=profile, is_static=plan.is_static
                )

            return ContextPool(open_context, None if plan.is_static else loaded.profiles)

        return PlanEngine(plans, load)

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        try:
            return device_array(self.driver, shape)
        except RuntimeError as error:
            raise translated(error, "no room for an array") from None

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where plans read them."""
        values = np.ascontiguousarray(values)
        try:
            array = device_array(self.driver, values.shape, values.dtype)
            self.driver.upload(array.address, values)
        except RuntimeError as error:
            raise translated(error, "no room for an array") from None
        return array

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array."""
        if values.shape != target.shape:
            raise BadInputError(f"values of shape {values.shape}", expected=str(target.shape))
        self.driver.upload(target.address, np.ascontiguousarray(values, dtype=target.dtype))

    def borrow(self, tensor: Any) -> Array:
        """Another library's tensor on the device, by DLPack or ``__cuda_array_interface__``; no copy.

        It can be read, and be what results land in. Keep it until they were downloaded.
        """
        return borrowed(self.driver, tensor)

    def lend(self, array: Array) -> LentArray:
        """An array as a tensor that other libraries take by either protocol; no copy."""
        return LentArray(self.driver, array)

    def download(self, array: Array) -> NDArray[Any]:
        """An array as NumPy sees it; this waits for all that came before."""
        values = np.empty(array.shape, array.dtype)
        try:
            self.driver.download(values, array.address)
        except RuntimeError as error:
            raise translated(error, "the device failed") from None
        return values


def read_plan(
    file: CheckedFile, load: Callable[[bytes | memoryview], LoadedPlan], *, runs_own_code: bool = False
) -> LoadedPlan:
    """What a library makes of an open file, which is held in memory if it is small."""
    # Code for the host runs while it is loaded: the bytes it comes from are nobody's to write to.
    if runs_own_code or file.is_small:
        return load(file.content())
    with file.unchanged():
        return load(file.mapped())


class PlanEngine:
    """A component's plans."""

    def __init__(self, plans: Sequence[Plan], load: Callable[[Plan], ContextPool]) -> None:
        self.plans = tuple(plans)
        self._load = load
        self._pools: dict[Plan, ContextPool] = {}
        self._lock = threading.Lock()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it reads; sizes are fixed where no plan has another."""
        return fixed_sizes(self.plans, self.plans[0].component.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it makes."""
        return fixed_sizes(self.plans, self.plans[0].component.outputs)

    def pool_for(self, inputs: Mapping[str, Array]) -> ContextPool:
        """The contexts of the plan that takes arrays of these shapes, which is read now if it is new."""
        plan = engine_for(self.plans, inputs)
        with self._lock:
            if plan not in self._pools:
                self._pools[plan] = self._load(plan)
            return self._pools[plan]

    def context(self) -> PlanContext:
        """A caller's use of the engine."""
        return PlanContext(self)


class PlanContext:
    """Takes a context of the pool for every run: between runs, nothing of it is bound to a thread."""

    def __init__(self, engine: PlanEngine) -> None:
        self._engine = engine

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Put a run on the stream; results land in ``outputs``, or in new arrays."""
        pool = self._engine.pool_for(inputs)
        try:
            with pool.borrow() as context:
                return context.run(inputs, outputs or {})
        except RuntimeError as error:
            name = self._engine.plans[0].record.component
            raise translated(error, f"component {name} failed") from None
