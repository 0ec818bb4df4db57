"""Small photos to restore."""

from __future__ import annotations

import numpy as np


def make_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    planes = np.stack([rows, columns, (rows + columns > 0.8) * 1.0], axis=-1) * 180 + 30
    return (planes + rng.normal(0, 8, planes.shape)).clip(0, 255).astype(np.uint8)
