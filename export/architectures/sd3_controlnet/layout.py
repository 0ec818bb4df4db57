"""The released state dicts: every key and shape, and which of them matter.

Derived from the models, not stored. A key begins with the folder of its network: ``transformer.`` or
``controlnet.``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch

from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.sd3_controlnet.config import ControlPooled, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer

Layout = Mapping[str, tuple[int, ...]]

BACKBONE, CONTROL = "transformer", "controlnet"
"""Folders of a checkpoint, by which its keys begin."""


def meta_system(config: SystemConfig) -> ControlledTransformer:
    """The released networks on meta tensors, which take no memory."""
    with torch.device("meta"):
        return ControlledTransformer(config).eval().requires_grad_(False)


@cache
def released_layout(config: SystemConfig) -> Layout:
    """Name and shape of every tensor in both folders of a released checkpoint."""
    return {name: tuple(tensor.shape) for name, tensor in meta_system(config).state_dict().items()}


def layout_of(part: str, config: SystemConfig) -> Layout:
    """Name and shape of every tensor in one folder, as its file has them."""
    prefix = f"{part}."
    found = released_layout(config).items()
    return {key.removeprefix(prefix): shape for key, shape in found if key.startswith(prefix)}


def is_position_table(key: str) -> bool:
    """True for the buffers among the tensors."""
    return key.endswith(POSITION_TABLE)


@cache
def discarded_tensors(config: SystemConfig) -> frozenset[str]:
    """Tensors that the released code multiplies with, and whose results never reach the output.

    Nobody carries on the text of either network's last block; and of a control net whose last residuals no
    block of the backbone asks for, the last blocks do nothing.
    """
    last, live = config.backbone.num_layers - 1, config.live_control_layers
    backbone, control = f"{BACKBONE}.transformer_blocks.{last}", f"{CONTROL}.transformer_blocks.{live - 1}"
    prefixes = [
        f"{block}.attn.{name}." for block in (backbone, control) for name in ("add_q_proj", "norm_added_q")
    ]
    prefixes += [f"{control}.attn.to_add_out.", f"{control}.ff_context."]
    for layer in range(config.control.num_layers):
        if layer >= live:
            prefixes.append(f"{CONTROL}.transformer_blocks.{layer}.")
        if layer not in config.residual_of:
            prefixes.append(f"{CONTROL}.controlnet_blocks.{layer}.")
    if config.control_pooled is ControlPooled.ZERO:
        prefixes.append(f"{CONTROL}.time_text_embed.text_embedder.linear_1.weight")
    return frozenset(key for key in released_layout(config) if key.startswith(tuple(prefixes)))
