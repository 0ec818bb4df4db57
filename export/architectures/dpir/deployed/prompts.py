"""What an image encoder has seen, on its way into the network: each adapter and what follows it as one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.mmdit.deployed.time_waves import exact_time_waves
from dit4sr.export.architectures.mmdit.steering import TIME_CHANNELS, TwoLayerEmbedding


class PromptEmbedding(nn.Module):
    """An adapter whose last layer and the embedding of a prompt's rows are one linear layer."""

    def __init__(self, config: DpirConfig) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(config.image_channels, config.image_adapter_width)
        self.linear_2 = nn.Linear(config.image_adapter_width, config.width)

    def forward(self, seen: Tensor) -> Tensor:
        """Embed visual tokens ``[R, V, E]`` as those that blocks read, ``[R, V, D]``."""
        embedded: Tensor = self.linear_2(F.gelu(self.linear_1(seen)))
        return embedded


class Steering(nn.Module):
    """The vector that steers every AdaLN, from the time and the pooled vector of the local crop."""

    def __init__(self, config: DpirConfig) -> None:
        super().__init__()
        self.timestep_embedder = TwoLayerEmbedding(TIME_CHANNELS, config.width)
        self.adapter = nn.Linear(config.image_pooled_channels, config.pooled_adapter_width)
        self.joined = nn.Linear(config.pooled_adapter_width, config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, timesteps: Tensor, pooled: Tensor) -> Tensor:
        """Embed all times for every row of ``pooled``: ``[T, R, D]``."""
        waves = exact_time_waves(timesteps).to(pooled.dtype)
        told: Tensor = self.out(F.silu(self.joined(F.gelu(self.adapter(pooled)))))
        embedded: Tensor = self.timestep_embedder(waves)
        return embedded + told
