"""What enters the transformer: patches with their positions, the time, and the pooled text."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.released.streams import Grid
from dit4sr.export.architectures.dtypes import at_least_single
from dit4sr.export.architectures.sizes import TokenSizes
from dit4sr.runtime.sampling.positions import centred_start, sine_cosine_positions

TIME_CHANNELS = 256


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
        if not table.is_meta:
            formula = sine_cosine_positions(
                (self.table_size, self.table_size),
                width=sizes.width,
                table_size=self.table_size,
                base_size=sizes.base_grid,
            )
            table.copy_(torch.from_numpy(formula))
        self.register_buffer("pos_embed", table)

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


class TwoLayerEmbedding(nn.Module):
    """An embedding by two linear layers, SiLU between them."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, vector: Tensor) -> Tensor:
        """Embed ``[..., channels]`` into ``[..., width]``."""
        embedded: Tensor = self.linear_2(F.silu(self.linear_1(vector)))
        return embedded


class TimeTextEmbedding(nn.Module):
    """The vector that steers every AdaLN: embedded time plus embedded pooled text."""

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        self.timestep_embedder = TwoLayerEmbedding(TIME_CHANNELS, sizes.width)
        self.text_embedder = TwoLayerEmbedding(sizes.pooled_projection_dim, sizes.width)

    def forward(self, timestep: Tensor, pooled: Tensor) -> Tensor:
        """Embed time and pooled text and add them; ``timestep`` and ``pooled`` may broadcast."""
        waves = time_waves(timestep).to(pooled.dtype)
        embedded: Tensor = self.timestep_embedder(waves) + self.text_embedder(pooled)
        return embedded


def time_waves(timestep: Tensor) -> Tensor:
    """Cosines, then sines, of the time at 128 frequencies; in FP32 even where the model is in half."""
    timestep, half = at_least_single(timestep), TIME_CHANNELS // 2
    places = torch.arange(half, dtype=timestep.dtype, device=timestep.device)
    frequencies = torch.exp(-math.log(10000.0) * places / half)
    angles = timestep.unsqueeze(-1) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def unpatchify(patches: Tensor, grid: Grid, patch_size: int) -> Tensor:
    """Turn tokens back into a latent; a patch's elements are ordered row, column, channel."""
    rows, columns = grid
    pixels: Tensor = patches.unflatten(2, (patch_size, patch_size, -1)).unflatten(1, (rows, columns))
    return pixels.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
