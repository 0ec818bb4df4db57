"""Magnitudes counted by their bits: a logarithmic histogram from which every scale can be derived.

The upper ten bits of a half, sign aside, are its exponent and the head of its mantissa, so a shift makes bins
of equal relative width, 32 to the octave, for all numbers that are not subnormal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_SHIFT, _SIGN, _INFINITE = 5, 0x7FFF, 0x7C00
BINS = 1024
_CHUNK = 1 << 20


def magnitudes(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Bits of the absolute values of halves: ordered as the numbers are, and quicker to compare."""
    return np.ascontiguousarray(values).view(np.uint16) & np.uint16(_SIGN)


def as_numbers(bits: NDArray[Any]) -> NDArray[np.float32]:
    """The numbers that bits of halves stand for."""
    return np.asarray(bits, np.uint16).view(np.float16).astype(np.float32)


def is_finite(bits: NDArray[np.uint16]) -> bool:
    """True if every magnitude is a finite number."""
    return not bits.size or int(bits.max()) < _INFINITE


def count(bits: NDArray[np.uint16]) -> Counts:
    """Count how many magnitudes fall into each bin."""
    flat, counts = bits.reshape(-1), np.zeros(BINS, np.int64)
    # In chunks, because counting widens every number to eight bytes.
    for start in range(0, flat.size, _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK] >> _SHIFT, minlength=BINS)
    return counts


def centres() -> NDArray[np.float32]:
    """The number that stands for each bin: its middle, and 0 for the bin that zero falls into."""
    starts = np.arange(BINS, dtype=np.uint16) << _SHIFT
    middles = as_numbers(starts + (1 << _SHIFT) // 2)
    middles[0] = 0.0
    middles[_INFINITE >> _SHIFT :] = 0.0  # nothing finite falls there
    return middles


def percentile(counts: Counts, share: float) -> float:
    """The magnitude that a share of all numbers does not exceed, to the upper edge of its bin."""
    total = np.cumsum(counts)
    place = int(np.searchsorted(total, share * total[-1]))
    return float(as_numbers(np.array([((min(place, BINS - 1) + 1) << _SHIFT) - 1], np.uint16))[0])
