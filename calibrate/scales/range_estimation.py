"""The range that a tensor's scale is to hold, estimated from what was seen of the tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.observe.histogram import Counts, centres, count, magnitudes, percentile
from dit4sr.calibrate.scales.formats import Format

METHODS = ("amax", "percentile", "mse")
SHARE = 0.9999
"""The share of all numbers that the method ``percentile`` does not saturate."""
_CLIPS = np.exp2(-np.arange(0, 6, 0.125))
"""How far below the largest magnitude the squared error is tried: down to a 64th, in eighths of an octave."""


def activation_scale(method: str, format_: Format, amax: float, counts: Counts) -> float:
    """One scale for a whole activation, from its largest magnitude and its histogram."""
    return float(format_.scale_for(_range(method, format_, amax, counts)))


def weight_scale(
    method: str, format_: Format, weight: NDArray[Any], *, per_channel: bool
) -> NDArray[np.float32]:
    """A scale for the weight ``[in, out]``, or one for every output.

    A channel's few numbers are best served by their largest, so methods differ only on whole tensors.
    """
    absolute = np.abs(weight).astype(np.float32)
    if per_channel:
        return format_.scale_for(absolute.max(axis=0))
    # The bins are those of halves, whatever the weight was multiplied by.
    counts = count(magnitudes(absolute.astype(np.float16)))
    return format_.scale_for(_range(method, format_, float(absolute.max()), counts))


def expected_error(format_: Format, scale: float, counts: Counts) -> float:
    """Mean squared error of rounding the numbers that a histogram counted."""
    middles = centres()
    errors = (format_.rounded(middles, scale) - middles).astype(np.float64) ** 2
    return float(errors @ counts / max(int(counts.sum()), 1))


def _range(method: str, format_: Format, amax: float, counts: Counts) -> float:
    """The largest magnitude that the scale is to hold; what lies beyond saturates."""
    if method == "percentile":
        return min(amax, percentile(counts, SHARE))
    if method == "mse":
        return min(
            (float(amax * clip) for clip in _CLIPS),
            key=lambda reach: expected_error(format_, float(format_.scale_for(reach)), counts),
        )
    return amax
