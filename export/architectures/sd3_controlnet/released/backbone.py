"""SD3's transformer, which takes a residual from beside it into all of its blocks but the last."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.modulation import AdaLayerNormContinuous, layer_norm
from dit4sr.export.architectures.mmdit.patches import PatchEmbedding, token_grid, unpatchify
from dit4sr.export.architectures.mmdit.released.block import JointBlock
from dit4sr.export.architectures.mmdit.steering import TimeTextEmbedding
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig


class Backbone(nn.Module):
    """The transformer that evaluates the velocity."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config, stack = config, config.backbone
        last = stack.num_layers - 1
        self.pos_embed = PatchEmbedding(config)
        self.time_text_embed = TimeTextEmbedding(config)
        self.context_embedder = nn.Linear(config.joint_attention_dim, config.width)
        self.transformer_blocks = nn.ModuleList(
            JointBlock(config, dual=stack.is_dual(layer), qk_norm=stack.qk_norm, final=layer == last)
            for layer in range(stack.num_layers)
        )
        self.norm_out = AdaLayerNormContinuous(config.width)
        self.proj_out = nn.Linear(config.width, config.patch_size**2 * config.in_channels)

    def forward(
        self,
        latent: Tensor,
        text: Tensor,
        pooled: Tensor,
        timestep: Tensor,
        residuals: Sequence[Tensor] = (),
    ) -> Tensor:
        """Velocity at a noisy latent, given text rows, pooled text, time and the control net's residuals."""
        grid = token_grid(latent, self.config.patch_size)
        steering = self.time_text_embed(timestep, pooled)
        image, text = self.pos_embed(latent), self.context_embedder(text)
        for layer, block in enumerate(self.transformer_blocks):
            image, text = block(image, text, steering)
            if residuals and layer < len(self.config.residual_of):
                image = image + residuals[self.config.residual_of[layer]]
        [closing] = self.norm_out(steering)
        return unpatchify(self.proj_out(closing.enter(layer_norm(image))), grid, self.config.patch_size)
