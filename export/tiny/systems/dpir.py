"""DPIR of dit4sr-tiny's size, by our reading of its paper, with a stand-in for CLIP's image encoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.tiny.recipe import PROMPT_TOKENS, TRANSFORMER
from dit4sr.export.tiny.system import Parts
from dit4sr.export.tiny.training.flow import Restorer, free_directions, hand_through, shut_gates

SEEN_SIDE, SEEN_CHANNELS = 4, 64
"""Rows and columns of visual tokens, and their channels."""

CONFIG = DpirConfig(
    num_attention_heads=TRANSFORMER.num_attention_heads,
    attention_head_dim=TRANSFORMER.attention_head_dim,
    in_channels=TRANSFORMER.in_channels,
    patch_size=TRANSFORMER.patch_size,
    joint_attention_dim=TRANSFORMER.joint_attention_dim,
    pooled_projection_dim=TRANSFORMER.pooled_projection_dim,
    pos_embed_max_size=TRANSFORMER.pos_embed_max_size,
    sample_size=TRANSFORMER.sample_size,
    backbone=Stack(7, ()),
    image_channels=SEEN_CHANNELS,
    image_pooled_channels=SEEN_CHANNELS,
    image_tokens=SEEN_SIDE**2,
    image_adapter_width=64,
    pooled_adapter_width=64,
    t5_tokens=PROMPT_TOKENS,
    lq_width=64,
)
"""Seven blocks without a second attention, as SD3-Medium has none; queries and keys are normed, as in the
others."""


class Onlooker(nn.Module):
    """What stands where CLIP's image encoder would: three small layers that learn with the network.

    It looks at the degraded photo's latent, for there is no other picture in the training's pairs.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = SEEN_CHANNELS
        self.near = nn.Conv2d(CONFIG.in_channels, channels, 3, stride=2, padding=1)
        self.far = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.pooled = nn.Linear(channels, channels)

    def forward(self, condition: Tensor) -> VisualPrompt:
        """Tokens of a latent's four by four parts, and a vector of all of it.

        The larger crop around a photo of one tile ends where the photo does: both crops are the same.
        """
        features = self.far(F.silu(self.near(condition)))
        tokens = F.adaptive_avg_pool2d(features, SEEN_SIDE).flatten(2).transpose(1, 2)
        return VisualPrompt(tokens, tokens, self.pooled(tokens.mean(dim=1)))


class PromptedTransformer(nn.Module):
    """DPIR's transformer and its onlooker; the pooled text has no place in it."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = Transformer(CONFIG)
        self.onlooker = Onlooker()

    def forward(
        self, latent: Tensor, condition: Tensor, text: Tensor, pooled: Tensor, timestep: Tensor
    ) -> Tensor:
        """Velocity at a noisy latent, given the degraded photo's latent, text rows and time."""
        del pooled
        velocity: Tensor = self.transformer(latent, condition, text, self.onlooker(condition), timestep)
        return velocity


def new_network() -> PromptedTransformer:
    """Make transformer and onlooker before training.

    The transformer hands its noisy latent through, as DiT4SR's does. Features of the LQ branch are as large
    as the tokens from the first iteration on; they begin where the output does not look, in the directions
    that the latent does not use.
    """
    network = PromptedTransformer()
    transformer = network.transformer
    shut_gates(network)
    hand_through(transformer.pos_embed, transformer.proj_out)
    table, leaving = transformer.pos_embed.pos_embed[0], transformer.proj_out
    read = free_directions(table, leaving.out_features)
    for parameter in transformer.lq_branch.convolutions[-1].parameters():
        features = parameter.flatten(1) if parameter.ndim > 1 else parameter[:, None]
        parameter.copy_((features - read @ (read.T @ features)).view_as(parameter))
    # Beside features of their own spread tokens are longer by this much, and the last norm divides by it.
    leaving.weight.mul_(2**0.5)
    return network


def parts(restorer: Restorer) -> Parts:
    """Transformer and onlooker by the folders of a checkpoint."""
    network = restorer.transformer
    return {
        "transformer": (network.get_submodule("transformer"), CONFIG.to_json()),
        "onlooker": (network.get_submodule("onlooker"), {"channels": SEEN_CHANNELS, "side": SEEN_SIDE}),
    }
