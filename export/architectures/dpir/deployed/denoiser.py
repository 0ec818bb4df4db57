"""The network that runs once per step and evaluates the velocity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.alignment import given_statistics_of
from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.mmdit.deployed.attention import PackedAttention
from dit4sr.export.architectures.mmdit.deployed.block import simplified_blocks
from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.mmdit.patches import patch_tokens, token_grid, unpatchify

ROUNDED_MODULES = (PackedAttention,)
"""Modules of ours whose own weights only MatMuls read; half precision rounds them."""


class Denoiser(nn.Module):
    """SD3 with the LQ branch's features joined after its first block."""

    def __init__(self, config: DpirConfig) -> None:
        super().__init__()
        self.config, width, patch = config, config.width, config.patch_size
        self.patch = nn.Conv2d(config.in_channels, width, kernel_size=patch, stride=patch)
        self.blocks = simplified_blocks(config, config.backbone, config.backbone.num_layers)
        self.output = nn.Linear(width, patch**2 * config.in_channels)

    def forward(
        self,
        latent: Tensor,
        lq_tokens: Tensor,
        text_tokens: Tensor,
        image_tokens: Tensor,
        positions: Tensor,
        *modulations: Tensor,
    ) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]`` from what `Prepare` made, the modulations of one step."""
        config = self.config
        grid = token_grid(latent, config.patch_size)
        image = patch_tokens(self.patch, latent) + positions
        prompt = torch.cat([text_tokens, image_tokens], dim=1)
        *own, closing = modulations
        for layer, (block, modulation) in enumerate(zip(self.blocks, own, strict=True)):
            image, prompt = block(image, prompt, modulation)
            if layer == 0:
                image = image + self.aligned(lq_tokens, image)
        tokens = self.output(Modulation(*closing[:, None].chunk(2, dim=-1)).enter(layer_norm(image)))
        return unpatchify(tokens, grid, config.patch_size)

    def aligned(self, features: Tensor, main: Tensor) -> Tensor:
        """Standardised features with the statistics of the tokens that they are added to, weighed."""
        aligned, scale = given_statistics_of(main, features, self.config.statistics), self.config.lq_scale
        return aligned if scale == 1 else scale * aligned
