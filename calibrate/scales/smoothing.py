"""SmoothQuant's migration: what is hard to round in an activation moves into the weight, channel by channel.

``x W = (x / s) (s W)`` holds exactly for any ``s``, and here in halves as well, for ``s`` are powers of two.
The division is one multiplication by a constant before the rounding, which is a pass over the numbers anyway:
so it needs no special place, AdaLN or not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

STRENGTH = 0.5
"""How much of the difference the weight takes; half is SmoothQuant's own choice."""
_FURTHEST = 8
"""Powers of two that a channel is moved at most."""


def smoothing(activation: Floats, weights: list[Floats], strength: float = STRENGTH) -> Floats:
    """Divisors ``[in]`` for an activation with these channel maxima that these weights ``[in, out]`` read."""
    rows = np.max([np.abs(weight).astype(np.float32).max(axis=1) for weight in weights], axis=0)
    known = (activation > 0) & (rows > 0)
    balance = np.zeros_like(activation)
    balance[known] = strength * np.log2(activation[known]) - (1 - strength) * np.log2(rows[known])
    if known.any():
        # Only the channels' proportions matter: the scale takes up the rest.
        balance[known] -= np.median(balance[known])
    powers = np.clip(np.rint(balance), -_FURTHEST, _FURTHEST)
    return np.asarray(np.exp2(powers), np.float32)
