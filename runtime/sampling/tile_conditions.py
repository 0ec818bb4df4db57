"""What `prepare` has made of every tile, kept on the host until the steps have used it."""

from __future__ import annotations

import math
import tempfile

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import IncompatibleError

Floats = NDArray[np.float32]

SPILL = 1 << 30
"""Bytes of tiles' tensors above which more go to temporary files: 2 GB for a 4096² picture at full size."""


class TileConditions:
    """Tensors of all tiles on the host; what every tile shares is kept once."""

    def __init__(self, tiles: int) -> None:
        self._tiles = tiles
        self._own: dict[str, Floats] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.shared: dict[str, Floats] = {}
        self._bytes = 0

    def put(self, index: int, tensors: dict[str, Floats]) -> None:
        """Keep a tile's tensors; tiles come in order."""
        for name, values in tensors.items():
            if index == 0:
                self.shared[name] = values.copy()
                self._shapes[name] = values.shape
            elif values.shape != self._shapes[name]:
                raise IncompatibleError(
                    f"prepare makes {name} of shape {self._shapes[name]}, then {values.shape}",
                    expected="one shape for tiles of one size",
                    fix="export the bundle anew",
                )
            elif name in self._own:
                self._own[name][index] = values
            elif not np.array_equal(values, self.shared[name]):
                own = self._own[name] = self._allocated((self._tiles, *values.shape))
                own[:index] = self.shared.pop(name)
                own[index] = values

    def get(self, index: int) -> dict[str, Floats]:
        """Tensors of one tile that not all tiles share."""
        return {name: values[index] for name, values in self._own.items()}

    def _allocated(self, shape: tuple[int, ...]) -> Floats:
        size = math.prod(shape) * np.dtype(np.float32).itemsize
        if self._bytes + size <= SPILL:
            self._bytes += size
            return np.empty(shape, dtype=np.float32)
        # The mapping keeps the unnamed file alive, and the kernel may write its pages out.
        with tempfile.TemporaryFile(prefix="dit4sr-") as file:
            return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
