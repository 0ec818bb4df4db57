"""The released state dict: every key and shape, and which of them matter.

Derived from the model, not stored. Three kinds of tensor are dead weight: those that no forward pass reads,
and two that are multiplied with and whose results are then discarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import nn

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.released.attention import Attention
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer

Layout = Mapping[str, tuple[int, ...]]


def meta_transformer(config: TransformerConfig) -> Transformer:
    """The released model on meta tensors, which take no memory."""
    with torch.device("meta"):
        return Transformer(config).eval().requires_grad_(False)


@cache
def read_tensors(config: TransformerConfig) -> Layout:
    """Names of the tensors that a forward pass reads."""
    return _shapes(meta_transformer(config))


@cache
def unread_tensors(config: TransformerConfig) -> Layout:
    """Tensors in a released file that no forward pass reads: the text side of the image-only attention.

    They are a side effect of how the dual attention was constructed; SD3.5-Medium has none.
    """
    with torch.device("meta"):
        with_text = _shapes(Attention(config, text=True, text_output=True))
        without_text = _shapes(Attention(config, text=False, text_output=False))
    return {
        f"transformer_blocks.{layer}.attn2.{name}": shape
        for layer in sorted(config.dual_attention_layers)
        for name, shape in with_text.items()
        if name not in without_text
    }


@cache
def released_layout(config: TransformerConfig) -> Layout:
    """Name and shape of every tensor in a released checkpoint (1383 at full size)."""
    return {**read_tensors(config), **unread_tensors(config)}


@cache
def discarded_tensors(config: TransformerConfig) -> frozenset[str]:
    """Tensors that the released code multiplies with, and whose results never reach the output."""
    final = f"transformer_blocks.{config.num_layers - 1}"
    # The final block's text asks, but nobody carries its answer on.
    prefixes = [f"{final}.attn.add_q_proj.", f"{final}.attn.norm_added_q."]
    if config.flavour is Flavour.COPIED:
        prefixes += [key.removesuffix("weight") for key in lr_key_weights(config)]
    if config.variant is Variant.C:
        # Without the injection nothing reads the LR stream after the final attention's keys and values.
        prefixes += [f"{final}.attn.to_q_control.", f"{final}.attn.to_out_control."]
    return frozenset(key for key in read_tensors(config) if key.startswith(tuple(prefixes)))


def lr_key_weights(config: TransformerConfig) -> list[str]:
    """The weights by which the flavour of a checkpoint is told."""
    return [key for key in read_tensors(config) if key.endswith(".to_k_control.weight")]


def lr_tensors(config: TransformerConfig) -> list[str]:
    """The tensors that DiT4SR trains: those that SD3.5-Medium lacks and the forward pass reads."""
    return [key for key in read_tensors(config) if "control" in key]


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
