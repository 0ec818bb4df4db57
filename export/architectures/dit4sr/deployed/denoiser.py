"""The network that runs once per step and evaluates the velocity."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention
from dit4sr.export.architectures.dit4sr.deployed.block import SimplifiedBlock
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.deployed.prepare import patch_convolution
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.mmdit.patches import patch_tokens, token_grid, unpatchify

ROUNDED_MODULES = (PackedAttention, InjectedFeedForward)
"""Modules of ours whose own weights only MatMuls and fused operators read; half precision rounds them."""


class Denoiser(nn.Module):
    """The network that evaluates the velocity once per step."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = patch_convolution(config)
        self.blocks = nn.ModuleList(SimplifiedBlock(config, layer) for layer in range(config.num_layers))
        self.output = nn.Linear(config.width, config.patch_size**2 * config.out_channels)

    def forward(
        self, latent: Tensor, lr_tokens: Tensor, text_tokens: Tensor, positions: Tensor, *modulations: Tensor
    ) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]`` from what `Prepare` made, the modulations of one step."""
        grid = token_grid(latent, self.config.patch_size)
        noise_tokens = patch_tokens(self.patch, latent)
        streams = Streams(noise_tokens + positions, lr_tokens + positions, text_tokens)
        *own, closing = modulations
        for block, modulation in zip(self.blocks, own, strict=True):
            streams = block(streams, modulation, grid)
        scale, shift = closing[:, None].chunk(2, dim=-1)
        tokens = self.output(Modulation(shift, scale).enter(layer_norm(streams.noise)))
        return unpatchify(tokens, grid, self.config.patch_size)
