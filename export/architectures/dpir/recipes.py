"""Exact simplification: a smaller network that computes the same thing.

These are the recipes for every weight of the deployed network. What is no weight fold is in the shape of that
network itself (``deployed``): the parts hoisted out of the step loop, the half of the alignment that asks for
no noisy latent, the final block's text that asks nothing.
"""

from __future__ import annotations

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.layout import reads_last_bias
from dit4sr.export.architectures.mmdit.recipes import (
    adaptive_norms,
    embedder,
    joint_blocks,
    linear,
    swap_halves,
)
from dit4sr.export.weights.folds import Fold, Recipes, compose_biases, compose_weights, stack_rows

BLOCKS = "transformer_blocks"


def prepare_recipes(config: DpirConfig) -> Recipes:
    """Recipes for the weights of `Prepare`: what was hoisted out of the step loop."""
    recipes = linear("context", "context_embedder")
    for place in range(config.lq_convolutions):
        recipes |= linear(f"lq_branch.convolutions.{place}", f"lq_branch.convolutions.{place}")
    if not reads_last_bias(config):
        del recipes[f"lq_branch.convolutions.{config.lq_convolutions - 1}.bias"]
    for side in ("local", "global") if config.own_global_adapter else ("local",):
        recipes |= linear(f"{side}_prompt.linear_1", f"{side}_adapter.linear_1")
        recipes |= composed(f"{side}_prompt.linear_2", "context_embedder", f"{side}_adapter.linear_2")

    pooled = "time_text_embed.text_embedder"
    recipes |= embedder("steering.timestep_embedder", "time_text_embed.timestep_embedder")
    recipes |= linear("steering.adapter", "pooled_adapter.linear_1")
    recipes |= composed("steering.joined", f"{pooled}.linear_1", "pooled_adapter.linear_2")
    recipes |= linear("steering.out", f"{pooled}.linear_2")
    for kind in ("weight", "bias"):
        norms = adaptive_norms(BLOCKS, kind, config.backbone.num_layers, answers_text=False)
        closing = Fold(swap_halves, (f"norm_out.linear.{kind}",))
        recipes[f"modulation.{kind}"] = Fold(stack_rows, (*norms, closing))
    return recipes


def denoiser_recipes(config: DpirConfig) -> Recipes:
    """Recipes for the weights of `Denoiser`: what runs at every step."""
    stack = config.backbone
    recipes = linear("patch", "pos_embed.proj") | linear("output", "proj_out")
    return recipes | joint_blocks("blocks", BLOCKS, stack, stack.num_layers)


def composed(name: str, outer: str, inner: str) -> Recipes:
    """Recipes for the one linear layer that two in a row amount to."""
    return {
        f"{name}.weight": Fold(compose_weights, (f"{outer}.weight", f"{inner}.weight")),
        f"{name}.bias": Fold(compose_biases, (f"{outer}.weight", f"{inner}.bias", f"{outer}.bias")),
    }
