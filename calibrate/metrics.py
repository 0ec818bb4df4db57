"""How near one picture is to another, and one path of velocities to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.image.photo import Picture

MOST_PSNR = 100.0
"""What identical pictures are given: infinity is no number to average."""


def psnr(found: Picture, wanted: Picture) -> float:
    """Peak signal to noise ratio over all channels, in decibels."""
    error = float(np.mean((found.astype(np.float64) - wanted) ** 2))
    return MOST_PSNR if error == 0 else min(float(10 * np.log10(255**2 / error)), MOST_PSNR)


def relative_errors(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Step by step, the length of the difference over the length of what was wanted."""
    return np.array(
        [
            np.linalg.norm(one.astype(np.float64) - other) / max(float(np.linalg.norm(other)), 1e-30)
            for one, other in zip(found, wanted, strict=True)
        ]
    )
