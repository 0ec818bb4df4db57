"""SD3-ControlNet of dit4sr-tiny's size."""

from __future__ import annotations

from torch import nn

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import BACKBONE, CONTROL
from dit4sr.export.architectures.sd3_controlnet.loading import stated_configs
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer
from dit4sr.export.tiny.recipe import TRANSFORMER
from dit4sr.export.tiny.system import Parts
from dit4sr.export.tiny.training.flow import Restorer, hand_through, shut_gates

CONFIG = SystemConfig(
    num_attention_heads=TRANSFORMER.num_attention_heads,
    attention_head_dim=TRANSFORMER.attention_head_dim,
    in_channels=TRANSFORMER.in_channels,
    patch_size=TRANSFORMER.patch_size,
    joint_attention_dim=TRANSFORMER.joint_attention_dim,
    pooled_projection_dim=TRANSFORMER.pooled_projection_dim,
    pos_embed_max_size=TRANSFORMER.pos_embed_max_size,
    sample_size=TRANSFORMER.sample_size,
    backbone=Stack(4, (0, 1, 2, 3)),
    control=Stack(2, (0, 1)),
)
"""Twice as many blocks in the backbone as in the control net, as in the paper, and all of them dual."""


def new_network() -> ControlledTransformer:
    """Make backbone and control net before training.

    The backbone hands its noisy latent through, as DiT4SR's does. The control net begins as control nets do:
    as a copy of the backbone's first blocks, from which nothing comes out yet.
    """
    network = ControlledTransformer(CONFIG)
    backbone, control = network.transformer, network.controlnet
    shut_gates(network)
    hand_through(backbone.pos_embed, backbone.proj_out)
    control.load_state_dict(backbone.state_dict(), strict=False)
    for residual in control.controlnet_blocks.parameters():
        nn.init.zeros_(residual)
    return network


def parts(restorer: Restorer) -> Parts:
    """Backbone and control net by the folders of a checkpoint, as the exporter reads them."""
    configs = dict(zip((BACKBONE, CONTROL), stated_configs(CONFIG), strict=True))
    return {
        folder: (restorer.transformer.get_submodule(folder), config) for folder, config in configs.items()
    }
