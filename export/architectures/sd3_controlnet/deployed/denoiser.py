"""The networks that run once per step and evaluate the velocity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.deployed.attention import PackedAttention
from dit4sr.export.architectures.mmdit.deployed.block import simplified_blocks
from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.mmdit.patches import patch_tokens, token_grid, unpatchify
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig

ROUNDED_MODULES = (PackedAttention,)
"""Modules of ours whose own weights only MatMuls read; half precision rounds them."""


class Denoiser(nn.Module):
    """Backbone and control net, which runs just ahead of it: a residual is made where it is first read."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config, width, patch = config, config.width, config.patch_size
        # Both networks embed the same latent: one convolution makes the tokens of both.
        self.patch = nn.Conv2d(config.in_channels, 2 * width, kernel_size=patch, stride=patch)
        self.blocks = simplified_blocks(config, config.backbone, config.backbone.num_layers)
        self.control_blocks = simplified_blocks(config, config.control, config.live_control_layers)
        self.residuals = nn.ModuleDict(
            {str(layer): nn.Linear(width, width) for layer in sorted(set(config.residual_of))}
        )
        self.output = nn.Linear(width, patch**2 * config.in_channels)

    def forward(
        self,
        latent: Tensor,
        condition_tokens: Tensor,
        text_tokens: Tensor,
        control_scale: Tensor,
        positions: Tensor,
        *modulations: Tensor,
    ) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]`` from what `Prepare` made, the last two for one step."""
        config, count = self.config, len(self.blocks)
        grid = token_grid(latent, config.patch_size)
        image, control = (tokens + positions for tokens in patch_tokens(self.patch, latent).chunk(2, dim=-1))
        text, control_text = text_tokens.chunk(2, dim=-1)
        own, closing, of_control = modulations[:count], modulations[count], modulations[count + 1 :]
        residuals = self.weighed_residuals(
            control + condition_tokens, control_text, control_scale, of_control
        )

        residual, reached = None, -1
        for layer, (block, modulation) in enumerate(zip(self.blocks, own, strict=True)):
            image, text = block(image, text, modulation)
            if layer < len(config.residual_of):
                if config.residual_of[layer] > reached:
                    residual, reached = next(residuals), config.residual_of[layer]
                image = image + residual
        tokens = self.output(Modulation(*closing[:, None].chunk(2, dim=-1)).enter(layer_norm(image)))
        return unpatchify(tokens, grid, config.patch_size)

    def weighed_residuals(
        self, image: Tensor, text: Tensor, scale: Tensor, modulations: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """Run the control net as far as it is asked, and make the residuals that the backbone reads."""
        for layer, (block, modulation) in enumerate(zip(self.control_blocks, modulations, strict=True)):
            image, text = block(image, text, modulation)
            if layer in self.config.residual_of:
                yield scale[:, None] * self.residuals[str(layer)](image)
