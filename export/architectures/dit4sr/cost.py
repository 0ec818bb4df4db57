"""Multiply-accumulates of a forward pass, counted from the model itself.

Both models run on meta tensors under torch's own FLOP counter. The image streams share weights, so what the
LR stream costs is what disappears when it is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import modulation_width
from dit4sr.export.architectures.dit4sr.layout import meta_transformer
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
            torch.empty(1, modulation_width(config)),
            torch.empty(1, tokens, config.width),
        )
    without_lr = _released(config, latent, text_tokens, with_lr=False)
    return _split_shared(_count(model, inputs), without_lr, {"noise MLP": "LR MLP"})


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
    return _count(meta_transformer(config), inputs)


def _split_shared(whole: Counter[str], without_lr: Counter[str], shared: Mapping[str, str]) -> MacCount:
    """Give each image stream its own group where one group counted both."""
    split = Counter(whole)
    for noise, lr in shared.items():
        split[lr] += whole[noise] - without_lr[noise]
        split[noise] = without_lr[noise]
    return {group: split[group] for group in GROUPS}


def _count(model: nn.Module, inputs: tuple[Tensor | None, ...]) -> Counter[str]:
    """Count multiply-accumulates by group; those that no group claims are an error, not a rounding."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    by_module = {path: sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
    del by_module["Global"]
    own = dict(by_module)
    for path, total in by_module.items():
        if parent := _nearest(path, by_module):
            own[parent] -= total
    macs: Counter[str] = Counter()
    for path, count in own.items():
        if count:
            macs[_group_of(path)] += count
    return macs


def _nearest(path: str, modules: Mapping[str, int]) -> str:
    """Path of the closest enclosing module that was called; containers are not."""
    while path := path.rpartition(".")[0]:
        if path in modules:
            return path
    return ""


def _group_of(path: str) -> str:
    for group, modules in GROUPS.items():
        if re.search(modules, path):
            return group
    raise AssertionError(f"no group claims the multiply-accumulates of {path}")
