"""Pictures larger than what the network was trained on: overlapping tiles, blended without seams."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import BadInputError

Floats = NDArray[np.float32]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a latent, in latent units."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, whole: NDArray[Kind], factor: int = 1) -> NDArray[Kind]:
        """The tile's part of ``[..., height, width]``, whose sides are ``factor`` times the latent's."""
        rows = slice(self.top * factor, (self.top + self.height) * factor)
        columns = slice(self.left * factor, (self.left + self.width) * factor)
        return whole[..., rows, columns]


@dataclass(frozen=True)
class Tiling:
    """How tiles of one size cover a latent; the last ones lie flush with the border."""

    height: int
    width: int
    tile_height: int
    tile_width: int
    overlap: int

    @classmethod
    def cover(cls, height: int, width: int, tile: int, overlap: int, multiple: int = 1) -> Tiling:
        """Choose one tile if the latent is no larger in area than a square tile, else square tiles.

        Tile sides are multiples of ``multiple`` (the network's patch), whatever the latent's sides are.
        """
        if not 0 <= overlap < tile:
            raise BadInputError(
                f"tiles of {tile} with overlap {overlap}", expected="an overlap below the tile size"
            )
        if height * width <= tile * tile and height % multiple == 0 and width % multiple == 0:
            return cls(height, width, height, width, 0)
        side = min(tile, height, width) // multiple * multiple
        if side == 0:
            raise BadInputError(f"a latent of {height}×{width}", expected=f"sides of {multiple} and more")
        return cls(height, width, side, side, min(overlap, side - 1))

    @property
    def is_whole(self) -> bool:
        """True if one tile is the whole latent."""
        return (self.height, self.width) == (self.tile_height, self.tile_width)

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, row by row from the top."""
        return tuple(tile for row in self.rows() for tile in row)

    def rows(self) -> Iterator[list[Tile]]:
        """Yield the tiles of one row after the other, from the top."""
        lefts = starts(self.width, self.tile_width, self.overlap)
        for top in starts(self.height, self.tile_height, self.overlap):
            yield [Tile(top, left, self.tile_height, self.tile_width) for left in lefts]

    def row_shares(self, factor: int = 1) -> list[Floats]:
        """Weights of the pixel rows of each row of tiles; at every place they sum to one."""
        return shares(self.height * factor, self.tile_height * factor, self.overlap * factor, centre=0.5)

    def column_shares(self, factor: int = 1) -> list[Floats]:
        """Weights of the pixel columns of each column of tiles; at every place they sum to one."""
        return shares(self.width * factor, self.tile_width * factor, self.overlap * factor, centre=0.0)

    def weights(self) -> Iterator[Floats]:
        """Yield the weights of every tile ``[height, width]``, in the order of ``tiles``."""
        columns = self.column_shares()
        for row in self.row_shares():
            for column in columns:
                yield row[:, None] * column


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles begin along one side."""
    count = 1 + math.ceil((length - tile) / (tile - overlap))
    return [min(i * (tile - overlap), length - tile) for i in range(count)]


def shares(length: int, tile: int, overlap: int, centre: float) -> list[Floats]:
    """Gaussian weights of the tiles along one side, normalised where tiles overlap.

    The variance is 0.02 tile². The released pipeline puts the peak in the middle of the tile on one axis
    and half a latent beyond it on the other (``centre``); it is kept, because a picture should not depend
    on who blends it. Tiles form a grid, so both the weights and their sums are products of two sides.
    """
    offsets = np.arange(tile) - ((tile - 1) / 2 + centre)
    bell = np.exp(-(offsets**2) / (0.02 * tile * tile))
    places = starts(length, tile, overlap)
    total = np.zeros(length)
    for start in places:
        total[start : start + tile] += bell
    return [(bell / total[start : start + tile]).astype(np.float32) for start in places]


class Blend:
    """A picture put together from weighted tiles, in float32 and in place."""

    def __init__(self, tiling: Tiling, channels: int) -> None:
        self.tiling = tiling
        self.picture = np.zeros((channels, tiling.height, tiling.width), dtype=np.float32)
        self._scratch = np.empty((channels, tiling.tile_height, tiling.tile_width), dtype=np.float32)
        self._weights = dict(zip(tiling.tiles, tiling.weights(), strict=True))

    def clear(self) -> None:
        """Set the picture to zero."""
        self.picture.fill(0)

    def add(self, tile: Tile, values: Floats) -> None:
        """Add a tile's values ``[channels, height, width]``, times the tile's weights."""
        np.multiply(values, self._weights[tile], out=self._scratch)
        part = tile.crop(self.picture)
        part += self._scratch
