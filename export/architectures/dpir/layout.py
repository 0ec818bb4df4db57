"""DPIR's state dict: every key and shape, and which of them matter.

Derived from the model, not stored. The keys of SD3's tensors are SD3's, those of the others our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch

from dit4sr.export.architectures.dpir.config import DpirConfig, Statistics
from dit4sr.export.architectures.dpir.released.transformer import Transformer

Layout = Mapping[str, tuple[int, ...]]


def meta_transformer(config: DpirConfig) -> Transformer:
    """The network on meta tensors, which take no memory."""
    with torch.device("meta"):
        return Transformer(config).eval().requires_grad_(False)


@cache
def released_layout(config: DpirConfig) -> Layout:
    """Name and shape of every tensor of a checkpoint."""
    return {name: tuple(tensor.shape) for name, tensor in meta_transformer(config).state_dict().items()}


def reads_last_bias(config: DpirConfig) -> bool:
    """False where the last bias of the LQ branch is part of a mean that is taken from its channel."""
    return config.statistics is not Statistics.CHANNEL


@cache
def discarded_tensors(config: DpirConfig) -> frozenset[str]:
    """Tensors that are multiplied with, and whose results never reach the output.

    Nobody carries on the text of the last block; and where every channel of the LQ branch has a mean of its
    own, its last bias is part of that.
    """
    last = f"transformer_blocks.{config.backbone.num_layers - 1}.attn"
    prefixes = [f"{last}.add_q_proj.", f"{last}.norm_added_q."]
    if not reads_last_bias(config):
        prefixes.append(f"lq_branch.convolutions.{config.lq_convolutions - 1}.bias")
    return frozenset(key for key in released_layout(config) if key.startswith(tuple(prefixes)))
