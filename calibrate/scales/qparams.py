"""Quantisation parameters: the scales of a MatMul, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.scales.formats import Format


@dataclass(frozen=True)
class QuantParams:
    """The numbers by which one MatMul is quantised."""

    format: Format
    activation_scale: float
    weight_scale: NDArray[np.float32] | None
    """One scale for the weight, or one for each output; ``None`` where there is no weight."""
    late_scale: float | None = None
    """The activation's scale in late steps, where they have one of their own."""
    divisors: NDArray[np.float32] | None = None
    """What smoothing divides the activation's channels by, and multiplies the weight's rows with."""
