"""The network that runs once per step and evaluates the velocity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention
from dit4sr.export.architectures.dit4sr.deployed.block import SimplifiedBlock
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.deployed.prepare import patch_convolution, patch_tokens
from dit4sr.export.architectures.dit4sr.released.embedding import unpatchify
from dit4sr.export.architectures.dit4sr.released.streams import Modulation, layer_norm
from dit4sr.export.architectures.dit4sr.released.transformer import token_grid

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
        self, latent: Tensor, lr_tokens: Tensor, text_tokens: Tensor, modulation: Tensor, positions: Tensor
    ) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]`` from what `Prepare` made, ``modulation`` for one step."""
        grid = token_grid(latent, self.config.patch_size)
        chunks = iter(modulation.split(self.config.width, dim=-1))

        noise, text = patch_tokens(self.patch, latent) + positions, text_tokens
        image = torch.stack([noise, lr_tokens], dim=1)
        for block in self.blocks:
            image, text = block(image, text, chunks, grid)
        scale, shift = next(chunks), next(chunks)
        closing = Modulation(shift[:, None], scale[:, None])
        return unpatchify(self.output(closing.enter(layer_norm(image[:, 0]))), grid, self.config.patch_size)
