"""The vectors that steer every AdaLN, from the time and, for most, the pooled text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.steering import TIME_CHANNELS, TwoLayerEmbedding
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig


class Steering(nn.Module):
    """One network's steering vector; where it sees no pooled text, what zeros add is the same always."""

    def __init__(self, config: SystemConfig, *, with_text: bool) -> None:
        super().__init__()
        self.timestep_embedder = TwoLayerEmbedding(TIME_CHANNELS, config.width)
        self.text_embedder = (
            TwoLayerEmbedding(config.pooled_projection_dim, config.width) if with_text else None
        )
        if not with_text:
            self.no_text = nn.Parameter(torch.zeros(config.width))

    def forward(self, waves: Tensor, pooled: Tensor) -> Tensor:
        """Embed the waves of all times for every row of ``pooled``: ``[T, R, D]``."""
        embedded: Tensor = self.timestep_embedder(waves.to(pooled.dtype))
        if self.text_embedder is None:
            return (embedded + self.no_text).expand(-1, pooled.shape[0], -1)
        told: Tensor = self.text_embedder(pooled)
        return embedded + told
