"""How near one picture is to another: PSNR and SSIM as the field reports them, and the largest difference.

Both are taken on luma (BT.601, 16 to 235). SSIM is the original one: an 11×11 Gaussian window of spread 1.5,
the mean over all places where the window fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.image.photo import Picture

MOST_PSNR = 100.0
"""What identical pictures are given, for infinity is no number to average or to write down."""
IQA_NAMES = {"clipiqa+": "clipiqa+_vitL14_512", "maniqa": "maniqa-pipal"}
"""Short names of the metrics whose published figures were made with one particular model."""

Floats = NDArray[np.float64]


def luma(picture: Picture) -> Floats:
    """The brightness that both metrics look at."""
    weighed: Floats = picture @ np.array([65.481, 128.553, 24.966]) / 255 + 16
    return weighed


def psnr(found: Picture, wanted: Picture) -> float:
    """Peak signal to noise ratio in decibels."""
    _check_sizes(found, wanted)
    error = float(np.mean((luma(found) - luma(wanted)) ** 2))
    return MOST_PSNR if error == 0 else min(10 * float(np.log10(255**2 / error)), MOST_PSNR)


def ssim(found: Picture, wanted: Picture) -> float:
    """Structural similarity, 1 for identical pictures."""
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


def iqa(names: Sequence[str], found: Picture, wanted: Picture | None) -> Mapping[str, float]:
    """PyIQA's metrics by name; those that compare need a truth. Their weights are PyIQA's to download."""
    if not names:
        return {}
    try:
        import pyiqa  # noqa: PLC0415  (torch and more, only on request)
        import torch  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError(
            "not installed: pyiqa, which --iqa asks for", fix="pip install pyiqa, or leave out --iqa"
        ) from None

    def tensor(picture: Picture) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    scores = {}
    for name in names:
        metric = pyiqa.create_metric(IQA_NAMES.get(name, name))
        if metric.metric_mode == "FR" and wanted is None:
            continue
        pictures = [found] if metric.metric_mode == "NR" or wanted is None else [found, wanted]
        scores[name] = float(metric(*map(tensor, pictures)))
    return scores


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
