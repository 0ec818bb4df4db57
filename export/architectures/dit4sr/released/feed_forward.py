"""The feed-forward of a block, and the LR injection between the MLPs of the image streams."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.feed_forward import FeedForward
from dit4sr.export.architectures.mmdit.patches import Grid

INJECTION_SCALE = 1.2
"""The factor by which released inference weighs the injection; training did not."""


class ImageFeedForward(FeedForward):
    """One MLP for both image streams; between its linear layers the LR stream helps the noise stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        hidden = config.hidden_width
        self.injection = config.injection
        match self.injection:
            case Injection.CONVOLUTION:
                self.control_conv = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden)
            case Injection.LINEAR:
                self.control_linear = nn.Linear(hidden, hidden)
            case Injection.CHANNEL:
                self.control_scale = nn.Parameter(torch.ones(hidden))
            case Injection.NONE:
                pass

    def restore(self, streams: Streams, grid: Grid) -> Streams:
        """Run the image streams through the MLP, the LR stream helping the noise stream on the way."""
        noise = self.expand(streams.noise)
        lr = None if streams.lr is None else self.expand(streams.lr)
        if lr is not None and self.injection is not Injection.NONE:
            noise = noise + INJECTION_SCALE * self.injected(lr, grid)
        return Streams(noise, lr).each(self.contract)

    def injected(self, lr_hidden: Tensor, grid: Grid) -> Tensor:
        """What the LR stream's hidden tokens add to the noise stream's (LR injection)."""
        match self.injection:
            case Injection.LINEAR:
                linear: Tensor = self.control_linear(lr_hidden)
                return linear
            case Injection.CHANNEL:
                return lr_hidden * self.control_scale
            case _:
                as_map = lr_hidden.transpose(1, 2).unflatten(2, grid)
                mixed: Tensor = self.control_conv(as_map)
                return mixed.flatten(2).transpose(1, 2)
