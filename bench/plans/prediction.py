"""How long a plan might take on a card, from what its layers multiply and move: no measurement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dit4sr.bench.plans.cards import Card
from dit4sr.export.engines.account.layer import Layer

OF_PEAK, OF_BANDWIDTH = 0.7, 0.85
"""What share of the data sheet's rates a kernel is taken to reach. They stand beside every prediction."""
FACTORS = f"predicted: Σ max(FLOPs / ({OF_PEAK} × peak), bytes / ({OF_BANDWIDTH} × bandwidth)) over kernels"


def predicted_seconds(layers: Iterable[Layer], card: Card) -> float:
    """Seconds of one run: each kernel takes what it multiplies or what it moves, whichever is longer."""
    return sum(
        max(
            layer.flops / (OF_PEAK * card.rate(layer.precision)),
            layer.bytes / (OF_BANDWIDTH * card.bandwidth),
        )
        for layer in layers
        if layer.is_kernel
    )


@dataclass(frozen=True)
class Prediction:
    """One card's seconds, of a step, of the same network's plain export, and of a picture."""

    card: str
    step_seconds: float
    plain_step_seconds: float | None
    """None where there is no plain export to compare with."""
    picture_seconds: float | None
    """None where a component is missing; of one tile, without reading its prompt."""

    @property
    def speed_up(self) -> float | None:
        """How many times as fast as the plain export."""
        return None if self.plain_step_seconds is None else self.plain_step_seconds / self.step_seconds
