"""Single-precision logarithm, sine and cosine with the roundings of PyTorch's vector code.

PyTorch draws normal numbers on the CPU with Cephes polynomials in AVX2 registers, and its compiler fuses
multiplications and additions. Last-bit equality needs the same polynomials, in the same order, fused at the
same places; any other logarithm, even a better one, differs in one value of eight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LOGARITHM = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_LN2_LOW, _LN2_HIGH = np.float32(-2.12194440e-4), np.float32(0.693359375)
_ROOT_HALF = np.float32(0.707106781186547524)

_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_FOUR_OVER_PI = np.float32(1.27323954473516)
_MINUS_QUARTER_PI = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
"""-π/4 in three parts, so that taking multiples of it off an angle loses nothing."""

_HALF, _ONE = np.float32(0.5), np.float32(1)
_MIDPOINT = 1 << 28
"""The bits of a double below single precision when it lies exactly between two singles."""


def fused(a: Floats, b: Floats | np.float32, c: Floats | np.float32) -> Floats:
    """Compute ``a·b + c``, rounded once."""
    product = a.astype(np.float64) * b  # exact: 24 + 24 bits fit a double
    addend = np.asarray(c, dtype=np.float64)
    total = product + addend
    # Rounding twice goes wrong only where the double was itself rounded onto a midpoint of two singles.
    midpoints = (total.view(np.int64) & (2 * _MIDPOINT - 1)) == _MIDPOINT
    if midpoints.any():
        back = total - product
        lost = (product - (total - back)) + (addend - back)
        nudged = np.nextafter(total, np.where(lost > 0, np.inf, -np.inf))
        total = np.where(midpoints & (lost != 0), nudged, total)
    rounded: Floats = total.astype(np.float32)
    return rounded


def logarithm(x: Floats) -> Floats:
    """Natural logarithm of positive normal numbers."""
    mantissa, exponents = np.frexp(x)
    small = mantissa < _ROOT_HALF
    exponent = exponents.astype(np.float32) - small
    x = (mantissa - _ONE) + np.where(small, mantissa, np.float32(0))
    square = x * x
    series = _polynomial(_LOGARITHM, x) * x
    series = fused(series, square, exponent * _LN2_LOW)
    series = fused(square, -_HALF, series)
    return fused(exponent, _LN2_HIGH, x + series)


def sine_and_cosine(x: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of angles that are not negative."""
    octant = ((x * _FOUR_OVER_PI).astype(np.int32) + 1) & ~1
    turns = octant.astype(np.float32)
    for part in _MINUS_QUARTER_PI:
        x = fused(turns, np.float32(part), x)
    square = x * x
    cosine = _polynomial(_COSINE, square) * square
    cosine = fused(cosine, square, -(square * _HALF)) + _ONE
    sine = _polynomial(_SINE, square) * square
    sine = fused(sine, x, x)
    swapped = (octant & 2) != 0
    return (
        np.where(swapped, cosine, sine) * _sign(octant & 4),
        np.where(swapped, sine, cosine) * _sign((octant + 2) & 4),
    )


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = fused(total, x, np.float32(coefficient))
    return total


def _sign(bit: NDArray[np.int32]) -> Floats:
    return np.where(bit, np.float32(-1), np.float32(1))
