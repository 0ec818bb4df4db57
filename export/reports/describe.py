"""What a checkpoint is made of and what running it costs: ``dit4sr-export --describe``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.cost import MacCount, released_macs, simplified_macs, tera_flops
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.layout import (
    POSITION_TABLE,
    discarded_tensors,
    released_layout,
    unread_tensors,
)
from dit4sr.export.architectures.dit4sr.loading import checkpoint_config
from dit4sr.export.architectures.dit4sr.simplify import resident_parameters
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.console.table import SEPARATOR, format_bytes, format_table
from dit4sr.runtime.errors import BadInputError

BYTES_PER_ELEMENT = {"fp32": 4, "fp16": 2, "fp8": 1}
LATENT_FACTOR = 8
"""Pixels of the picture to one of the latent, along each axis."""

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


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of one kind; dead ones never reach the output."""

    name: str
    origin: str
    live: int
    dead: int


@dataclass(frozen=True)
class Description:
    """The figures behind the tables; ``fp32`` and so on are bytes of the live parameters."""

    checkpoint: str | None
    config: TransformerConfig
    tensors: int
    stored_bytes: Mapping[str, int]
    parameters: tuple[ParameterGroup, ...]
    position_table: int
    resident: int
    released: MacCount
    simplified: MacCount
    height: int
    width: int
    text_tokens: int
    steps: int
    rows: int

    @property
    def live(self) -> int:
        """Parameters that matter."""
        return sum(group.live for group in self.parameters)

    @property
    def dead(self) -> int:
        """Parameters that do not."""
        return sum(group.dead for group in self.parameters)

    def to_json(self) -> dict[str, Any]:
        """The same for machines."""
        values = asdict(self) | {"config": self.config.to_json()}
        values["parameters"] = [
            asdict(group) | {name: size * group.live for name, size in BYTES_PER_ELEMENT.items()}
            for group in self.parameters
        ]
        per_picture = {"rows": self.rows, "steps": self.steps}
        return values | {
            "total": self.live + self.dead,
            "live": self.live,
            "dead": self.dead,
            "released_tflop_per_picture": tera_flops(self.released, **per_picture),
            "simplified_tflop_per_picture": tera_flops(self.simplified, **per_picture),
        }


def describe(
    checkpoint: Path | None = None,
    *,
    flavour: Flavour | None = None,
    variant: Variant | None = None,
    untrained: bool = False,
    size: tuple[int, int] = (512, 512),
    text_tokens: int = 333,
    steps: int = 40,
    guidance: bool = True,
) -> Description:
    """Describe a checkpoint, or the published architecture at full size without allocating it."""
    stored: dict[str, int] = {}
    if checkpoint is None:
        default = Flavour.OWN if variant is Variant.A else Flavour.COPIED
        config = TransformerConfig(flavour=flavour or default, variant=variant or Variant.FULL)
    else:
        opened = open_checkpoint(checkpoint)
        config = checkpoint_config(opened, flavour=flavour, variant=variant, untrained=untrained)
        for tensor in opened.tensors.values():
            stored[tensor.dtype] = stored.get(tensor.dtype, 0) + tensor.bytes

    latent = latent_of(size, config)
    with torch.device("meta"):
        resident = resident_parameters(Denoiser(config))
    return Description(
        checkpoint=None if checkpoint is None else str(checkpoint),
        config=config,
        tensors=len(released_layout(config)) if checkpoint is None else len(opened.tensors),
        stored_bytes=stored,
        parameters=parameter_groups(config),
        position_table=math.prod(released_layout(config)[POSITION_TABLE]),
        resident=resident,
        released=released_macs(config, latent, text_tokens),
        simplified=simplified_macs(config, latent, text_tokens),
        height=size[0],
        width=size[1],
        text_tokens=text_tokens,
        steps=steps,
        rows=2 if guidance else 1,
    )


def latent_of(size: tuple[int, int], config: TransformerConfig) -> tuple[int, int]:
    """The latent of a picture, whose patches must fit the position table."""
    multiple = LATENT_FACTOR * config.patch_size
    largest = multiple * config.pos_embed_max_size
    if any(side < multiple or side % multiple or side > largest for side in size):
        raise BadInputError(
            f"a picture of {size[0]}×{size[1]}", expected=f"multiples of {multiple} up to {largest}"
        )
    return size[0] // LATENT_FACTOR, size[1] // LATENT_FACTOR


