"""The protocol of a backend: it opens components as engines, whose contexts run them.

An engine holds weights and is shared between threads; a context holds one caller's bindings and is cheap.
Arrays stay where the backend keeps them, so that a loop over a device never visits the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import TensorSpec


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
        """The tensors it reads."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it makes."""
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
