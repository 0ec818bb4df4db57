"""Give the restored picture the colours of the one it came from.

Diffusion drifts in colour and brightness; the low-resolution picture knows both.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.unsignedinteger[Any]]


class ColourFix(Enum):
    """The colour fixes by the name a user types."""

    ADAIN = "adain"
    WAVELET = "wavelet"
    NONE = "none"

    def apply(self, content: Picture, style: Picture, *, cuts_off: bool = False) -> Picture:
        """Return ``content`` in the colours of ``style``; both are ``[height, width, 3]``.

        Levels are rounded so that their mean is kept. ``cuts_off`` drops their decimals instead, as the
        released fixes do: half a level darker on average, and only good for comparing with them.
        """
        return _FIXES[self](content, style, cuts_off)


Floats = NDArray[np.floating[Any]]


def match_statistics(content: Picture, style: Picture, cuts_off: bool) -> Picture:
    """Give each channel the mean and spread of that of ``style`` (adaptive instance normalisation).

    Levels are few, so statistics are taken from histograms and the result is looked up: exact, and without
    a copy of the picture in floating point.
    """
    result, top = np.empty_like(content), np.iinfo(content.dtype).max
    levels = np.arange(top + 1) / top
    for channel in range(content.shape[2]):
        counts, style_counts = (
            np.bincount(picture[..., channel].ravel(), minlength=top + 1) for picture in (content, style)
        )
        (mean, spread), (style_mean, style_spread) = (
            _moments(each, levels) for each in (counts, style_counts)
        )
        exact = ((levels - mean) / spread * style_spread + style_mean).clip(0, 1) * top
        table = _cut_off(exact) if cuts_off else _rounded(exact, counts)
        result[..., channel] = table.astype(content.dtype)[content[..., channel]]
    return result


def _moments(counts: NDArray[np.intp], levels: Floats) -> tuple[float, float]:
    size = int(counts.sum())
    mean = float(counts @ levels) / size
    squares = float(counts @ (levels - mean) ** 2)
    return mean, float(np.sqrt(squares / max(size - 1, 1) + 1e-5))


def _rounded(levels: Floats, counts: NDArray[np.intp]) -> Floats:
    """Whole levels with the mean of ``levels`` in a picture that has each of them ``counts`` times.

    Each goes up or down by what those before it left over. To the nearest alone, a channel that is to become
    brighter by a third of a level would stay as it is.
    """
    whole, owed = np.floor(levels), 0.0
    for i in np.flatnonzero(counts):
        rest = float(levels[i] - whole[i])
        owed += rest * int(counts[i])
        if 2 * owed > counts[i] and rest > NOTHING:
            whole[i] += 1
            owed -= int(counts[i])
    return whole


def _cut_off(levels: Floats) -> Floats:
    whole: Floats = np.floor(levels + NOTHING)
    return whole


NOTHING = 1e-4
"""Of a level: what arithmetic leaves of whole ones in ``float32``."""

_LEVELS_OF_DETAIL = 5
_REACH = 2**_LEVELS_OF_DETAIL - 1
"""How far a pixel of the low-pass sees, in pixels: 1 + 2 + 4 + 8 + 16."""
_BAND = 256
_QUARTER, _HALF = np.float32(0.25), np.float32(0.5)


def exchange_low_frequencies(content: Picture, style: Picture, cuts_off: bool) -> Picture:
    """Put detail of ``content`` over low frequencies of ``style``, band by band to bound the memory."""
    result, top = np.empty_like(content), np.iinfo(content.dtype).max
    height = content.shape[0]
    for start in range(0, height, _BAND):
        end = min(start + _BAND, height)
        first, last = max(start - _REACH, 0), min(end + _REACH, height)
        part = content[first:last].astype(np.float32)
        # detail(content) + low(style) = content + low(style - content): the low-pass is linear.
        part += low_pass(style[first:last] - part)
        exact = part[start - first : end - first].clip(0, top)
        result[start:end] = (_cut_off(exact) if cuts_off else exact.round()).astype(content.dtype)
    return result


def low_pass(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur a picture five times, each blur twice as wide as the one before, borders repeated."""
    for level in range(_LEVELS_OF_DETAIL):
        for axis in (0, 1):
            picture = _blur(picture, axis, 2**level)
    return picture


def _blur(picture: NDArray[np.float32], axis: int, reach: int) -> NDArray[np.float32]:
    border = [(0, 0)] * picture.ndim
    border[axis] = (reach, reach)
    padded = np.pad(picture, border, mode="edge")
    length = picture.shape[axis]
    before, middle, after = (
        np.take(padded, np.arange(start, start + length), axis=axis) for start in (0, reach, 2 * reach)
    )
    return (before + after) * _QUARTER + middle * _HALF


def _keep(content: Picture, style: Picture, cuts_off: bool) -> Picture:  # noqa: ARG001 - as the others
    return content


_FIXES: dict[ColourFix, Callable[[Picture, Picture, bool], Picture]] = {
    ColourFix.ADAIN: match_statistics,
    ColourFix.WAVELET: exchange_low_frequencies,
    ColourFix.NONE: _keep,
}
