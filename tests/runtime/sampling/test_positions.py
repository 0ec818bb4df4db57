"""The position formula, against an element-by-element reading of its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dit4sr.runtime.sampling.positions import sine_cosine_positions


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (8, 2)])
def test_every_element(grid):
    width, table_size, base_size = 16, 12, 4
    found = sine_cosine_positions(grid, width=width, table_size=table_size, base_size=base_size)
    assert found.shape == (grid[0] * grid[1], width)
    assert found.dtype == np.float32
    for row in range(grid[0]):
        for column in range(grid[1]):
            for channel in range(width):
                axis, place = divmod(channel, width // 2)
                index = (column, row)[axis] + (table_size - (grid[1], grid[0])[axis]) // 2
                wave, k = divmod(place, width // 4)
                angle = index * base_size / table_size * 10000 ** (-k / (width // 4))
                expected = (math.sin, math.cos)[wave](angle)
                assert found[row * grid[1] + column, channel] == pytest.approx(expected, abs=1e-7)


def test_a_crop_is_a_piece_of_the_whole_table():
    whole = sine_cosine_positions((24, 24), width=32, table_size=24, base_size=8).reshape(24, 24, 32)
    crop = sine_cosine_positions((6, 11), width=32, table_size=24, base_size=8).reshape(6, 11, 32)
    np.testing.assert_array_equal(crop, whole[9:15, 6:17])
