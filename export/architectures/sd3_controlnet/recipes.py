"""Exact simplification: smaller networks that compute the same thing.

These are the recipes for every weight of the deployed networks. What is no weight fold is in the shape of
those networks themselves (``deployed``): the parts hoisted out of the step loop, the text of each network's
last block that asks nothing, the blocks and residuals that nobody reads.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor

from dit4sr.export.architectures.mmdit.recipes import (
    adaptive_norms,
    embedder,
    joint_blocks,
    linear,
    swap_halves,
)
from dit4sr.export.architectures.sd3_controlnet.config import ControlPooled, ControlShift, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import BACKBONE, CONTROL
from dit4sr.export.weights.folds import Fold, Recipes, stack_rows, stacked

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
        text = f"{CONTROL}.time_text_embed.text_embedder"
        keys = (f"{text}.linear_1.bias", f"{text}.linear_2.weight", f"{text}.linear_2.bias")
        recipes["control_steering.no_text"] = Fold(embed_nothing, keys)
    return recipes | _modulation(config)


def denoiser_recipes(config: SystemConfig) -> Recipes:
    """Recipes for the weights of `Denoiser`: what runs at every step."""
    recipes = backbone_recipes(config)
    recipes |= stacked("patch", [f"{part}.pos_embed.proj" for part in (BACKBONE, CONTROL)])
    control = f"{CONTROL}.transformer_blocks"
    recipes |= joint_blocks("control_blocks", control, config.control, config.live_control_layers)
    for layer in sorted(set(config.residual_of)):
        recipes |= linear(f"residuals.{layer}", f"{CONTROL}.controlnet_blocks.{layer}")
    return recipes


def backbone_recipes(config: SystemConfig) -> Recipes:
    """Recipes for the weights of `Backbone`: what runs where the control net is not heard."""
    recipes = linear("patch", f"{BACKBONE}.pos_embed.proj") | linear("output", f"{BACKBONE}.proj_out")
    blocks = f"{BACKBONE}.transformer_blocks"
    return recipes | joint_blocks("blocks", blocks, config.backbone, config.backbone.num_layers)


def _steering(name: str, part: str, *, with_text: bool) -> Recipes:
    embedders = ("timestep_embedder", "text_embedder") if with_text else ("timestep_embedder",)
    recipes: Recipes = {}
    for each in embedders:
        recipes |= embedder(f"{name}.{each}", f"{part}.time_text_embed.{each}")
    return recipes


def _modulation(config: SystemConfig) -> Recipes:
    """Recipes for the AdaLN layers of either network, stacked in the order in which blocks read them."""
    recipes: Recipes = {}
    backbone, control = (f"{part}.transformer_blocks" for part in (BACKBONE, CONTROL))
    for kind in ("weight", "bias"):
        own = adaptive_norms(backbone, kind, config.backbone.num_layers, answers_text=False)
        closing = Fold(swap_halves, (f"{BACKBONE}.norm_out.linear.{kind}",))
        beside = adaptive_norms(control, kind, config.live_control_layers, answers_text=True)
        recipes[f"modulation.{kind}"] = Fold(stack_rows, (*own, closing))
        recipes[f"control_modulation.{kind}"] = Fold(stack_rows, tuple(beside))
    return recipes
