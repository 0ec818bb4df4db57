"""Tiles cover everything, blend smoothly, and agree with the released pipeline's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.tiles import Blend, Tiling


@pytest.mark.parametrize(("pixels", "tiles"), [(512, 1), (1024, 9), (2048, 36), (4096, 169)])
def test_counts_of_the_fact_sheet(pixels, tiles):
    assert len(Tiling.cover(pixels // 8, pixels // 8, 64, 24).tiles) == tiles


@given(
    height=st.integers(4, 150),
    width=st.integers(4, 150),
    tile=st.integers(4, 64),
    overlap=st.integers(0, 63),
    multiple=st.sampled_from([1, 2, 4]),
)
def test_every_place_is_covered_with_weights_that_sum_to_one(height, width, tile, overlap, multiple):
    if overlap >= tile:
        with pytest.raises(BadInputError):
            Tiling.cover(height, width, tile, overlap, multiple)
        return
    tiling = Tiling.cover(height, width, tile, overlap, multiple)
    assert tiling.tile_height % multiple == tiling.tile_width % multiple == 0
    blend = Blend(tiling, 1)
    for part in tiling.tiles:
        assert 0 <= part.top <= part.top + part.height <= height
        assert 0 <= part.left <= part.left + part.width <= width
        blend.add(part, np.ones((1, part.height, part.width), dtype=np.float32))
    np.testing.assert_allclose(blend.picture, 1, atol=1e-5)


def test_an_odd_latent_of_one_tile_becomes_several_even_ones():
    """The released pipeline crashes here: 63 latents do not divide into patches of two."""
    tiling = Tiling.cover(63, 63, 64, 24, multiple=2)
    assert (tiling.tile_height, tiling.tile_width) == (62, 62)
    assert len(tiling.tiles) == 4


def released_blend(tiling: Tiling, values: list[np.ndarray]) -> np.ndarray:
    """Σ(v·w)/Σw with the weights as the fact sheet writes them."""
    side = tiling.tile_height
    places = np.arange(side)

    def bell(middle):
        return np.exp(-((places - middle) ** 2) / (side * side * 0.02)) / np.sqrt(0.02 * np.pi)

    weight = np.outer(bell(side / 2), bell((side - 1) / 2))
    total = np.zeros((tiling.height, tiling.width))
    weights = np.zeros_like(total)
    for tile, value in zip(tiling.tiles, values, strict=True):
        tile.crop(total)[...] += value * weight
        tile.crop(weights)[...] += weight
    return total / weights


def test_blend_is_the_released_one():
    tiling = Tiling.cover(100, 131, 64, 24, multiple=2)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(1, 64, 64)).astype(np.float32) for _ in tiling.tiles]
    blend = Blend(tiling, 1)
    for tile, value in zip(tiling.tiles, values, strict=True):
        blend.add(tile, value)
    np.testing.assert_allclose(blend.picture[0], released_blend(tiling, [v[0] for v in values]), atol=2e-6)


def test_blended_tiles_show_no_seam():
    """Tiles that disagree by a constant each: the step across a tile's edge is no larger than elsewhere."""
    tiling = Tiling.cover(160, 160, 64, 24)
    blend = Blend(tiling, 1)
    for i, tile in enumerate(tiling.tiles):
        blend.add(tile, np.full((1, 64, 64), float(i % 2), dtype=np.float32))
    steps = np.abs(np.diff(blend.picture[0], axis=1))
    edges = sorted({tile.left for tile in tiling.tiles} | {tile.left + 64 for tile in tiling.tiles})[1:-1]
    at_edges = max(steps[:, edge - 1].max() for edge in edges)
    assert at_edges < 0.02 < steps.max() < 0.35


def test_a_cleared_blend_starts_anew():
    tiling = Tiling.cover(20, 20, 12, 4)
    blend = Blend(tiling, 2)
    for _ in range(2):
        blend.clear()
        for tile in tiling.tiles:
            blend.add(tile, np.ones((2, 12, 12), dtype=np.float32))
    np.testing.assert_allclose(blend.picture, 1, atol=1e-6)
