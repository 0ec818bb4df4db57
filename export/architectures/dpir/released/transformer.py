"""DPIR's transformer: SD3 prompted by the picture itself, whose features join after the first block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.alignment import given_statistics_of, standardised
from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.released.adapters import Adapter, VisualPrompt
from dit4sr.export.architectures.dpir.released.lq_branch import LqBranch
from dit4sr.export.architectures.mmdit.modulation import AdaLayerNormContinuous, layer_norm
from dit4sr.export.architectures.mmdit.patches import PatchEmbedding, token_grid, unpatchify
from dit4sr.export.architectures.mmdit.released.block import JointBlock
from dit4sr.export.architectures.mmdit.steering import TimeTextEmbedding


class Transformer(nn.Module):
    """SD3 with adapters for visual prompts and an LQ branch.

    This is the truth of the network, and the baseline of every timing: it does all the work in the order in
    which the paper tells of it. `simplify` turns it into the model we deploy. SD3's tensors have SD3's keys.
    """

    def __init__(self, config: DpirConfig) -> None:
        super().__init__()
        self.config, stack = config, config.backbone
        last, rows = stack.num_layers - 1, config.joint_attention_dim
        self.pos_embed = PatchEmbedding(config)
        self.time_text_embed = TimeTextEmbedding(config)
        self.context_embedder = nn.Linear(rows, config.width)
        self.transformer_blocks = nn.ModuleList(
            JointBlock(config, dual=stack.is_dual(layer), qk_norm=stack.qk_norm, final=layer == last)
            for layer in range(stack.num_layers)
        )
        self.norm_out = AdaLayerNormContinuous(config.width)
        self.proj_out = nn.Linear(config.width, config.patch_size**2 * config.in_channels)

        self.lq_branch = LqBranch(config)
        self.local_adapter = Adapter(config.image_channels, config.image_adapter_width, rows)
        if config.own_global_adapter:
            self.global_adapter = Adapter(config.image_channels, config.image_adapter_width, rows)
        self.pooled_adapter = Adapter(
            config.image_pooled_channels, config.pooled_adapter_width, config.pooled_projection_dim
        )

    def forward(
        self,
        latent: Tensor,
        condition: Tensor,
        text: Tensor,
        seen: VisualPrompt,
        timestep: Tensor,
    ) -> Tensor:
        """Velocity at a noisy latent ``[R, 16, h, w]``, given the degraded photo's latent and a dual prompt.

        That is T5's rows ``text`` ``[R, M, C]``, and what an image encoder has seen. Blocks read prompts
        without positions, so the rows of both are one set, in no order.
        """
        config = self.config
        grid = token_grid(latent, config.patch_size)
        steering = self.time_text_embed(timestep, self.pooled_adapter(seen.pooled))
        image, prompt = (
            self.pos_embed(latent),
            self.context_embedder(torch.cat([text, *self.visual_rows(seen)], dim=1)),
        )
        for layer, block in enumerate(self.transformer_blocks):
            image, prompt = block(image, prompt, steering)
            if layer == 0:
                image = image + config.lq_scale * self.aligned_features(condition, image)
        [closing] = self.norm_out(steering)
        return unpatchify(self.proj_out(closing.enter(layer_norm(image))), grid, config.patch_size)

    def visual_rows(self, seen: VisualPrompt) -> tuple[Tensor, Tensor]:
        """Adapt the tokens of both crops to rows of a prompt."""
        of_global = self.global_adapter if self.config.own_global_adapter else self.local_adapter
        return self.local_adapter(seen.local_image), of_global(seen.global_image)

    def aligned_features(self, condition: Tensor, main: Tensor) -> Tensor:
        """Features of the degraded photo, with the statistics of the tokens that they are added to."""
        config = self.config
        features = standardised(self.lq_branch(condition), config.statistics, config.statistics_epsilon)
        return given_statistics_of(main, features, config.statistics)
