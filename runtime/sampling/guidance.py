"""Classifier-free guidance: how strongly, and at which noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.choices import is_number
from dit4sr.runtime.errors import BadInputError

MOST_GUIDANCE = 1000
"""Far above what is of use, and far below where numbers of the network end."""


@dataclass(frozen=True)
class Guidance:
    """Velocity ``negative + scale · (positive - negative)`` inside the interval, the positive alone outside.

    A step without guidance evaluates half the rows. Guidance matters least at the ends of the schedule.
    """

    scale: float
    interval: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest noise level σ that is guided."""

    def __post_init__(self) -> None:
        if not is_number(self.scale) or not 1 <= self.scale <= MOST_GUIDANCE:
            raise BadInputError(f"guidance scale {self.scale}", expected=f"1 (off) to {MOST_GUIDANCE}")
        if not _is_interval(self.interval):
            raise BadInputError(
                f"guidance interval {self.interval}", expected="two noise levels, 0 ≤ low ≤ high ≤ 1"
            )

    def is_on(self, level: float) -> bool:
        """True if a step that starts at this noise level is guided."""
        low, high = self.interval
        return self.scale > 1 and low <= level <= high

    def weights(self, *, is_on: bool) -> NDArray[np.float32]:
        """Weights of the branches: negative and positive where guidance is on, or the positive alone."""
        return np.array([1 - self.scale, self.scale] if is_on else [1.0], dtype=np.float32)


def _is_interval(value: Any) -> bool:
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    return is_pair and all(is_number(level) for level in value) and 0 <= value[0] <= value[1] <= 1
