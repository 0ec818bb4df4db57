"""The backend: a bundle's plans on one device and one stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.inductor.packages import fixed_sizes
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.backends.tensorrt import NAME
from dit4sr.runtime.backends.tensorrt.context_pool import Seat, Seats
from dit4sr.runtime.backends.tensorrt.driver import Driver
from dit4sr.runtime.backends.tensorrt.interop import LentArray, borrowed
from dit4sr.runtime.backends.tensorrt.memory import device_array
from dit4sr.runtime.backends.tensorrt.plans import Plan
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError
from dit4sr.runtime.manifest import TensorSpec


class TensorRt:
    """TensorRT on the first visible CUDA device. ``CUDA_VISIBLE_DEVICES`` makes another one the first."""

    name = NAME
    device = "cuda"

    def __init__(self, driver: Driver | None = None, *, stream: int | None = None) -> None:
        """``stream`` is the caller's, as a number; it must outlive the backend and its arrays."""
        if driver is None:
            from dit4sr.runtime.backends.tensorrt.library import Library  # noqa: PLC0415 - loads TensorRT

            driver = Library(stream)
        self.driver = driver

    def open(self, bundle: Bundle, component: str) -> TensorRtEngine:
        """Check the digests of a component's plans; each is read when it is first run."""
        architecture = self.driver.architecture
        plans = Plan.all_of(bundle, component, architecture)
        if not plans:
            raise IncompatibleError(
                f"{bundle.path} has no {NAME} engine of {component} for {architecture}",
                fix=f"build one with dit4sr-export --engine {NAME}",
            )
        paths = {plan: bundle.checked(plan.record.files)[0] for plan in plans}
        is_stripped = any(plan.details.is_stripped for plan in plans)
        graph = bundle.component_file(component) if is_stripped else None

        def load(plan: Plan) -> Seats:
            details, path = plan.details, paths[plan]
            try:
                loaded = self.driver.load(
                    path,
                    weights=graph if details.is_stripped else None,
                    runs_own_code=details.is_version_compatible,
                )
            except RuntimeError as error:
                raise translated(error, f"{path} cannot be loaded") from None

            def open_seat(profile: int) -> Seat:
                return Seat(self.driver, loaded, component, profile=profile, is_static=plan.is_static)

            return Seats(open_seat, None if plan.is_static else loaded.profiles)

        return TensorRtEngine(plans, load)

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


class TensorRtEngine:
    """A component's plans."""

    def __init__(self, plans: Sequence[Plan], load: Callable[[Plan], Seats]) -> None:
        self.plans = tuple(plans)
        self._load = load
        self._seats: dict[Plan, Seats] = {}
        self._lock = threading.Lock()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it reads; sizes are fixed where no plan has another."""
        return fixed_sizes(self.plans, self.plans[0].component.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it makes."""
        return fixed_sizes(self.plans, self.plans[0].component.outputs)

    def seats_for(self, inputs: Mapping[str, Array]) -> Seats:
        """The seats of the plan that takes arrays of these shapes, which is read now if it is new."""
        plan = next((plan for plan in self.plans if plan.takes(inputs)), None)
        if plan is None:
            found = ", ".join(f"{name} {'×'.join(map(str, array.shape))}" for name, array in inputs.items())
            raise IncompatibleError(
                f"no {NAME} engine of {self.plans[0].record.component} for {found}",
                expected=" or ".join(plan.shapes() for plan in self.plans),
                fix="build one for this size with dit4sr-export, or use backend onnxruntime",
            )
        with self._lock:
            if plan not in self._seats:
                self._seats[plan] = self._load(plan)
            return self._seats[plan]

    def context(self) -> TensorRtContext:
        """A caller's use of the engine."""
        return TensorRtContext(self)


class TensorRtContext:
    """Borrows a seat for every run: between runs, nothing of it is bound to a thread."""

    def __init__(self, engine: TensorRtEngine) -> None:
        self._engine = engine

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Put a run on the stream; results land in ``outputs``, or in new arrays."""
        seats = self._engine.seats_for(inputs)
        try:
            with seats.borrow() as seat:
                return seat.run(inputs, outputs or {})
        except RuntimeError as error:
            name = self._engine.plans[0].record.component
            raise translated(error, f"component {name} failed") from None
