"""From a latent to tokens on their places, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.sizes import TokenSizes
from dit4sr.runtime.sampling.positions import centred_start, sine_cosine_positions

Grid = tuple[int, int]
"""Rows and columns of image tokens."""

POSITION_TABLE = "pos_embed.pos_embed"
"""Key of a network's position table: a buffer, not a parameter, that a formula gives."""


class PatchEmbedding(nn.Module):
    """The embedding of a latent as tokens, with the crop of the position table centred on the grid."""

    pos_embed: Tensor

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        self.table_size = sizes.pos_embed_max_size
        self.proj = nn.Conv2d(
            sizes.in_channels, sizes.width, kernel_size=sizes.patch_size, stride=sizes.patch_size
        )
        table = torch.empty(1, self.table_size**2, sizes.width)
        self.register_buffer("pos_embed", table if table.is_meta else table.copy_(position_table(sizes)))

    def forward(self, latent: Tensor) -> Tensor:
        """Cut ``[R, 16, h, w]`` into ``[R, N, D]`` tokens, row by row."""
        patches: Tensor = self.proj(latent)
        return patches.flatten(2).transpose(1, 2) + self.positions((patches.shape[-2], patches.shape[-1]))

    def positions(self, grid: Grid) -> Tensor:
        """Crop the table to the grid: ``[1, N, D]``."""
        rows, columns = grid
        top, left = centred_start(self.table_size, rows), centred_start(self.table_size, columns)
        table = self.pos_embed.view(self.table_size, self.table_size, -1)
        return table[top : top + rows, left : left + columns].reshape(1, rows * columns, -1)


def position_table(sizes: TokenSizes) -> Tensor:
    """The table of positions ``[1, places, D]`` that published checkpoints hold, by its formula."""
    side = sizes.pos_embed_max_size
    formula = sine_cosine_positions(
        (side, side), width=sizes.width, table_size=side, base_size=sizes.base_grid
    )
    return torch.from_numpy(formula)[None].contiguous()


def patch_tokens(patch: nn.Conv2d, latent: Tensor) -> Tensor:
    """Embed a latent ``[R, 16, h, w]`` as tokens ``[R, N, D]``, row by row."""
    patches: Tensor = patch(latent)
    return patches.flatten(2).transpose(1, 2)


def token_grid(latent: Tensor, patch_size: int) -> tuple[int, int]:
    """Rows and columns of tokens in a latent, which patches must tile."""
    height, width = latent.shape[-2:]
    if height % patch_size or width % patch_size:
        raise ValueError(f"a {height}×{width} latent is not tiled by patches of {patch_size}×{patch_size}")
    return height // patch_size, width // patch_size


def unpatchify(patches: Tensor, grid: Grid, patch_size: int) -> Tensor:
    """Turn tokens back into a latent; a patch's elements are ordered row, column, channel."""
    rows, columns = grid
    pixels: Tensor = patches.unflatten(2, (patch_size, patch_size, -1)).unflatten(1, (rows, columns))
    return pixels.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
