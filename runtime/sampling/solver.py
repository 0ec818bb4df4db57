"""How a step gets from one noise level to the next, as three numbers.

Every solver here is ``next = a·latent + b·velocity + c·previous velocity``, so an engine that computes that
form runs them all. The latent moves along dx/dσ = v.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.floating]


class Solver(Enum):
    """The solvers by the name that a user types."""

    EULER = "euler"
    AB2 = "ab2"
    DPMPP_2M = "dpmpp-2m"

    def coefficients(self, levels: Levels) -> NDArray[np.float32]:
        """Rows ``(a, b, c)``, one for each step between consecutive noise levels."""
        exact = levels.astype(np.float64)
        strides = np.diff(exact)
        memory = np.zeros_like(strides)
        memory[1:] = _MEMORY[self](exact)
        rows = np.stack([np.ones_like(strides), strides * (1 + memory), -strides * memory], axis=1)
        return rows.astype(np.float32)


def _forget(levels: Levels) -> Levels:
    return np.zeros(len(levels) - 2)


def _extrapolate_in_level(levels: Levels) -> Levels:
    """Memory of Adams-Bashforth: the velocity is a line in σ, integrated over the step."""
    strides = np.diff(levels)
    return strides[1:] / strides[:-1] / 2


def _extrapolate_in_log_snr(levels: Levels) -> Levels:
    """Memory of DPM-Solver++(2M): the denoised picture is a line in λ = log((1-σ)/σ).

    The previous denoised picture is taken at the current latent, x - σ·v_prev. That differs from the
    remembered one by O(h²), which keeps the order, and frees the step from remembering a third tensor. The
    step then has Adams-Bashforth's form with steps measured in λ. Both ends of the schedule lie at infinity:
    the step from pure noise is not remembered, and the one onto the clean picture does not remember.
    """
    with np.errstate(divide="ignore"):
        strides = np.diff(np.log1p(-levels) - np.log(levels))
    memory = np.zeros(len(strides) - 1)
    finite = np.isfinite(strides[1:]) & np.isfinite(strides[:-1])
    np.divide(strides[1:], 2 * strides[:-1], out=memory, where=finite)
    return memory


_MEMORY: dict[Solver, Callable[[Levels], Levels]] = {
    Solver.EULER: _forget,
    Solver.AB2: _extrapolate_in_level,
    Solver.DPMPP_2M: _extrapolate_in_log_snr,
}
