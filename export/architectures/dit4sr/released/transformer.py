"""DiT4SR's transformer as released, key for key."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.released.block import Block
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.modulation import AdaLayerNormContinuous, layer_norm
from dit4sr.export.architectures.mmdit.patches import PatchEmbedding, token_grid, unpatchify
from dit4sr.export.architectures.mmdit.steering import TimeTextEmbedding


class Transformer(nn.Module):
    """SD3.5-Medium with an LR stream in every block.

    This is the truth of the network, and the baseline of every timing: it does all the work the released
    code does, in the released order. `simplify` turns it into the model we deploy.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.pos_embed = PatchEmbedding(config)
        self.time_text_embed = TimeTextEmbedding(config)
        self.context_embedder = nn.Linear(config.joint_attention_dim, config.width)
        self.transformer_blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm_out = AdaLayerNormContinuous(config.width)
        self.proj_out = nn.Linear(config.width, config.patch_size**2 * config.out_channels)

    def forward(
        self, latent: Tensor, condition: Tensor | None, text: Tensor, pooled: Tensor, timestep: Tensor
    ) -> Tensor:
        """Velocity at a noisy latent, given the LR photo's latent, text rows, pooled text and time.

        Without ``condition`` this is stock SD3.5-Medium.
        """
        patch = self.config.patch_size
        grid = token_grid(latent, patch)
        steering = self.time_text_embed(timestep, pooled)
        streams = Streams(
            self.pos_embed(latent),
            None if condition is None else self.pos_embed(condition),
            self.context_embedder(text),
        )
        for block in self.transformer_blocks:
            streams = block(streams, steering, grid)
        [closing] = self.norm_out(steering)
        return unpatchify(self.proj_out(closing.enter(layer_norm(streams.noise))), grid, patch)
