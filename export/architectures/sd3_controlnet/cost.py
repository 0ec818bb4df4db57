"""Multiply-accumulates of a forward pass, counted from the networks themselves."""

from __future__ import annotations

import torch

from dit4sr.export.architectures.mac_count import counted_macs
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import Denoiser
from dit4sr.export.architectures.sd3_controlnet.deployed.prepare import backbone_widths, control_widths
from dit4sr.export.architectures.sd3_controlnet.layout import meta_system
from dit4sr.export.architectures.summary import MacCount

_NETWORKS = {"control net": r"(controlnet|control_blocks)\..*", "backbone": ""}
_LAYERS = {
    "image queries, keys, values": r"\.attn2?\.(to_[qkv]|image_qkv)$",
    "text queries, keys, values": r"\.attn\.(add_[qkv]_proj|text_qkv|text_kv)$",
    "joint attention": r"\.attn$",
    "dual attention": r"\.attn2$",
    "image output": r"\.attn2?\.(to_out\.0|image_out)$",
    "text output": r"\.attn\.(to_add_out|text_out)$",
    "image MLP": r"\.ff\.",
    "text MLP": r"\.(ff_context|text_ff)\.",
}

GROUPS = {
    "residuals": r"\.(controlnet_blocks|residuals)\.",
    "AdaLN, time, pooled text": r"\.(norm1|norm1_context|norm_out)\.linear$|time_text_embed\.",
    "patches, context, velocity": r"\.(pos_embed(_input)?\.proj|patch|context_embedder|proj_out|output)$",
    **{
        f"{network}: {layer}": f"{place}{pattern}"
        for network, place in _NETWORKS.items()
        for layer, pattern in _LAYERS.items()
    },
}
"""Groups of layers, and the pattern of the modules in each; the first match wins."""


def released_macs(config: SystemConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one forward pass of one row, as released."""
    with torch.device("meta"):
        noisy = torch.empty(1, config.in_channels, *latent)
        inputs = (
            noisy,
            noisy,
            torch.empty(1, text_tokens, config.joint_attention_dim),
            torch.empty(1, config.pooled_projection_dim),
            torch.empty(1),
        )
    found = counted_macs(meta_system(config), inputs, GROUPS)
    return {group: found[group] for group in sorted(GROUPS)}


def simplified_macs(config: SystemConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one row's step, simplified, without what `Prepare` does once per prompt."""
    width, tokens = config.width, latent[0] * latent[1] // config.patch_size**2
    with torch.device("meta"):
        model = Denoiser(config).eval()
        inputs = (
            torch.empty(1, config.in_channels, *latent),
            torch.empty(1, tokens, width),
            torch.empty(1, text_tokens, 2 * width),
            torch.empty(1, 1),
            torch.empty(tokens, width),
            *(torch.empty(1, size) for size in (backbone_widths(config) | control_widths(config)).values()),
        )
    found = counted_macs(model, inputs, GROUPS)
    return {group: found[group] for group in sorted(GROUPS)}
