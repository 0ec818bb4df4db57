"""What a DiT4SR is made of: parameters by group, live and dead, and multiply-accumulates."""

from __future__ import annotations

import math
import re

import torch

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.cost import released_macs, simplified_macs
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.layout import discarded_tensors, released_layout, unread_tensors
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.mmdit.simplify import resident_parameters
from dit4sr.export.architectures.mmdit.sizes import latent_of
from dit4sr.export.architectures.summary import ModelSummary, ParameterGroup

_BASE, _ADDED = "SD3.5-Medium", "added by DiT4SR"
GROUPS = {
    # The trained part first: its names contain those of the base.
    "LR projections": (_ADDED, r"\.to_(q|k|v|out)_control\."),
    "LR injection": (_ADDED, r"\.control_(conv|linear|scale)"),
    "dual attention, text side": (_ADDED, r"\.attn2\.(add_._proj|to_add_out|norm_added_)"),
    "AdaLN, image streams": (_BASE, r"\.norm1\.linear"),
    "AdaLN, text stream": (_BASE, r"\.norm1_context\.linear"),
    "AdaLN, output": (_BASE, r"^norm_out\."),
    "query and key norms": (_BASE, r"\.norm_(added_)?[qk]\."),
    "joint attention": (_BASE, r"\.attn\."),
    "dual attention": (_BASE, r"\.attn2\."),
    "MLP, image streams": (_BASE, r"\.ff\."),
    "MLP, text stream": (_BASE, r"\.ff_context\."),
    "embedders, output": (_BASE, r""),
}
"""Parameter groups: where they come from, and the keys they claim; the first match wins."""


def summary_of(
    config: TransformerConfig, picture: tuple[int, int], text_tokens: int, factor: int
) -> ModelSummary:
    """The figures of a DiT4SR for one size of picture; ``factor`` is the VAE's."""
    latent = latent_of(picture, config, factor)
    with torch.device("meta"):
        resident = resident_parameters(Denoiser(config))
    dual = len(config.dual_attention_layers)
    return ModelSummary(
        headline=f"{config.num_layers} blocks of width {config.width} ({config.num_attention_heads} heads of "
        f"{config.attention_head_dim}), {dual} with dual attention; "
        f"flavour {config.flavour.value}, variant {config.variant.value}",
        tensors=len(released_layout(config)),
        parameters=parameter_groups(config),
        position_table=math.prod(released_layout(config)[POSITION_TABLE]),
        resident=resident,
        released=released_macs(config, latent, text_tokens),
        simplified=simplified_macs(config, latent, text_tokens),
    )


def parameter_groups(config: TransformerConfig) -> tuple[ParameterGroup, ...]:
    """Count a released checkpoint's parameters by group; the position table is a buffer, and not one."""
    dead_keys = unread_tensors(config).keys() | discarded_tensors(config)
    live, dead = dict.fromkeys(GROUPS, 0), dict.fromkeys(GROUPS, 0)
    for key, shape in released_layout(config).items():
        if key != POSITION_TABLE:
            group = next(name for name, (_, pattern) in GROUPS.items() if re.search(pattern, key))
            (dead if key in dead_keys else live)[group] += math.prod(shape)
    groups = [ParameterGroup(name, GROUPS[name][0], live[name], dead[name]) for name in GROUPS]
    return tuple(sorted(groups, key=lambda group: group.origin != _BASE))
