"""The visual prompt, and the MLPs that turn it into what stands where CLIP's text stood."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class VisualPrompt(NamedTuple):
    """What an image encoder sees of the degraded photo."""

    local_image: Tensor
    """Tokens ``[R, V, E]`` of the crop that is restored."""
    global_image: Tensor
    """Tokens ``[R, V, E]`` of a larger crop around it."""
    pooled: Tensor
    """The pooled vector ``[R, P]`` of the first."""


class Adapter(nn.Module):
    """Two linear layers, GELU between them."""

    def __init__(self, channels: int, hidden: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, hidden)
        self.linear_2 = nn.Linear(hidden, width)

    def forward(self, seen: Tensor) -> Tensor:
        """Adapt ``[..., channels]`` to ``[..., width]``."""
        adapted: Tensor = self.linear_2(F.gelu(self.linear_1(seen)))
        return adapted
