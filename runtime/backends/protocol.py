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
from dit4sr.runtime.errors import IncompatibleError


@dataclass(frozen=True)
class Array:
    """A dense tensor somewhere in memory. Rows are taken without copying, and only such as there are."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object
    """Keeps the memory alive; a NumPy array of the same elements if the memory is the host's."""

    def __getitem__(self, rows: int | slice) -> Array:
        start, stop = self._span(rows)
        stride = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = self.shape[1:] if isinstance(rows, int) else (stop - start, *self.shape[1:])
        owner = self.owner[rows] if isinstance(self.owner, np.ndarray) else self.owner
        return Array(self.address + start * stride, shape, self.dtype, owner)

    def _span(self, rows: int | slice) -> tuple[int, int]:
        """First row of an index, and its end.

        Slices are not cut off at the ends, as Python's are: whoever asks for rows that are not there would go
        on with fewer than they count on.
        """
        count = self.shape[0] if self.shape else 0
        if isinstance(rows, int):
            start = rows + count if rows < 0 else rows
            stop = start + 1
        else:
            start, stop = (
                place + count if place < 0 else place
                for place in (rows.start or 0, count if rows.stop is None else rows.stop)
            )
        if not 0 <= start <= stop <= count or (isinstance(rows, slice) and rows.step not in {None, 1}):
            raise IncompatibleError(f"rows {start} to {stop} of a tensor that has {count}")
        return start, stop


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
