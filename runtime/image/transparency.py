"""Transparency of an enlarged picture: smooth edges, and nothing of the colours that nobody saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dit4sr.runtime.image.photo import Picture, resized

Floats = NDArray[np.float32]
Size = tuple[int, int]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture."""

_BAND = 256

_STEEPENING = np.float32(3)
"""How much a whole edge is steepened: enlarged four times, it is as wide again as it was in pixels."""
_SIDE = np.float32(0.1)
"""What a pixel keeps of its own side when the steps of an edge are smoothed, or thin lines would vanish."""


def enlarged_alpha(alpha: Picture, size: Size) -> Picture:
    """Enlarge a picture's transparency ``[height, width]``; smaller, it is resized as any picture.

    Bicubic alone leaves an edge as many times wider and shows the steps of one that is all or nothing. So
    those steps are smoothed first, and edges steepened between the extremes around them, the whole ones most:
    a gradient stays what it was.
    """
    height, width = alpha.shape
    if size[0] <= width or size[1] <= height:
        return resized(alpha, size)
    levels = alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)
    low, high = _extremes(levels)
    smooth = _without_steps(levels, low, high)
    result = np.empty((size[1], size[0]), alpha.dtype)
    # Band by band: a few copies of the enlarged picture in floating point would weigh more than all else.
    for start in range(0, size[1], _BAND):
        rows = slice(start, min(start + _BAND, size[1]))
        box = (0.0, rows.start * height / size[1], float(width), rows.stop * height / size[1])
        band = _steepened(smooth, low, high, (size[0], rows.stop - rows.start), box)
        result[rows] = (band * np.iinfo(alpha.dtype).max).round()
    return result


def spread_colours(rgb: Picture, alpha: Picture) -> Picture:
    """Let visible colours run on beneath what is wholly transparent, so that they meet no others at an edge.

    Files hold anything there, black as a rule, and the network would take it for the neighbourhood.
    """
    is_seen = alpha > 0
    if is_seen.all() or not is_seen.any():
        return rgb
    filled = _filled(rgb.astype(np.float32), is_seen)
    return filled.clip(0, np.iinfo(rgb.dtype).max).round().astype(rgb.dtype)


def _steepened(smooth: Floats, low: Floats, high: Floats, size: Size, box: Box) -> Floats:
    """Part of a transparency, enlarged, with its edges steepened between the extremes around them."""
    level = _resized(smooth, size, Image.Resampling.BICUBIC, box)
    least, most = (_resized(extreme, size, Image.Resampling.NEAREST, box) for extreme in (low, high))
    low, high = (_resized(extreme, size, Image.Resampling.BILINEAR, box) for extreme in (low, high))
    middle = (low + high) / 2
    steep = middle + (level - middle) * (1 + (_STEEPENING - 1) * (high - low) ** 2)
    return steep.clip(least, most)


def _extremes(levels: Floats) -> tuple[Floats, Floats]:
    """The least and the most of every pixel and the eight around it."""
    around = _neighbourhood(levels)
    return np.minimum.reduce(around), np.maximum.reduce(around)


def _without_steps(levels: Floats, low: Floats, high: Floats) -> Floats:
    """Average where there is nothing between the extremes, for there an edge has no pixels that it halves."""
    around = _neighbourhood(levels)
    is_stepped = np.logical_and.reduce([(each == low) | (each == high) for each in around])
    weights = np.outer([1, 2, 1], [1, 2, 1]).ravel() / np.float32(16)
    average = sum(weight * each for weight, each in zip(weights, around, strict=True))
    middle, keeps = (low + high) / 2, _SIDE * (high - low)
    on_its_side = np.where(
        levels > middle, np.maximum(average, middle + keeps), np.minimum(average, middle - keeps)
    )
    return np.where(is_stepped, on_its_side, levels).astype(np.float32)


def _neighbourhood(levels: Floats) -> list[Floats]:
    padded = np.pad(levels, 1, mode="edge")
    height, width = levels.shape
    return [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]


def _filled(colours: Floats, is_known: NDArray[np.bool_]) -> Floats:
    """Colours where there were none, from the same picture at half the size, which has fewer gaps."""
    height, width = is_known.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    share = _resized(is_known.astype(np.float32), half, Image.Resampling.BOX)
    known = np.where(is_known[..., None], colours, np.float32(0))
    means = np.dstack([_resized(known[..., i], half, Image.Resampling.BOX) for i in range(3)])
    means /= np.maximum(share, np.float32(1e-6))[..., None]
    if not share.all():
        means = _filled(means, share > 0)
    wide = [_resized(means[..., i], (width, height), Image.Resampling.BILINEAR) for i in range(3)]
    return np.where(is_known[..., None], colours, np.dstack(wide))


def _resized(plane: Floats, size: Size, how: Image.Resampling, box: Box | None = None) -> Floats:
    return np.asarray(Image.fromarray(plane).resize(size, how, box=box))
