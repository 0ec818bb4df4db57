"""AdaLN: how the time and the pooled text let tokens in and out of a layer."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Modulation(NamedTuple):
    """How the time and the pooled text steer one layer: AdaLN's shift, scale and, for most, gate."""

    shift: Tensor
    scale: Tensor
    gate: Tensor | None = None

    def enter(self, normed: Tensor) -> Tensor:
        """Scale and shift normalised tokens before they enter the layer."""
        return normed * (1 + self.scale) + self.shift

    def leave(self, output: Tensor) -> Tensor:
        """Weigh the layer's output before it joins the residual stream."""
        return output if self.gate is None else self.gate * output


def layer_norm(tokens: Tensor) -> Tensor:
    """LayerNorm without weights: AdaLN supplies them."""
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)


class AdaLayerNorm(nn.Module):
    """AdaLN: the modulations of a block's layers (shift, scale, gate of each) from the steering vector."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.linear = nn.Linear(width, 3 * layers * width)

    def forward(self, steering: Tensor) -> list[Modulation]:
        """Compute one modulation for each layer, ``[R, 1, D]`` apiece."""
        chunks = self.linear(F.silu(steering)).unsqueeze(1).chunk(3 * self.layers, dim=-1)
        return [Modulation(*chunks[i : i + 3]) for i in range(0, 3 * self.layers, 3)]


class AdaLayerNormContinuous(nn.Module):
    """AdaLN for the output and for text that is only read: scale before shift, and no gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, steering: Tensor) -> list[Modulation]:
        """Compute one modulation without a gate, ``[R, 1, D]``."""
        scale, shift = self.linear(F.silu(steering)).unsqueeze(1).chunk(2, dim=-1)
        return [Modulation(shift, scale)]
