"""Numbers that no restoration makes: infinite ones, none at all, and one and the same all over a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import AccuracyError

FIX = "verify the bundle, or use one of higher precision"


class Extremes:
    """The least and the greatest number of each channel, of a tensor ``[…, channels, h, w]`` or parts of one.

    They tell whether all numbers are finite, and whether they vary. Nothing is judged by nearness: constant
    is what has one value in each channel, to the last bit.
    """

    def __init__(self, what: str) -> None:
        """``what`` is said of numbers that are refused."""
        self._what = what
        self._low, self._high = np.float32(np.inf), np.float32(-np.inf)

    def include(self, values: NDArray[np.float32], where: str = "") -> None:
        """Take more numbers of the same channels into account; those that are not finite are refused."""
        # Not-a-number passes through both.
        self._low = np.minimum(self._low, values.min(axis=(-2, -1)))
        self._high = np.maximum(self._high, values.max(axis=(-2, -1)))
        if not (np.isfinite(self._low).all() and np.isfinite(self._high).all()):
            raise self._error("not finite", where)

    def refuse_constant(self, where: str = "") -> None:
        """Refuse the numbers if they do not vary in any channel."""
        if not (self._low < self._high).any():
            low, high = self._low.min(), self._high.max()
            raise self._error(f"constant ({low:g})" if low == high else "constant in each channel", where)

    def _error(self, fault: str, where: str) -> AccuracyError:
        return AccuracyError(
            f"{self._what} is {fault} {where}", expected="finite and varied numbers", fix=FIX
        )


def refuse_infinite(component: str, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Refuse what a component has made if any number of it is not finite."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise AccuracyError(
                f"{name}, which {component} has made, is not finite", expected="finite numbers", fix=FIX
            )
