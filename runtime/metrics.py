"""How near one picture is to another: PSNR, SSIM and the largest difference; and one array to another.

PSNR is two numbers under one name. ``psnr_rgb`` looks at all channels, and is what a picture loses when the
numbers behind it are rounded. ``psnr_y`` looks at luma (BT.601, 16 to 235) as super-resolution papers do, and
lies some decibels above. SSIM is the original one, on luma: an 11×11 Gaussian window of spread 1.5, the mean
over all places where the window fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Picture

MOST_PSNR = 100.0
"""What identical pictures are given, for infinity is no number to average or to write down."""

Floats = NDArray[np.float64]


def luma(picture: Picture) -> Floats:
    """The brightness of every pixel, from 16 to 235."""
    weighed: Floats = picture @ np.array([65.481, 128.553, 24.966]) / 255 + 16
    return weighed


def psnr_rgb(found: Picture, wanted: Picture) -> float:
    """Peak signal to noise ratio over all three channels, in decibels."""
    _check_sizes(found, wanted)
    return _decibels(found.astype(np.float64) - wanted)


def psnr_y(found: Picture, wanted: Picture) -> float:
    """Peak signal to noise ratio of the luma alone, in decibels."""
    _check_sizes(found, wanted)
    return _decibels(luma(found) - luma(wanted))


def ssim(found: Picture, wanted: Picture) -> float:
    """Structural similarity of the luma, 1 for identical pictures."""
    _check_sizes(found, wanted)
    if min(found.shape[:2]) < len(_WINDOW):
        raise BadInputError(f"a picture of {found.shape[1]}×{found.shape[0]}", expected="11×11 at least")
    x, y = luma(found), luma(wanted)
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x, spread_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    shared = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    return float(np.mean(similar / ((mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2))))


def max_error(found: Picture, wanted: Picture) -> int:
    """The largest difference of any channel of any pixel, in levels of 255."""
    _check_sizes(found, wanted)
    return int(np.abs(found.astype(np.int16) - wanted).max())


def relative_errors(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> Floats:
    """For each pair of arrays, the length of the difference over the length of what was wanted."""
    return np.array([_relative_error(*pair) for pair in zip(found, wanted, strict=True)])


def _relative_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    # In FP64, for the squares of many halves exceed what a half can hold.
    exact = wanted.astype(np.float64)
    return float(np.linalg.norm(found - exact) / max(float(np.linalg.norm(exact)), 1e-30))


def _decibels(difference: Floats) -> float:
    error = float(np.mean(difference**2))
    return MOST_PSNR if error == 0 else min(10 * float(np.log10(255**2 / error)), MOST_PSNR)


_WINDOW = np.exp(-(np.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
_WINDOW /= _WINDOW.sum()


def _blurred(plane: Floats) -> Floats:
    """The Gaussian window's mean wherever it fits, one axis after the other."""
    for axis in (0, 1):
        plane = np.lib.stride_tricks.sliding_window_view(plane, len(_WINDOW), axis=axis) @ _WINDOW
    return plane


def _check_sizes(found: Picture, wanted: Picture) -> None:
    if found.shape != wanted.shape:
        shapes = ["×".join(map(str, picture.shape[1::-1])) for picture in (found, wanted)]
        raise BadInputError(f"pictures of {shapes[0]} and {shapes[1]}", expected="one size")
