"""What a DPIR is made of by our reading, and which choices are ours."""

from __future__ import annotations

import math
import re

import torch

from dit4sr.export.architectures.dpir.config import READING, DpirConfig
from dit4sr.export.architectures.dpir.cost import released_macs, simplified_macs
from dit4sr.export.architectures.dpir.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dpir.layout import discarded_tensors, released_layout
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.mmdit.simplify import resident_parameters
from dit4sr.export.architectures.mmdit.sizes import latent_of
from dit4sr.export.architectures.summary import ModelSummary, ParameterGroup

_BASE, _ADDED = "SD3", "added by DPIR"
GROUPS = {
    "LQ branch": (_ADDED, r"^lq_branch\."),
    "adapters": (_ADDED, r"^\w+_adapter\."),
    "AdaLN": (_BASE, r"\.norm1(_context)?\.linear|^norm_out\."),
    "attention": (_BASE, r"\.attn\."),
    "dual attention": (_BASE, r"\.attn2\."),
    "MLP, image": (_BASE, r"\.ff\."),
    "MLP, prompt": (_BASE, r"\.ff_context\."),
    "embedders, output": (_BASE, r""),
}
"""Parameter groups: where they come from, and the keys they claim; the first match wins."""


def summary_of(config: DpirConfig, picture: tuple[int, int], text_tokens: int, factor: int) -> ModelSummary:
    """The figures of a DPIR for one size of picture; ``factor`` is the VAE's."""
    latent, stack = latent_of(picture, config, factor), config.backbone
    with torch.device("meta"):
        resident = resident_parameters(Denoiser(config))
    dual = len(stack.dual_attention_layers)
    norms = "" if stack.qk_norm else ", without norms of queries and keys"
    return ModelSummary(
        headline=f"{stack.num_layers} blocks ({dual} with dual attention{norms}), width {config.width} "
        f"({config.num_attention_heads} heads of {config.attention_head_dim}); {READING}",
        tensors=len(released_layout(config)),
        parameters=parameter_groups(config),
        position_table=math.prod(released_layout(config)[POSITION_TABLE]),
        resident=resident,
        released=released_macs(config, latent, text_tokens),
        simplified=simplified_macs(config, latent, text_tokens),
        notes=(
            f"a prompt has {text_tokens} rows of T5 and {2 * config.image_tokens} of the image encoder, "
            "whose own work is not counted",
            f"choices of ours, not told by weights: statistics {config.statistics.value}, "
            f"epsilon {config.statistics_epsilon:g}, LQ scale {config.lq_scale:g}, "
            f"hidden states {config.image_layer}{' and' if config.class_token else ' without'} class token, "
            f"global crop of {config.global_reach:g} tiles",
        ),
    )


def parameter_groups(config: DpirConfig) -> tuple[ParameterGroup, ...]:
    """Count a network's parameters by group; the position table is a buffer, and not one."""
    discarded = discarded_tensors(config)
    live, dead = dict.fromkeys(GROUPS, 0), dict.fromkeys(GROUPS, 0)
    for key, shape in released_layout(config).items():
        if key != POSITION_TABLE:
            group = next(name for name, (_, pattern) in GROUPS.items() if re.search(pattern, key))
            (dead if key in discarded else live)[group] += math.prod(shape)
    return tuple(
        ParameterGroup(name, GROUPS[name][0], live[name], dead[name])
        for name in sorted(GROUPS, key=lambda name: GROUPS[name][0] != _BASE)
        if live[name] + dead[name]
    )
