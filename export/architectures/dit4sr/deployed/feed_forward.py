"""The image streams' feed-forward, the LR injection fused between its linear layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.streams import Grid
from dit4sr.kernels.depthwise_inject.torch_op import depthwise_inject


class InjectedFeedForward(nn.Module):
    """The image streams' MLP: linear layers that serve both streams, the LR injection fused between them."""

    def __init__(self, config: TransformerConfig, *, noise_only: bool) -> None:
        super().__init__()
        hidden = config.hidden_width
        self.injection, self.noise_only = config.injection, noise_only
        self.expand = nn.Linear(config.width, hidden)
        self.contract = nn.Linear(hidden, config.width)
        match self.injection:
            case Injection.CONVOLUTION:
                # Channels last, as the tokens are: tap row, tap column, channel.
                self.taps = nn.Parameter(torch.zeros(3, 3, hidden))
                self.tap_bias = nn.Parameter(torch.zeros(hidden))
            case Injection.LINEAR:
                self.injected = nn.Linear(hidden, hidden)
            case Injection.CHANNEL:
                self.factor = nn.Parameter(torch.ones(hidden))
            case Injection.NONE:
                pass

    def forward(self, image: Tensor, grid: Grid) -> Tensor:
        """Map ``[R, 2, N, D]`` to the same shape, or to the noise stream alone if nobody reads the other."""
        hidden = self.inject(self.expand(image), grid)
        tokens: Tensor = self.contract(hidden[:, :1] if self.noise_only else hidden)
        return tokens

    def inject(self, expanded: Tensor, grid: Grid) -> Tensor:
        """Activate both streams and add the LR stream's contribution to the noise stream."""
        if self.injection is Injection.CONVOLUTION:
            maps: Tensor = expanded.unflatten(2, grid)
            injected: Tensor = depthwise_inject(maps, self.taps, self.tap_bias)
            return injected.flatten(2, 3)
        hidden = F.gelu(expanded, approximate="tanh")
        if self.injection is Injection.NONE:
            return hidden
        noise, lr = hidden.unbind(1)
        added = self.injected(lr) if self.injection is Injection.LINEAR else lr * self.factor
        return torch.stack([noise + added, lr], dim=1)
