"""The few operations of TensorRT's builder that making a plan takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dit4sr.export.engines.plans.graph import PreparedGraph

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BuildRequest:
    """One plan to be built."""

    graph: PreparedGraph
    shapes: Mapping[str, Shapes]
    """Least, best and largest shape of every input, if any of its sizes are free."""
    profiles: int = 1
    """Copies of those shapes: runs that can be under way at once."""
    level: int = 3
    workspace: int | None = None
    version_compatible: bool = False
    weight_stripped: bool = False
    timing_cache: bytes = b""


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, and what the library tells of it."""

    plan: Any
    """Its bytes, in the library's memory."""
    layers: Sequence[Mapping[str, Any]]
    """The inspector's account."""
    timing_cache: bytes


class Compiler(Protocol):
    """TensorRT's builder."""

    def compile(self, request: BuildRequest, progress: Callable[[str], None]) -> BuiltPlan:
        """Build; raises a `RuntimeError` that says what the library said."""
        ...
