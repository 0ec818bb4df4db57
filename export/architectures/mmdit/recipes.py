"""Recipes for what networks of SD3's kind have in common, from keys as released to names as deployed."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.weights.folds import Fold, Recipe, Recipes, stacked


def first_rows(weight: Tensor, parts: int, of: int) -> Tensor:
    """The first of some equal parts of a weight's rows."""
    return weight[: len(weight) // of * parts].contiguous()


def swap_halves(weight: Tensor) -> Tensor:
    """Put scale and shift into the order of shift and scale."""
    return torch.cat(weight.chunk(2)[::-1])


def linear(name: str, released: str) -> Recipes:
    """Recipes for a layer that is kept as it is."""
    return {f"{name}.{part}": f"{released}.{part}" for part in ("weight", "bias")}


def embedder(name: str, released: str) -> Recipes:
    """Recipes for an embedding by two linear layers."""
    return linear(f"{name}.linear_1", f"{released}.linear_1") | linear(
        f"{name}.linear_2", f"{released}.linear_2"
    )


def adaptive_norms(blocks: str, kind: str, count: int, *, answers_text: bool) -> list[Recipe]:
    """Recipes for the AdaLN layers of a stack's first blocks, in the order in which blocks read them.

    The last block only reads text. If it was made to answer it as well, the rows for that are left out; if
    not, its scale comes before its shift.
    """
    found: list[Recipe] = []
    for layer in range(count):
        norms = f"{blocks}.{layer}"
        text: Recipe = f"{norms}.norm1_context.linear.{kind}"
        if layer == count - 1:
            is_read = partial(first_rows, parts=2, of=6) if answers_text else swap_halves
            text = Fold(is_read, (text,))
        found += [f"{norms}.norm1.linear.{kind}", text]
    return found


def joint_blocks(name: str, released: str, stack: Stack, count: int) -> Recipes:
    """Recipes for the first blocks of a stack, the last of which only reads text."""
    recipes: Recipes = {}
    for layer in range(count):
        key, block, final = f"{released}.{layer}", f"{name}.{layer}", layer == count - 1
        recipes |= _image_attention(f"{block}.attn", f"{key}.attn", qk_norm=stack.qk_norm)
        recipes |= _text_attention(f"{block}.attn", f"{key}.attn", qk_norm=stack.qk_norm, final=final)
        if stack.is_dual(layer):
            recipes |= _image_attention(f"{block}.attn2", f"{key}.attn2", qk_norm=stack.qk_norm)
        recipes |= _feed_forward(f"{block}.ff", f"{key}.ff")
        if not final:
            recipes |= _feed_forward(f"{block}.text_ff", f"{key}.ff_context")
    return recipes


def _image_attention(name: str, released: str, *, qk_norm: bool) -> Recipes:
    recipes = stacked(f"{name}.image_qkv", [f"{released}.to_{part}" for part in ("q", "k", "v")])
    recipes |= linear(f"{name}.image_out", f"{released}.to_out.0")
    if qk_norm:
        recipes |= {f"{name}.norm_{part}": f"{released}.norm_{part}.weight" for part in ("q", "k")}
    return recipes


def _text_attention(name: str, released: str, *, qk_norm: bool, final: bool) -> Recipes:
    parts = ("k", "v") if final else ("q", "k", "v")
    projection = f"{name}.text_{''.join(parts)}"
    recipes = stacked(projection, [f"{released}.add_{part}_proj" for part in parts])
    if not final:
        recipes |= linear(f"{name}.text_out", f"{released}.to_add_out")
    if qk_norm:
        recipes |= {
            f"{name}.text_norm_{part}": f"{released}.norm_added_{part}.weight"
            for part in parts
            if part != "v"
        }
    return recipes


def _feed_forward(name: str, released: str) -> Recipes:
    return linear(f"{name}.expand", f"{released}.net.0.proj") | linear(
        f"{name}.contract", f"{released}.net.2"
    )
