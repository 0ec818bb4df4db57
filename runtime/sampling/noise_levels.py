"""The noise levels a picture is sampled at: FlowMatch Euler as the released pipeline sets it up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TRAINING_STEPS = 1000


def noise_levels(steps: int, shift: float) -> NDArray[np.float32]:
    """The levels σ₀ = 1 … σₙ = 0 of ``steps`` steps, so one more than there are steps.

    The schedule is an even ramp bent by ``shift``. The ramp's lower end is itself a bent value, so the low
    end is bent twice; the released checkpoints were tuned with it that way.
    """
    lowest = bend(1 / TRAINING_STEPS, shift)
    levels = np.zeros(steps + 1, dtype=np.float32)
    levels[:-1] = bend(np.linspace(1, lowest, steps), shift)
    return levels


def bend(level: NDArray[np.float64] | float, shift: float) -> NDArray[np.float64] | float:
    """Bend a noise level upwards, so that a schedule spends ``shift`` times as long near pure noise."""
    return shift * level / (1 + (shift - 1) * level)
