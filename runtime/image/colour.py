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
        """Return ``content`` in the colours of ``style`` and as deep; both are ``[height, width, 3]``.

        Levels are rounded to the nearest. ``cuts_off`` drops their decimals instead, as the released fixes
        do: half a level darker on average, and only good for comparing with them.
        """
        return _FIXES[self](content, style, cuts_off)

    def depth(self, style: Picture, *, cuts_off: bool = False) -> np.dtype[Any]:
        """How deep ``content`` should be: deeper than the result where it is changed on the way there.

        Whole levels that are spread leave gaps, and a level that two engines round otherwise comes out two
        apart; of 16 bits there are enough for levels to be rounded once, at the end. The released fixes
        start from whole levels.
        """
        is_as_it_is = self is ColourFix.NONE or cuts_off
        return style.dtype if is_as_it_is else np.dtype(np.uint16)


Floats = NDArray[np.floating[Any]]

_BAND = 256
"""Rows that are looked at together, to bound the memory."""


def match_statistics(content: Picture, style: Picture, cuts_off: bool) -> Picture:
    """Give each channel the mean and spread of that of ``style`` (adaptive instance normalisation).

    Levels are few, so statistics are taken from histograms and the result is looked up: exact, and without
    a copy of the picture in floating point.
    """
    result = np.empty(content.shape, style.dtype)
    for channel in range(content.shape[2]):
        old, new = content[..., channel], style[..., channel]
        (mean, spread), (style_mean, style_spread) = _moments(old), _moments(new)
        exact = ((_levels(old) - mean) / spread * style_spread + style_mean).clip(0, 1)
        result[..., channel] = _whole(exact * np.iinfo(new.dtype).max, cuts_off).astype(new.dtype)[old]
    return result


def _levels(plane: Picture) -> Floats:
    """Every level that there is, from 0 to 1."""
    top = np.iinfo(plane.dtype).max
    levels: Floats = np.arange(top + 1) / top
    return levels


def _moments(plane: Picture) -> tuple[float, float]:
    """Mean and spread of a channel's levels from 0 to 1."""
    levels = _levels(plane)
    bands = (plane[top : top + _BAND].ravel() for top in range(0, len(plane), _BAND))
    counts = sum((np.bincount(band, minlength=len(levels)) for band in bands), np.zeros(1, np.intp))
    # Sums and no products of vectors: BLAS would wake threads, which keep the cores from the next engine.
    mean = float((counts * levels).sum()) / plane.size
    squares = float((counts * (levels - mean) ** 2).sum())
    return mean, float(np.sqrt(squares / max(plane.size - 1, 1) + 1e-5))


def _whole(levels: Floats, cuts_off: bool) -> Floats:
    return np.floor(levels + NOTHING) if cuts_off else levels.round()


NOTHING = 1e-4
"""Of a level: what arithmetic leaves of whole ones in ``float32``."""

_LEVELS_OF_DETAIL = 5
_REACH = 2**_LEVELS_OF_DETAIL - 1
"""How far a pixel of the low-pass sees, in pixels: 1 + 2 + 4 + 8 + 16."""
_QUARTER, _HALF = np.float32(0.25), np.float32(0.5)


def exchange_low_frequencies(content: Picture, style: Picture, cuts_off: bool) -> Picture:
    """Put detail of ``content`` over low frequencies of ``style``, band by band to bound the memory."""
    result = np.empty(content.shape, style.dtype)
    top, height = np.iinfo(style.dtype).max, len(content)
    finer = np.float32(np.iinfo(content.dtype).max // top)
    for start in range(0, height, _BAND):
        end = min(start + _BAND, height)
        first, last = max(start - _REACH, 0), min(end + _REACH, height)
        part = content[first:last].astype(np.float32) / finer
        # detail(content) + low(style) = content + low(style - content): the low-pass is linear.
        part += low_pass(style[first:last] - part)
        exact = part[start - first : end - first].clip(0, top)
        result[start:end] = _whole(exact, cuts_off).astype(style.dtype)
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
