"""The vector that steers a network: the time, and the pooled text."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dtypes import at_least_single
from dit4sr.export.architectures.mmdit.sizes import TokenSizes

TIME_CHANNELS = 256


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
