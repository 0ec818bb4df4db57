"""What to compile and to predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.plans.cards import CARDS, Card


@dataclass(frozen=True)
class PlanRequest:
    """Everything that a user may choose about a record of plans."""

    bundle: Path
    cards: tuple[Card, ...] = CARDS
    with_plain: bool = True
    """True to compile the network as torch exports it as well."""
    as_fp8: bool = False
    """True to put the bundle's step into FP8 first, with scales that stand in for those of a calibration."""
    measured: tuple[Path, ...] = ()
    """Records of the bench that ran the bundle's plans."""
    command: str = "dit4sr-bench --plan"