def parameter_groups(config: TransformerConfig) -> tuple[ParameterGroup, ...]:
    """Count a released checkpoint's parameters by group; the position table is a buffer, and not one."""
    dead_keys = unread_tensors(config).keys() | discarded_tensors(config)
    live, dead = dict.fromkeys(GROUPS, 0), dict.fromkeys(GROUPS, 0)
    for key, shape in released_layout(config).items():
        if key != POSITION_TABLE:
            group = next(name for name, (_, pattern) in GROUPS.items() if re.search(pattern, key))
            (dead if key in dead_keys else live)[group] += math.prod(shape)
    return tuple(ParameterGroup(name, GROUPS[name][0], live[name], dead[name]) for name in GROUPS)


def format_description(description: Description) -> str:
    """The tables a person reads."""
    return "\n\n".join(
        [
            _headline(description),
            _parameter_table(description),
            _memory(description),
            _product_table(description),
        ]
    )


def _headline(d: Description) -> str:
    config = d.config
    dual = len(config.dual_attention_layers)
    lines = [
        f"DiT4SR transformer: {d.checkpoint or 'the published architecture'}",
        f"{config.num_layers} blocks of width {config.width} ({config.num_attention_heads} heads of "
        f"{config.attention_head_dim}), {dual} with dual attention; "
        f"flavour {config.flavour.value}, variant {config.variant.value}; {d.tensors} tensors",
    ]
    if d.stored_bytes:
        stored = ", ".join(f"{format_bytes(count)} of {dtype}" for dtype, count in d.stored_bytes.items())
        lines.append(f"in the file: {stored}")
    return "\n".join(lines)


def _parameter_table(d: Description) -> str:
    rows: list[Any] = []
    for origin in (_BASE, _ADDED):
        groups = [group for group in d.parameters if group.origin == origin]
        rows += [_parameter_row(group.name, group.live, group.dead) for group in groups]
        live, dead = sum(g.live for g in groups), sum(g.dead for g in groups)
        rows += [SEPARATOR, _parameter_row(f"= {origin}", live, dead), SEPARATOR]
    rows.append(_parameter_row("= all", d.live, d.dead))
    return format_table(["parameters", "live", "dead", "all", "FP32", "FP16", "FP8"], rows)


def _parameter_row(name: str, live: int, dead: int) -> list[str]:
    sizes = (format_bytes(live * size) for size in BYTES_PER_ELEMENT.values())
    return [name, f"{live:,}", f"{dead:,}" if dead else "", f"{live + dead:,}", *sizes]


def _memory(d: Description) -> str:
    share = 1 - d.resident / (d.live + d.dead + d.position_table)
    return (
        "Bytes are of the live parameters. Dead ones are never read, or multiplied with and then discarded.\n"
        f"The position table is a buffer of {d.position_table:,} elements more; a formula replaces it.\n"
        f"Resident while stepping, simplified: {d.resident:,} ({d.resident / 1e6:,.1f} M, "
        f"{format_bytes(2 * d.resident)} in FP16, {share:.1%} less than the file)."
    )


def _product_table(d: Description) -> str:
    rows: list[Any] = [
        [group, _giga(d.released[group]), _giga(d.simplified[group])]
        for group in d.released
        if d.released[group]
    ]
    released, simplified = sum(d.released.values()), sum(d.simplified.values())
    rows += [SEPARATOR, ["= all", _giga(released), _giga(simplified)]]
    table = format_table(["products of a step, one row (GMAC)", "released", "simplified"], rows)
    per_picture = {"rows": d.rows, "steps": d.steps}
    return (
        f"{table}\n{d.height}×{d.width}, {d.text_tokens} text tokens. "
        f"A picture of {d.steps} steps of {d.rows} row{'s' * (d.rows > 1)}: "
        f"{tera_flops(d.released, **per_picture):.1f} TFLOP released, "
        f"{tera_flops(d.simplified, **per_picture):.1f} simplified ({simplified / released - 1:+.1%})."
    )


def _giga(count: int) -> str:
    return f"{count / 1e9:,.2f}"
