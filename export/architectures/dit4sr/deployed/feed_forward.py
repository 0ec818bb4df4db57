"""The image streams' feed-forward, the LR injection fused between its linear layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.patches import Grid
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

    def forward(self, image: Streams | Tensor, grid: Grid) -> Streams:
        """Widen the image streams, let LR help noise, and narrow what anybody still reads.

        The streams come apart, ``[R, N, D]`` each, or in one tensor ``[2, R, N, D]``: then every weight is
        read once.
        """
        if isinstance(image, Tensor):
            noise, lr = self.activated(image).unbind(0)
            hidden = torch.stack([self.inject(noise, lr, grid), lr])
            return Streams(*self.contract(hidden).unbind(0))
        noise, lr = (self.activated(stream) for stream in (image.noise, image.lr))
        injected = self.inject(noise, lr, grid)
        return Streams(self.contract(injected), None if self.noise_only else self.contract(lr))

    def activated(self, stream: Tensor | None) -> Tensor:
        """Project and activate one stream: a product whose epilogue is its bias and GELU."""
        return F.gelu(self.expand(stream), approximate="tanh")

    def inject(self, noise: Tensor, lr: Tensor, grid: Grid) -> Tensor:
        """Add the LR stream's contribution to the noise stream, both activated."""
        match self.injection:
            case Injection.CONVOLUTION:
                maps = (stream.unflatten(1, grid) for stream in (noise, lr))
                injected: Tensor = depthwise_inject(*maps, self.taps, self.tap_bias)
                return injected.flatten(1, 2)
            case Injection.LINEAR:
                linear: Tensor = self.injected(lr)
                return noise + linear
            case Injection.CHANNEL:
                return noise + lr * self.factor
            case _:
                return noise
