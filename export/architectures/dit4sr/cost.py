"""Multiply-accumulates of a forward pass, counted from the model itself.

The image streams share weights, so what the LR stream costs is what disappears when it is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import modulation_widths
from dit4sr.export.architectures.dit4sr.layout import meta_transformer
from dit4sr.export.architectures.mac_count import counted_macs
from dit4sr.export.architectures.summary import MacCount

_MLP = r"\.ff\.(net\..*|expand|contract)$"

GROUPS = {
    "noise queries, keys, values": r"\.attn2?\.(to_[qkv]|noise_qkv)$",
    "LR queries, keys, values": r"\.attn2?\.(to_[qkv]_control|lr_qkv)$",
    "text queries, keys, values": r"\.attn\.(add_[qkv]_proj|text_qkv|text_kv)$",
    "joint attention": r"\.attn$",
    "dual attention": r"\.attn2$",
    "noise output": r"\.attn2?\.(to_out\.0|noise_out)$",
    "LR output": r"\.attn2?\.(to_out_control|lr_out)$",
    "text output": r"\.attn\.(to_add_out|text_out)$",
    "noise MLP": _MLP,
    "LR MLP": r"(?!)",
    "LR injection": r"\.ff(\.control_conv|\.control_linear|\.injected)?$",
    "text MLP": r"\.(ff_context\..*|text_expand|text_contract)$",
    "AdaLN, time, pooled text": r"(\.norm1|\.norm1_context|norm_out)\.linear$|time_text_embed\.",
    "patches, context, velocity": r"(pos_embed\.proj|patch|context_embedder|proj_out|output)$",
}
"""Groups of layers, and the pattern of the modules in each. The LR MLP has no modules of its own."""


def released_macs(config: TransformerConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one forward pass of one row, as released."""
    whole = _released(config, latent, text_tokens, with_lr=True)
    without_lr = _released(config, latent, text_tokens, with_lr=False)
    shared = {"noise queries, keys, values": "LR queries, keys, values", "noise MLP": "LR MLP"}
    return _split_shared(whole, without_lr, shared)


def simplified_macs(config: TransformerConfig, latent: tuple[int, int], text_tokens: int) -> MacCount:
    """Multiply-accumulates of one row's step, simplified, without what `Prepare` does once per prompt."""
    with torch.device("meta"):
        model = Denoiser(config).eval()
        tokens = (latent[0] // config.patch_size) * (latent[1] // config.patch_size)
        inputs = (
            torch.empty(1, config.in_channels, *latent),
            torch.empty(1, tokens, config.width),
            torch.empty(1, text_tokens, config.width),
            torch.empty(1, tokens, config.width),
            *(torch.empty(1, width) for width in modulation_widths(config).values()),
        )
    without_lr = _released(config, latent, text_tokens, with_lr=False)
    return _split_shared(counted_macs(model, inputs, GROUPS), without_lr, {"noise MLP": "LR MLP"})


def _released(
    config: TransformerConfig, latent: tuple[int, int], text_tokens: int, *, with_lr: bool
) -> Counter[str]:
    with torch.device("meta"):
        noisy = torch.empty(1, config.in_channels, *latent)
        inputs = (
            noisy,
            noisy if with_lr else None,
            torch.empty(1, text_tokens, config.joint_attention_dim),
            torch.empty(1, config.pooled_projection_dim),
            torch.empty(1),
        )
    return counted_macs(meta_transformer(config), inputs, GROUPS)


def _split_shared(whole: Counter[str], without_lr: Counter[str], shared: Mapping[str, str]) -> MacCount:
    """Give each image stream its own group where one group counted both."""
    split = Counter(whole)
    for noise, lr in shared.items():
        split[lr] += whole[noise] - without_lr[noise]
        split[noise] = without_lr[noise]
    return {group: split[group] for group in GROUPS}
