"""The position table of SD3.5, as a formula.

The checkpoint stores 226.5 M elements (one row for each place of a 384×384 grid), of which a picture uses a
centred crop. The table is two-dimensional sine-cosine, so the crop can be computed for the grid at hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def centred_start(table_size: int, length: int) -> int:
    """Where a centred crop of ``length`` begins on one axis of the position table."""
    return (table_size - length) // 2


def sine_cosine_positions(
    grid: tuple[int, int], *, width: int, table_size: int, base_size: int
) -> NDArray[np.float32]:
    """Positions of a ``(rows, columns)`` grid, as ``[rows · columns, width]``.

    The first half of the channels encodes the column, the second half the row; each half is sines, then
    cosines. ``base_size`` is the grid the model was trained on: coordinates are stretched to match it.
    """
    quarter = width // 4
    frequencies = 10000.0 ** (-np.arange(quarter, dtype=np.float64) / quarter)

    def encode(length: int) -> NDArray[np.float64]:
        places = (centred_start(table_size, length) + np.arange(length)) * (base_size / table_size)
        angles = places[:, None] * frequencies
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    rows, columns = grid
    table = np.empty((rows, columns, width), dtype=np.float32)
    table[..., : width // 2] = encode(columns)[None, :, :]
    table[..., width // 2 :] = encode(rows)[:, None, :]
    return table.reshape(rows * columns, width)
