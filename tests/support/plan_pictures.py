"""Pictures that plans make of the toy bundle, by whichever backend."""

from __future__ import annotations

import numpy as np

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle


def photo(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)


def restored(bundle: Bundle, backend: str, picture: np.ndarray, **options) -> np.ndarray:
    with Upscaler(bundle, backend=backend, threads=1, use_cache=False) as upscaler:
        assert upscaler.backend == f"{backend}/{'cpu' if backend == 'onnxruntime' else 'cuda'}"
        return upscaler.upscale(picture, seed=3, settings=Settings(**options)).picture
