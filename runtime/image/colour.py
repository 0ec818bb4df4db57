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

        Levels are rounded. ``cuts_off`` drops their decimals instead, as the released fixes do: half a level
        darker on average, and only good for comparing with them.
        """
        return _FIXES[self](content, style, _cut_off if cuts_off else np.round)


Floats = NDArray[np.floating[Any]]
ToWhole = Callable[[Floats], Floats]
"""How levels with decimals become whole ones."""


def _cut_off(levels: Floats) -> Floats:
    # The small excess keeps whole levels whole in float32.
    whole: Floats = np.floor(levels + 1e-4)
    return whole


def match_statistics(content: Picture, style: Picture, to_whole: ToWhole) -> Picture:
    """Give each channel the mean and spread of that of ``style`` (adaptive instance normalisation).

    Levels are few, so statistics are taken from histograms and the result is looked up: exact, and without
    a copy of the picture in floating point.
    """
    result, top = np.empty_like(content), np.iinfo(content.dtype).max
    levels = np.arange(top + 1) / top
    for channel in range(content.shape[2]):
        mean, spread = _moments(content[..., channel], levels)
        style_mean, style_spread = _moments(style[..., channel], levels)
        table = (levels - mean) / spread * style_spread + style_mean
        result[..., channel] = to_whole(table.clip(0, 1) * top).astype(content.dtype)[content[..., channel]]
    return result


def _moments(channel: Picture, levels: NDArray[np.float64]) -> tuple[float, float]:
    counts = np.bincount(channel.ravel(), minlength=len(levels))
    mean = float(counts @ levels) / channel.size
    squares = float(counts @ (levels - mean) ** 2)
    return mean, float(np.sqrt(squares / max(channel.size - 1, 1) + 1e-5))


_LEVELS_OF_DETAIL = 5
_REACH = 2**_LEVELS_OF_DETAIL - 1
"""How far a pixel of the low-pass sees, in pixels: 1 + 2 + 4 + 8 + 16."""
_BAND = 256
_QUARTER, _HALF = np.float32(0.25), np.float32(0.5)


def exchange_low_frequencies(content: Picture, style: Picture, to_whole: ToWhole) -> Picture:
    """Put detail of ``content`` over low frequencies of ``style``, band by band to bound the memory."""
    result, top = np.empty_like(content), np.iinfo(content.dtype).max
    height = content.shape[0]
    for start in range(0, height, _BAND):
        end = min(start + _BAND, height)
        first, last = max(start - _REACH, 0), min(end + _REACH, height)
        part = content[first:last].astype(np.float32)
        # detail(content) + low(style) = content + low(style - content): the low-pass is linear.
        part += low_pass(style[first:last] - part)
        result[start:end] = to_whole(part[start - first : end - first].clip(0, top)).astype(content.dtype)
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


def _keep(content: Picture, style: Picture, to_whole: ToWhole) -> Picture:  # noqa: ARG001 - as the others
    return content


_FIXES: dict[ColourFix, Callable[[Picture, Picture, ToWhole], Picture]] = {
    ColourFix.ADAIN: match_statistics,
    ColourFix.WAVELET: exchange_low_frequencies,
    ColourFix.NONE: _keep,
}
