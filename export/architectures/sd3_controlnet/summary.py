"""What an SD3-ControlNet is made of, and how that stands to the figure of the DiT4SR paper."""

from __future__ import annotations

import math
import re

import torch

from dit4sr.export.architectures.mmdit.simplify import resident_parameters
from dit4sr.export.architectures.mmdit.sizes import latent_of
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.cost import released_macs, simplified_macs
from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import Denoiser
from dit4sr.export.architectures.sd3_controlnet.layout import (
    BACKBONE,
    CONTROL,
    discarded_tensors,
    is_position_table,
    released_layout,
)
from dit4sr.export.architectures.summary import ModelSummary, ParameterGroup

PAPER = 3504.4e6
"""Parameters of SD3-ControlNet in the DiT4SR paper, which rounds to 0.1 M."""
AS_GOOD_AS_EQUAL = 0.1e6

_LAYERS = {
    "AdaLN": r"\.norm1(_context)?\.linear|^\w+\.norm_out\.",
    "attention": r"\.attn\.",
    "dual attention": r"\.attn2\.",
    "MLP, image": r"\.ff\.",
    "MLP, text": r"\.ff_context\.",
    "residuals": r"\.controlnet_blocks\.",
    "embedders, output": "",
}
"""Groups of a network's parameters, and the keys they claim; the first match wins."""


def summary_of(config: SystemConfig, picture: tuple[int, int], text_tokens: int, factor: int) -> ModelSummary:
    """The figures of an SD3-ControlNet for one size of picture; ``factor`` is the VAE's."""
    latent = latent_of(picture, config, factor)
    with torch.device("meta"):
        resident = resident_parameters(Denoiser(config))
    layout = released_layout(config)
    groups = parameter_groups(config)
    return ModelSummary(
        headline=f"backbone of {_blocks(config.backbone)}, control net of {_blocks(config.control)}, "
        f"width {config.width} ({config.num_attention_heads} heads of {config.attention_head_dim})",
        tensors=len(layout),
        parameters=groups,
        position_table=sum(math.prod(shape) for key, shape in layout.items() if is_position_table(key)),
        resident=resident,
        released=released_macs(config, latent, text_tokens),
        simplified=simplified_macs(config, latent, text_tokens),
        notes=tuple(_notes(config, sum(group.live + group.dead for group in groups))),
    )


def parameter_groups(config: SystemConfig) -> tuple[ParameterGroup, ...]:
    """Count the parameters of both networks by group; the position tables are buffers, and not among them."""
    discarded, origins = discarded_tensors(config), {BACKBONE: "SD3", CONTROL: "control net"}
    live: dict[tuple[str, str], int] = {(part, group): 0 for part in origins for group in _LAYERS}
    dead = dict(live)
    for key, shape in released_layout(config).items():
        if not is_position_table(key):
            group = next(name for name, pattern in _LAYERS.items() if re.search(pattern, key))
            counts = dead if key in discarded else live
            counts[key.partition(".")[0], group] += math.prod(shape)
    return tuple(
        ParameterGroup(group, origins[part], live[part, group], dead[part, group])
        for part, group in live
        if live[part, group] + dead[part, group]
    )


def _blocks(stack: Stack) -> str:
    norms = "" if stack.qk_norm else ", without norms of queries and keys"
    return f"{stack.num_layers} blocks ({len(stack.dual_attention_layers)} with dual attention{norms})"


def _notes(config: SystemConfig, parameters: int) -> list[str]:
    found = [
        f"stated, not told by weights: residual rule {config.residual_rule.value}, pooled text of the "
        f"control net {config.control_pooled.value}, shift of its condition {config.control_shift.value}"
    ]
    if extra := config.extra_conditioning_channels:
        found.append(f"{extra} extra channels of the condition, which are given zeros")
    if abs(parameters - PAPER) < AS_GOOD_AS_EQUAL:
        found.append(
            f"{parameters / 1e6:,.3f} M parameters; the DiT4SR paper states 3,504.4 M for SD3-ControlNet "
            f"({(parameters - PAPER) / 1e6:+.3f} M). Of its kind only twelve dual blocks come that near; "
            "2 to 17 extra channels round to 3,504.4. Which one was measured is not stated"
        )
    return found
