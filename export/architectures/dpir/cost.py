"""Multiply-accumulates of a forward pass, counted from the network itself."""

from __future__ import annotations

import torch

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dpir.deployed.prepare import widths_of
from dit4sr.export.architectures.dpir.layout import meta_transformer
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.mac_count import counted_macs
from dit4sr.export.architectures.summary import MacCount

GROUPS = {
    "image queries, keys, values": r"\.attn2?\.(to_[qkv]|image_qkv)$",
    "prompt queries, keys, values": r"\.attn\.(add_[qkv]_proj|text_qkv|text_kv)$",
    "joint attention": r"\.attn$",
    "dual attention": r"\.attn2$",
    "image output": r"\.attn2?\.(to_out\.0|image_out)$",
    "prompt output": r"\.attn\.(to_add_out|text_out)$",
    "image MLP": r"\.ff\.",
    "prompt MLP": r"\.(ff_context|text_ff)\.",
    "LQ branch": r"lq_branch\.",
    "adapters": r"_adapter\.",
    "AdaLN, time, pooled": r"\.(norm1|norm1_context|norm_out)\.linear$|time_text_embed\.",
    "patches, context, velocity": r"\.(pos_embed\.proj|patch|context_embedder|proj_out|output)$",
}
"""Groups of layers, and the pattern of the modules in each; the first match wins."""


def released_macs(config: DpirConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one forward pass of one row, as told of; the image encoder is not in it."""
    with torch.device("meta"):
        noisy = torch.empty(1, config.in_channels, *latent)
        tokens = torch.empty(1, config.image_tokens, config.image_channels)
        inputs = (
            noisy,
            noisy,
            torch.empty(1, text_tokens, config.joint_attention_dim),
            VisualPrompt(tokens, tokens, torch.empty(1, config.image_pooled_channels)),
            torch.empty(1),
        )
    found = counted_macs(meta_transformer(config), inputs, GROUPS)
    return {group: found[group] for group in GROUPS}


def simplified_macs(config: DpirConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one row's step, simplified, without what `Prepare` does once per prompt."""
    width, tokens = config.width, latent[0] * latent[1] // config.patch_size**2
    with torch.device("meta"):
        model = Denoiser(config).eval()
        inputs = (
            torch.empty(1, config.in_channels, *latent),
            torch.empty(1, tokens, width),
            torch.empty(1, text_tokens, width),
            torch.empty(1, 2 * config.image_tokens, width),
            torch.empty(tokens, width),
            *(torch.empty(1, size) for size in widths_of(config).values()),
        )
    found = counted_macs(model, inputs, GROUPS)
    return {group: found[group] for group in GROUPS}
