"""Exact simplification: smaller networks that compute the same thing.

These are the recipes for every weight of the deployed networks. What is no weight fold is in the shape of
those networks themselves (``deployed``): the parts hoisted out of the step loop, the text of each network's
last block that asks nothing, the blocks and residuals that nobody reads.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet.config import ControlPooled, ControlShift, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import BACKBONE, CONTROL
from dit4sr.export.weights.folds import Fold, Recipe, Recipes, stack_rows, stacked

# --- The folds -----------------------------------------------------------------------------------


def without_extra_channels(weight: Tensor, channels: int) -> Tensor:
    """Drop what multiplies extra channels of the condition, which are zeros."""
    return weight[:, :channels].contiguous()


def absorb_offset(bias: Tensor, weight: Tensor, channels: int, offset: float) -> Tensor:
    """Fold into a bias what a constant added to the input amounts to: patches do not overlap."""
    added = weight[:, :channels].double().sum((1, 2, 3)) * offset
    return (bias.double() + added).to(bias.dtype)


def embed_nothing(first_bias: Tensor, second_weight: Tensor, second_bias: Tensor) -> Tensor:
    """What two linear layers, SiLU between them, make of zeros."""
    hidden = F.silu(first_bias.double())
    return (second_weight.double() @ hidden + second_bias.double()).to(second_bias.dtype)


def first_rows(weight: Tensor, parts: int, of: int) -> Tensor:
    """The first of some equal parts of a weight's rows."""
    return weight[: len(weight) // of * parts].contiguous()


def swap_halves(weight: Tensor) -> Tensor:
    """Put scale and shift into the order of shift and scale."""
    return torch.cat(weight.chunk(2)[::-1])


# --- The recipes, in the order of the networks ---------------------------------------------------


def prepare_recipes(config: SystemConfig) -> Recipes:
    """Recipes for the weights of `Prepare`: what was hoisted out of the step loop."""
    embedding, channels = f"{CONTROL}.pos_embed_input.proj", config.in_channels
    offset = config.condition_offset if config.control_shift is ControlShift.ZERO else 0.0
    recipes: Recipes = {
        "patch.weight": Fold(partial(without_extra_channels, channels=channels), (f"{embedding}.weight",)),
        "patch.bias": Fold(
            partial(absorb_offset, channels=channels, offset=offset),
            (f"{embedding}.bias", f"{embedding}.weight"),
        ),
        **stacked("context", [f"{part}.context_embedder" for part in (BACKBONE, CONTROL)]),
        **_steering("steering", BACKBONE, with_text=True),
    }
    if config.control_pooled is ControlPooled.TEXT:
        recipes |= _steering("control_steering", CONTROL, with_text=True)
    else:
        recipes |= _steering("control_steering", CONTROL, with_text=False)
        embedder = f"{CONTROL}.time_text_embed.text_embedder"
        keys = (f"{embedder}.linear_1.bias", f"{embedder}.linear_2.weight", f"{embedder}.linear_2.bias")
        recipes["control_steering.no_text"] = Fold(embed_nothing, keys)
    return recipes | _modulation(config)


def denoiser_recipes(config: SystemConfig) -> Recipes:
    """Recipes for the weights of `Denoiser`: what runs at every step."""
    recipes = stacked("patch", [f"{part}.pos_embed.proj" for part in (BACKBONE, CONTROL)])
    recipes |= _linear("output", f"{BACKBONE}.proj_out")
    recipes |= _blocks("blocks", BACKBONE, config.backbone, config.backbone.num_layers)
    recipes |= _blocks("control_blocks", CONTROL, config.control, config.live_control_layers)
    for layer in sorted(set(config.residual_of)):
        recipes |= _linear(f"residuals.{layer}", f"{CONTROL}.controlnet_blocks.{layer}")
    return recipes


def _steering(name: str, part: str, *, with_text: bool) -> Recipes:
    embedders = ("timestep_embedder", "text_embedder") if with_text else ("timestep_embedder",)
    recipes: Recipes = {}
    for embedder in embedders:
        for layer in ("linear_1", "linear_2"):
            recipes |= _linear(f"{name}.{embedder}.{layer}", f"{part}.time_text_embed.{embedder}.{layer}")
    return recipes


def _modulation(config: SystemConfig) -> Recipes:
    """Recipes for the AdaLN layers of either network, stacked in the order in which blocks read them."""
    recipes: Recipes = {}
    last, live = config.backbone.num_layers - 1, config.live_control_layers
    for kind in ("weight", "bias"):
        backbone: list[Recipe] = []
        for layer in range(last + 1):
            norms = f"{BACKBONE}.transformer_blocks.{layer}"
            text: Recipe = f"{norms}.norm1_context.linear.{kind}"
            backbone += [
                f"{norms}.norm1.linear.{kind}",
                Fold(swap_halves, (text,)) if layer == last else text,
            ]
        closing = Fold(swap_halves, (f"{BACKBONE}.norm_out.linear.{kind}",))
        control: list[Recipe] = []
        for layer in range(live):
            norms = f"{CONTROL}.transformer_blocks.{layer}"
            text = f"{norms}.norm1_context.linear.{kind}"
            is_read = Fold(partial(first_rows, parts=2, of=6), (text,))
            control += [f"{norms}.norm1.linear.{kind}", is_read if layer == live - 1 else text]
        recipes[f"modulation.{kind}"] = Fold(stack_rows, (*backbone, closing))
        recipes[f"control_modulation.{kind}"] = Fold(stack_rows, tuple(control))
    return recipes


def _blocks(name: str, part: str, stack: Stack, count: int) -> Recipes:
    recipes: Recipes = {}
    for layer in range(count):
        released, block, final = f"{part}.transformer_blocks.{layer}", f"{name}.{layer}", layer == count - 1
        recipes |= _image_attention(f"{block}.attn", f"{released}.attn", qk_norm=stack.qk_norm)
        recipes |= _text_attention(f"{block}.attn", f"{released}.attn", qk_norm=stack.qk_norm, final=final)
        if stack.is_dual(layer):
            recipes |= _image_attention(f"{block}.attn2", f"{released}.attn2", qk_norm=stack.qk_norm)
        recipes |= _feed_forward(f"{block}.ff", f"{released}.ff")
        if not final:
            recipes |= _feed_forward(f"{block}.text_ff", f"{released}.ff_context")
    return recipes


def _image_attention(name: str, released: str, *, qk_norm: bool) -> Recipes:
    recipes = stacked(f"{name}.image_qkv", [f"{released}.to_{part}" for part in ("q", "k", "v")])
    recipes |= _linear(f"{name}.image_out", f"{released}.to_out.0")
    if qk_norm:
        recipes |= {f"{name}.norm_{part}": f"{released}.norm_{part}.weight" for part in ("q", "k")}
    return recipes


def _text_attention(name: str, released: str, *, qk_norm: bool, final: bool) -> Recipes:
    parts = ("k", "v") if final else ("q", "k", "v")
    projection = f"{name}.text_{''.join(parts)}"
    recipes = stacked(projection, [f"{released}.add_{part}_proj" for part in parts])
    if not final:
        recipes |= _linear(f"{name}.text_out", f"{released}.to_add_out")
    if qk_norm:
        recipes |= {
            f"{name}.text_norm_{part}": f"{released}.norm_added_{part}.weight"
            for part in parts
            if part != "v"
        }
    return recipes


def _feed_forward(name: str, released: str) -> Recipes:
    return _linear(f"{name}.expand", f"{released}.net.0.proj") | _linear(
        f"{name}.contract", f"{released}.net.2"
    )


def _linear(name: str, released: str) -> Recipes:
    return {f"{name}.{part}": f"{released}.{part}" for part in ("weight", "bias")}
