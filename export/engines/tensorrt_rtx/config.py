"""Which plans to build, and for which cards."""

from __future__ import annotations

from dataclasses import dataclass

from dit4sr.export.engines.plans.config import PlanConfig

TARGETS = (80, 86, 89, 120)
"""The compute capabilities that a plan is for by default: Ampere, Ada and Blackwell."""
FP8_TARGETS = (89, 120, 121)


@dataclass(frozen=True)
class RtxConfig(PlanConfig):
    """One plan serves all of its targets."""

    architectures: tuple[int, ...] = ()
    """By default all of `TARGETS` that the precision allows."""

    def targets(self, precision: str) -> tuple[int, ...]:
        """The compute capabilities to build for."""
        allowed = FP8_TARGETS if precision == "fp8" else TARGETS
        return self.architectures or tuple(target for target in TARGETS if target in allowed)
