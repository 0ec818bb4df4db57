"""What a checkpoint tells of a network of SD3's kind: by its shapes, held against its ``config.json``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.mmdit.sizes import SIZES
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sizes import shown
from dit4sr.export.weights.checkpoint import Checkpoint
from dit4sr.runtime.errors import BadInputError

HEAD_DIM = 64
"""Channels of a head, where neither a norm nor a config tells."""


def stated_stack(stack: Stack) -> dict[str, Any]:
    """What diffusers writes of a stack into ``config.json``."""
    return stack.to_json() | {"qk_norm": "rms_norm" if stack.qk_norm else None}


def told_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """The sizes of a network, by diffusers' names; channels of a head its norms or its config tell."""
    width, text_channels = shape_of(checkpoint, "context_embedder.weight", 2)
    _, in_channels, patch_size, _ = shape_of(checkpoint, "pos_embed.proj.weight", 4)
    head_dim = checkpoint.stated.get("attention_head_dim", HEAD_DIM)
    if "transformer_blocks.0.attn.norm_q.weight" in checkpoint.tensors:
        [head_dim] = shape_of(checkpoint, "transformer_blocks.0.attn.norm_q.weight", 1)
    if type(head_dim) is not int or head_dim < 1 or width % head_dim:
        raise BadInputError(f"{checkpoint.path}: heads of {head_dim!r} do not make up a width of {width}")
    found = (
        width // head_dim,
        head_dim,
        in_channels,
        patch_size,
        text_channels,
        shape_of(checkpoint, "time_text_embed.text_embedder.linear_1.weight", 2)[1],
        math.isqrt(shape_of(checkpoint, POSITION_TABLE, 3)[1]),
    )
    return dict(zip(SIZES, found, strict=True))


def told_stack(checkpoint: Checkpoint) -> Stack:
    """The stack of joint blocks of a network."""
    layers = _layers(r"transformer_blocks\.(\d+)\.", checkpoint.tensors)
    gaps = sorted(set(range(len(layers))) - layers)
    if gaps:
        raise BadInputError(
            f"{checkpoint.path} has no block {gaps[0]}, but later ones", expected="every block"
        )
    dual = _layers(r"transformer_blocks\.(\d+)\.attn2\.", checkpoint.tensors)
    has_norms = "transformer_blocks.0.attn.norm_q.weight" in checkpoint.tensors
    return Stack(len(layers), tuple(sorted(dual)), has_norms)


def _layers(pattern: str, keys: Iterable[str]) -> set[int]:
    return {int(match[1]) for key in keys if (match := re.match(pattern, key))}


def shape_of(checkpoint: Checkpoint, key: str, rank: int) -> tuple[int, ...]:
    """Shape of a tensor that every network of SD3's kind has."""
    stored = checkpoint.tensors.get(key)
    if stored is None or len(stored.shape) != rank:
        found = list(stored.shape) if stored else f"not among {len(checkpoint.tensors)} tensors"
        raise BadInputError(
            f"{checkpoint.path} holds no network of SD3's kind ({key} is {found})",
            expected="a network of SD3's kind under diffusers' keys",
        )
    return stored.shape


def hold_against_config(checkpoint: Checkpoint, found: Mapping[str, Any]) -> None:
    """Refuse a ``config.json`` that belongs to other weights; what it does not state, weights alone tell."""
    for name in sorted(found.keys() & checkpoint.stated.keys()):
        said, told = checkpoint.stated[name], found[name]
        if (sorted(said) if isinstance(said, list) else said) != told:
            if name == "dual_attention_layers" and isinstance(said, list) and _is_cut(said, told, found):
                continue
            raise BadInputError(
                f"{checkpoint.path}: config.json says {name} = {shown(said)}, the weights say {told}",
                expected="a config.json and weights that belong together",
            )


def _is_cut(said: list[Any], told: list[int], found: Mapping[str, Any]) -> bool:
    """True if a shallow control net merely lists dual layers of the transformer that it was made from."""
    return [layer for layer in said if type(layer) is not int or layer < found["num_layers"]] == told
