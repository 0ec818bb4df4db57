"""Which plans to build, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dit4sr.export.engines.plans.config import Forms, PlanConfig


@dataclass(frozen=True)
class TensorRtConfig(PlanConfig):
    """How TensorRT is to build them, on the machine that will run them."""

    architecture: int | None = None
    """The GPU it must be for, as in 90; TensorRT builds only for the one that is here."""
    concurrency: int = 1
    """Runs at once of plans whose sizes are not fixed; the others know no such limit."""
    level: int = 3
    """0 builds fastest, 5 searches longest."""
    workspace: int | None = None
    """Bytes that a layer may use while it runs."""
    version_compatible: bool = False
    weight_stripped: bool = False
    """Plans without weights, which they take from the graph when they are opened: one copy for all."""
    forms: Forms = field(default_factory=Forms)
    timing_cache: Path | None = None
    """A folder; the user's cache folder by default."""
    verify: bool = True
    time_layers: bool = False
