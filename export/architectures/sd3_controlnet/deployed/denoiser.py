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


class Backbone(nn.Module):
    """The backbone alone, for steps in which the control net is not heard."""

    def __init__(self, config: SystemConfig, networks: int = 1) -> None:
        """Embed the latent for one or more ``networks``, which read the same one: one convolution does it."""
        super().__init__()
        self.config, width, patch = config, config.width, config.patch_size
        self.patch = nn.Conv2d(config.in_channels, networks * width, kernel_size=patch, stride=patch)
        self.blocks = simplified_blocks(config, config.backbone, config.backbone.num_layers)
        self.output = nn.Linear(width, patch**2 * config.in_channels)

    def forward(self, latent: Tensor, text_tokens: Tensor, positions: Tensor, *modulations: Tensor) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]``; text tokens are those of both networks."""
        grid = token_grid(latent, self.config.patch_size)
        image, (text, _) = patch_tokens(self.patch, latent) + positions, text_tokens.chunk(2, dim=-1)
        for block, modulation in zip(self.blocks, modulations, strict=False):
            image, text = block(image, text, modulation)
        return self.velocity(image, modulations[-1], grid)

    def velocity(self, image: Tensor, closing: Tensor, grid: tuple[int, int]) -> Tensor:
        """The latent's velocity that the last block's tokens say."""
        tokens = self.output(Modulation(*closing[:, None].chunk(2, dim=-1)).enter(layer_norm(image)))
        return unpatchify(tokens, grid, self.config.patch_size)


class Denoiser(Backbone):
    """Backbone and control net, which runs just ahead of it: a residual is made where it is first read."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__(config, networks=2)
        self.control_blocks = simplified_blocks(config, config.control, config.live_control_layers)
        self.residuals = nn.ModuleDict(
            {str(layer): nn.Linear(config.width, config.width) for layer in sorted(set(config.residual_of))}
        )

    def forward(  # type: ignore[override]  # it reads the condition as well
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
        return self.velocity(image, closing, grid)

    def weighed_residuals(
        self, image: Tensor, text: Tensor, scale: Tensor, modulations: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """Run the control net as far as it is asked, and make the residuals that the backbone reads."""
        for layer, (block, modulation) in enumerate(zip(self.control_blocks, modulations, strict=True)):
            image, text = block(image, text, modulation)
            if layer in self.config.residual_of:
                yield scale[:, None] * self.residuals[str(layer)](image)
