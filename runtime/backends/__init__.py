"""What runs a bundle's components: one small protocol, and the choice of who speaks it.

A backend opens components as engines. An engine holds weights and is shared between threads; a context holds
one caller's bindings and is cheap. Arrays stay where the backend keeps them, so that a loop over a device
never visits the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.bundle import Bundle, TensorSpec
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError

AUTO = "auto"


@dataclass(frozen=True)
class Array:
    """A dense tensor somewhere in memory. Rows are taken without copying."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object
    """Keeps the memory alive; a NumPy array of the same elements if the memory is the host's."""

    def __getitem__(self, rows: int | slice) -> Array:
        start, stop, _ = (slice(rows, rows + 1) if isinstance(rows, int) else rows).indices(self.shape[0])
        stride = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = self.shape[1:] if isinstance(rows, int) else (max(stop - start, 0), *self.shape[1:])
        owner = self.owner[rows] if isinstance(self.owner, np.ndarray) else self.owner
        return Array(self.address + start * stride, shape, self.dtype, owner)


class Context(Protocol):
    """One caller's use of an engine."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Compute; results land in ``outputs``, or in new arrays where none are given."""
        ...


class Engine(Protocol):
    """An opened component, safe to share between threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it reads."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it makes."""
        ...

    def context(self) -> Context:
        """Bindings for one thread over the shared weights."""
        ...


class Backend(Protocol):
    """A library and a device that run components."""

    @property
    def name(self) -> str:
        """The backend's name, as a user types it."""
        ...

    @property
    def device(self) -> str:
        """Where arrays live: ``cpu``, or a device."""
        ...

    def open(self, bundle: Bundle, component: str) -> Engine:
        """Load a component's weights."""
        ...

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        ...

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where engines read them."""
        ...

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array that `empty` or `upload` made."""
        ...

    def download(self, array: Array) -> NDArray[Any]:
        """An array as NumPy sees it; without a copy where the memory is the host's."""
        ...


@dataclass(frozen=True)
class Compatibility:
    """Whether a bundle's engines for one backend run here, known before anything is loaded."""

    backend: str
    built_for: str
    running_on: str
    obstacle: str = ""
    remedy: str = ""
    is_missing: bool = False
    """The obstacle is a library or device that could be added."""

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacle

    def error(self) -> Exception:
        """What to raise when a user insists on this backend."""
        kind = MissingDependencyError if self.is_missing else IncompatibleError
        return kind(f"backend {self.backend}: {self.obstacle}", fix=self.remedy)


@dataclass(frozen=True)
class Choice:
    """The backend taken, and why those preferred to it were not."""

    backend: Backend
    passed_over: tuple[Compatibility, ...] = ()

    def reasons(self) -> list[str]:
        """One line for each backend that was passed over."""
        return [f"{fit.backend} passed over: {fit.obstacle}" for fit in self.passed_over]


@dataclass(frozen=True)
class Candidate:
    """A backend that could be taken."""

    fit: Compatibility
    open: Callable[[], Backend]
    """Called only if it fits."""


def candidates(bundle: Bundle, device: str, threads: int, *, frugal: bool = False) -> list[Candidate]:
    """Every backend, best first."""
    # These imports wait, because it is this module that the backends describe themselves with.
    from dit4sr.runtime.backends import inductor, onnxruntime, packages  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt import backend as tensorrt  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt import compatibility as plans  # noqa: PLC0415

    return [
        Candidate(plans.compatibility(bundle, device), tensorrt.TensorRt),
        Candidate(
            packages.compatibility(bundle, device), lambda: inductor.Inductor.of(bundle, device, threads)
        ),
        Candidate(
            onnxruntime.compatibility(device),
            lambda: onnxruntime.OnnxRuntime(device, threads, frugal=frugal),
        ),
    ]


def choose(
    bundle: Bundle, name: str = AUTO, *, device: str = AUTO, threads: int = 0, frugal: bool = False
) -> Choice:
    """Open the best backend that this bundle and machine allow, or the one that is asked for."""
    known = candidates(bundle, device, threads, frugal=frugal)
    names = [candidate.fit.backend for candidate in known]
    if name not in {AUTO, *names}:
        raise BadInputError(f"no backend {name!r}", expected=", ".join([AUTO, *names]))

    passed_over = []
    for candidate in known:
        fit = candidate.fit
        if name == AUTO and not fit.fits:
            passed_over.append(fit)
        elif name in {AUTO, fit.backend}:
            if not fit.fits:
                raise fit.error()
            return Choice(candidate.open(), tuple(passed_over))
    raise passed_over[-1].error()
