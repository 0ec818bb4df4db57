"""The few operations of a library and CUDA that making a picture takes.

All work goes to one stream, in order. What fails raises a `RuntimeError` that says what the library said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 256
"""Bytes to which the libraries want every address aligned, and to which `Driver.allocate` aligns."""


@dataclass(frozen=True)
class Binding:
    """An input or output of a plan."""

    name: str
    dtype: np.dtype[Any]
    is_input: bool
    shape: tuple[int, ...]
    """As the plan has it; below zero where a size is free."""


class Execution(Protocol):
    """A plan's own state for one run at a time."""

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set the size of an input whose axes are not all fixed."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """An output's shape, once those of the inputs are set."""
        ...

    def bind(self, name: str, address: int) -> None:
        """Set where a tensor is."""
        ...

    def enqueue(self, stream: int) -> None:
        """Put a run at the end of a stream."""
        ...

    def record(self, addresses: Mapping[str, int]) -> Callable[[], None]:
        """Record a run on tensors at some addresses; return what launches it on the driver's stream.

        The inputs there hold values that can be run on. What is returned keeps all it needs of the execution.
        """
        ...

    def time_layers(self, stream: int) -> dict[str, float]:
        """Run, wait, and say how many milliseconds each layer took."""
        ...


class LoadedPlan(Protocol):
    """A plan with its weights on the device."""

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The plan's inputs and outputs."""
        ...

    @property
    def profiles(self) -> int:
        """How many executions may be alive at once, if any size of the plan is free."""
        ...

    def execution(self, profile: int) -> Execution:
        """State for one run at a time; what takes free sizes keeps its profile for good."""
        ...


class Driver(Protocol):
    """A device, and a stream on it."""

    @property
    def architecture(self) -> str:
        """The device's, as in ``sm_90``."""
        ...

    @property
    def device(self) -> tuple[int, int]:
        """Type and number as DLPack counts: CUDA is 2, and its first device 0."""
        ...

    @property
    def stream(self) -> int:
        """The stream that all work goes to."""
        ...

    def follow(self, stream: int, *, after: int) -> None:
        """Make what is put on a stream from now on wait for all that another one holds."""
        ...

    def allocate(self, size: int) -> int:
        """Address of new memory, in the order of the stream."""
        ...

    def free(self, address: int) -> None:
        """Give memory back, once what the stream holds now is done."""
        ...

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Copy to the device; the values may change as soon as this returns."""
        ...

    def download(self, values: NDArray[Any], address: int) -> None:
        """Copy from the device, and wait for it."""
        ...

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy within the device."""
        ...
