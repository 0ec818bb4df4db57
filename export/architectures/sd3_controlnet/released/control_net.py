"""The control net: a shorter transformer that sees the condition, and says of each block what to add."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.patches import PatchEmbedding
from dit4sr.export.architectures.mmdit.released.block import JointBlock
from dit4sr.export.architectures.mmdit.steering import TimeTextEmbedding
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig


class ConditionEmbedding(nn.Module):
    """The embedding of the condition as tokens, without positions of its own."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        patch = config.patch_size
        self.proj = nn.Conv2d(config.condition_channels, config.width, kernel_size=patch, stride=patch)

    def forward(self, condition: Tensor) -> Tensor:
        """Cut ``[R, 16 + extra, h, w]`` into ``[R, N, D]`` tokens, row by row."""
        patches: Tensor = self.proj(condition)
        return patches.flatten(2).transpose(1, 2)


class ControlNet(nn.Module):
    """Joint blocks with their text side complete, and a linear layer for the residual of each."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        stack = config.control
        self.pos_embed = PatchEmbedding(config)
        self.time_text_embed = TimeTextEmbedding(config)
        self.context_embedder = nn.Linear(config.joint_attention_dim, config.width)
        self.transformer_blocks = nn.ModuleList(
            JointBlock(config, dual=stack.is_dual(layer), qk_norm=stack.qk_norm)
            for layer in range(stack.num_layers)
        )
        self.controlnet_blocks = nn.ModuleList(
            nn.Linear(config.width, config.width) for _ in range(stack.num_layers)
        )
        self.pos_embed_input = ConditionEmbedding(config)

    def forward(
        self,
        latent: Tensor,
        condition: Tensor,
        text: Tensor,
        pooled: Tensor,
        timestep: Tensor,
        *,
        scale: float,
    ) -> list[Tensor]:
        """Residuals ``[R, N, D]`` for the backbone, weighed by ``scale``."""
        steering = self.time_text_embed(timestep, pooled)
        image = self.pos_embed(latent) + self.pos_embed_input(condition)
        text = self.context_embedder(text)
        residuals = []
        for block, residual in zip(self.transformer_blocks, self.controlnet_blocks, strict=True):
            image, text = block(image, text, steering)
            residuals.append(residual(image) * scale)
        return residuals


def condition_of(latent: Tensor, config: SystemConfig) -> Tensor:
    """The condition as the control net was trained on it, from the latent as the VAE's config scales it.

    Nothing fills extra channels: they are zeros.
    """
    offset = 0.0 if config.control_shift.value == "vae" else config.condition_offset
    rows, _, *size = latent.shape
    extra = latent.new_zeros(rows, config.extra_conditioning_channels, *size)
    return torch.cat([latent + offset, extra], dim=1)
